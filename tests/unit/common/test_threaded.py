# SPDX-License-Identifier: Apache-2.0
"""Do our processes use threads, whatever else is installed?"""

import subprocess
import sys

from oslo_service import backend

from karbor.common import threaded  # noqa: F401 - this import is what is tried

WITH_MESSAGING = """
from karbor.common import threaded
import oslo_messaging
from oslo_service import backend
assert backend.get_backend_type() is backend.BackendType.THREADING
"""


def test_threads_are_chosen():
    assert backend.get_backend_type() is backend.BackendType.THREADING


def test_threads_stay_chosen_when_messaging_is_imported():
    done = subprocess.run([sys.executable, "-c", WITH_MESSAGING], capture_output=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr.decode()
