# SPDX-License-Identifier: Apache-2.0
"""In which state does a host step begin?"""

from karbor.model import states
from tests.support import rows as make


def test_a_host_step_waits_for_its_host():
    assert make.host_step().state == states.HOST_STEP.initial == "asked"
