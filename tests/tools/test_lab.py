# SPDX-License-Identifier: Apache-2.0
"""Is the libvirt of the lab its own, and does it leave others alone?"""

import os
import signal
import tempfile
import threading
import time
from pathlib import Path

import pytest

from tools.lab import guest, libvirtd

pytestmark = [pytest.mark.libvirt]


@pytest.fixture
def directories():
    """Two short directories; a socket's path has at most 107 characters."""
    with tempfile.TemporaryDirectory(prefix="kl") as root:
        both = [Path(root) / "a", Path(root) / "b"]
        yield both
        for directory in both:
            libvirtd.stop(directory)


def _define_and_start(uri, name):
    """A guest that only waits in its firmware."""
    connection = guest.connect(uri)
    xml = (
        f"<domain type='qemu'><name>{name}</name><memory unit='MiB'>64</memory>"
        "<os><type arch='x86_64' machine='pc'>hvm</type></os><devices/></domain>"
    )
    connection.defineXML(xml).create()
    connection.close()


def test_a_second_start_finds_the_first_and_stop_ends_it(directories):
    first = libvirtd.start(directories[0])
    pid = libvirtd.running(directories[0])
    assert libvirtd.start(directories[0]) == first == libvirtd.uri(directories[0])
    assert libvirtd.running(directories[0]) == pid
    libvirtd.stop(directories[0])
    assert libvirtd.running(directories[0]) is None
    libvirtd.stop(directories[0])


def test_stop_ends_the_guests_of_its_own_lab_only(directories):
    for directory in directories:
        _define_and_start(libvirtd.start(directory), f"guest-{directory.name}")
    libvirtd.stop(directories[0])
    assert libvirtd.qemu_processes(directories[0]) == {}
    assert list(libvirtd.qemu_processes(directories[1])) == ["guest-b"]


def test_guests_survive_a_killed_daemon_and_are_found_again(directories):
    uri = libvirtd.start(directories[0])
    _define_and_start(uri, "survivor")
    os.kill(libvirtd.running(directories[0]), signal.SIGKILL)
    deadline = time.monotonic() + 30
    while libvirtd.running(directories[0]):
        assert time.monotonic() < deadline
        threading.Event().wait(0.05)
    libvirtd.start(directories[0])
    connection = guest.connect(uri)
    assert guest.find(connection, "survivor").domain.isActive()
    connection.close()


def test_nothing_of_a_lab_is_seen_by_the_host(directories):
    _define_and_start(libvirtd.start(directories[0]), "hidden")
    assert not list(Path("/run/libvirt").rglob("hidden*"))
    assert (directories[0] / "etc" / "qemu" / "hidden.xml").exists()


def test_a_directory_with_a_long_name_is_refused(tmp_path):
    with pytest.raises(libvirtd.LabError, match="too long"):
        libvirtd.start(tmp_path / ("x" * 100))
