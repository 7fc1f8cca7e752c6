# SPDX-License-Identifier: Apache-2.0
"""Does qemu-nbd start, say why it cannot, and surely end, also when we are killed?"""

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from karbor.model import errors
from karbor.virt import nbd, qemuimg
from karbor.virt.nbdserver import qemu_nbd

CHILD = """
import sys
from karbor.virt.nbdserver import qemu_nbd
with qemu_nbd(sys.argv[1], "qcow2", export="disk", socket_dir=sys.argv[2], read_only=False) as place:
    print(place, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "d.qcow2"
    qemuimg.create(str(path), "qcow2", 1 << 20)
    return path


def handle_of_server(socket_path: str) -> int:
    """A handle of the qemu-nbd behind a socket; it becomes readable when the process ends."""
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        words = process.read_bytes().split(b"\0")
        if words[0] == b"qemu-nbd" and any(socket_path.encode() in word for word in words):
            return os.pidfd_open(int(process.parent.name))
    raise AssertionError("no qemu-nbd")


def test_it_has_ended_when_the_block_is_left(image):
    with qemu_nbd(str(image), "qcow2", export="disk", socket_dir=str(image.parent / "s")) as place:
        handle = handle_of_server(place)
        assert not select.select([handle], [], [], 0)[0]
    assert select.select([handle], [], [], 0)[0]
    assert not Path(place).exists()
    os.close(handle)


def test_it_ends_while_a_client_is_connected(image):
    with qemu_nbd(str(image), "qcow2", export="disk", socket_dir=str(image.parent / "s")) as place:
        connection = nbd.NbdConnection(place, "disk")
    with pytest.raises(errors.CaptureLost):
        connection.read(0, 1)
    connection.close()


def test_it_does_not_outlive_a_killed_owner(image):
    owner = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(image), str(image.parent / "s")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    place = owner.stdout.readline().decode().strip()
    handle = handle_of_server(place)
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    assert select.select([handle], [], [], 20)[0], "qemu-nbd is still there"
    os.close(handle)
    owner.stdin.close()
    owner.stdout.close()
    with qemu_nbd(str(image), "qcow2", export="disk", socket_dir=str(image.parent / "s"), read_only=False) as again:
        nbd.NbdConnection(again, "disk").close()


def test_it_says_why_it_cannot_start(image, tmp_path):
    options = {"export": "disk", "socket_dir": str(tmp_path / "s")}
    with pytest.raises(errors.ResourceNotFound), qemu_nbd(str(tmp_path / "none"), "raw", **options):
        pass
    with pytest.raises(errors.StepFailed) as caught, qemu_nbd(str(image), "qcow2", bitmap="none", **options):
        pass
    assert "none" in caught.value.detail
    with qemu_nbd(str(image), "qcow2", read_only=False, **options):
        with pytest.raises(errors.StepFailed) as caught, qemu_nbd(str(image), "qcow2", read_only=False, **options):
            pass
    assert "lock" in caught.value.detail


def test_a_socket_directory_that_is_too_long_is_refused(image, tmp_path):
    with pytest.raises(errors.ConfigurationError):
        with qemu_nbd(str(image), "qcow2", export="disk", socket_dir=str(tmp_path / ("s" * 100))):
            pass
