# SPDX-License-Identifier: Apache-2.0
"""What must hold before any test module is imported?"""

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from karbor.common import threaded  # noqa: F401 - chooses threads before any test imports oslo_messaging

# A slow machine is no fault of the code: no example fails for the time it took.
settings.register_profile("karbor", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("karbor")

CACHE = Path(os.environ.get("KARBOR_TEST_CACHE", Path.home() / ".cache" / "karbor-tests"))
ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def guest_dir():
    """Kernel and initramfs of the small guest, built once and kept."""
    path = CACHE / "guest"
    path.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run([str(ROOT / "tools" / "lab" / "mkguest.sh"), str(path)], check=True, timeout=600)
    return path
