# SPDX-License-Identifier: Apache-2.0
"""What do the tests of the hypervisor drivers share?"""

import subprocess

import pytest

from tests.support import guestlab
from tools.lab import libvirtd


@pytest.fixture(scope="session")
def private_libvirt():
    """The URI of a libvirt of our own; its path must be short."""
    root = subprocess.check_output(["mktemp", "-d", "/tmp/klu.XXXXXX"], text=True).strip()
    try:
        yield guestlab.start_libvirt(root)
    finally:
        libvirtd.stop(root)
        subprocess.run(["rm", "-rf", root], check=True)
