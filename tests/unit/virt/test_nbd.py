# SPDX-License-Identifier: Apache-2.0
"""Does our NBD client agree with qemu-nbd, and does it end whatever the server does?"""

import errno
import os
import signal
import socket
import struct
import threading
from pathlib import Path

import pytest

from karbor.model import errors
from karbor.virt import nbd, qemuimg
from karbor.virt.nbdserver import qemu_nbd

MIB = 1 << 20


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """8 MiB: 1 MiB of data, a hole, 64 KiB of data at 5 MiB, a hole."""
    path = tmp_path / "disk.raw"
    with path.open("wb") as file:
        file.write(os.urandom(MIB))
        file.seek(5 * MIB)
        file.write(os.urandom(65536))
        file.truncate(8 * MIB)
    return path


def serve(path: Path, format: str = "raw", **options):
    return qemu_nbd(str(path), format, export="disk", socket_dir=str(path.parent / "s"), **options)


def test_reads_any_range_and_knows_the_size(raw):
    expected = raw.read_bytes()
    with serve(raw) as place, nbd.NbdConnection(place, "disk") as connection:
        assert connection.size == 8 * MIB
        assert connection.contexts == {nbd.BASE_ALLOCATION}
        assert connection.read(0, 8 * MIB) == expected
        assert connection.read(5 * MIB + 3, 100) == expected[5 * MIB + 3 : 5 * MIB + 103]
        assert connection.read(7, 0) == b""


def test_tells_holes_from_data_within_the_asked_range(raw):
    with serve(raw) as place, nbd.NbdConnection(place, "disk") as connection:
        found = list(connection.block_status(nbd.BASE_ALLOCATION, 0, 8 * MIB))
        assert [(offset, length, bool(flags & nbd.ZERO_BIT)) for offset, length, flags in found] == [
            (0, MIB, False),
            (MIB, 4 * MIB, True),
            (5 * MIB, 65536, False),
            (5 * MIB + 65536, 3 * MIB - 65536, True),
        ]
        part = list(connection.block_status(nbd.BASE_ALLOCATION, 2 * MIB, MIB))
        assert sum(length for _, length, _ in part) == MIB


def test_walks_a_disk_larger_than_a_length_can_say(tmp_path):
    path = tmp_path / "large.qcow2"
    qemuimg.create(str(path), "qcow2", 20 << 30)
    with serve(path, "qcow2", read_only=False) as place, nbd.NbdConnection(place, "disk") as connection:
        connection.write((9 << 30) + 65536, b"x" * 65536)
        connection.flush()
        data = [
            (offset, length)
            for offset, length, flags in connection.block_status(nbd.BASE_ALLOCATION, 0, 20 << 30)
            if not flags & nbd.ZERO_BIT
        ]
        assert data == [((9 << 30) + 65536, 65536)]
        connection.zero(0, 20 << 30)
        assert connection.read((9 << 30) + 65536, 65536) == bytes(65536)


def test_writes_and_zeroes_are_read_back(raw):
    content = os.urandom(3 * MIB + 512)
    with serve(raw, read_only=False) as place:
        with nbd.NbdConnection(place, "disk", contexts=()) as connection:
            connection.write(512, content)
            connection.zero(MIB, MIB)
            connection.flush()
    expected = content[: MIB - 512] + bytes(MIB) + content[2 * MIB - 512 :]
    assert raw.read_bytes()[512 : 512 + len(content)] == expected


def test_a_dirty_bitmap_is_offered_only_where_asked_for_and_present(tmp_path):
    path = tmp_path / "disk.qcow2"
    qemuimg.create(str(path), "qcow2", 8 * MIB)
    qemuimg.add_bitmap(str(path), "b1")
    with serve(path, "qcow2", read_only=False) as place, nbd.NbdConnection(place, "disk") as connection:
        connection.write(2 * MIB, b"y")
    wanted = nbd.dirty_bitmap("b1")
    with serve(path, "qcow2", bitmap="b1") as place:
        with nbd.NbdConnection(place, "disk", contexts=(wanted, nbd.dirty_bitmap("other"))) as connection:
            assert connection.contexts == {wanted}
            dirty = [entry for entry in connection.block_status(wanted, 0, 8 * MIB) if entry[2] & nbd.DIRTY_BIT]
            assert dirty == [(2 * MIB, 65536, 1)]
            with pytest.raises(errors.CaptureLost):
                list(connection.block_status(nbd.BASE_ALLOCATION, 0, 1))


def test_a_refused_request_names_the_errno_and_leaves_the_connection_usable(raw):
    with serve(raw) as place, nbd.NbdConnection(place, "disk") as connection:
        with pytest.raises(nbd.NbdRefused) as caught:
            connection.write(0, b"z" * 3 * MIB)
        assert caught.value.errno == errno.EINVAL
        assert "read-only" in caught.value.detail
        with pytest.raises(errors.StepFailed):
            connection.read(8 * MIB - 1, 2)
        assert connection.read(0, MIB) == raw.read_bytes()[:MIB]


def test_unknown_export_and_missing_server_are_a_lost_capture(raw, tmp_path):
    with serve(raw) as place:
        with pytest.raises(errors.CaptureLost, match="frozen view") as caught:
            nbd.NbdConnection(place, "other")
        assert "option" in caught.value.detail
    with pytest.raises(errors.CaptureLost):
        nbd.NbdConnection(str(tmp_path / "none.sock"), "disk")


def test_holes_read_as_zeroes_whatever_was_read_before(raw):
    expected = raw.read_bytes()
    with serve(raw) as place, nbd.NbdConnection(place, "disk") as connection:
        for at, length in ((0, MIB), (MIB, MIB), (0, 100), (5 * MIB - 512, 66560), (0, 8 * MIB), (2 * MIB, 9000)):
            assert connection.read(at, length) == expected[at : at + length]


def test_one_connection_serves_several_threads(raw):
    expected = raw.read_bytes()
    wrong: list[int] = []
    with serve(raw) as place, nbd.NbdConnection(place, "disk") as connection:

        def read_all(start: int) -> None:
            for at in range(start, 8 * MIB, 999_983):
                if connection.read(at, min(70_001, 8 * MIB - at)) != expected[at : at + 70_001]:
                    wrong.append(at)

        threads = [threading.Thread(target=read_all, args=(number * 1000,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []


class Liar(threading.Thread):
    """A server that shakes hands properly and then answers the first request with ``reply`` (a function of its
    handle) and nothing more; None: it closes."""

    def __init__(self, path: Path, reply) -> None:
        super().__init__(daemon=True)
        self._reply, self._done = reply, threading.Event()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()

    def run(self) -> None:
        with self._listener, self._listener.accept()[0] as peer:
            peer.sendall(b"NBDMAGICIHAVEOPT" + struct.pack(">H", 3))
            peer.recv(4)
            for info in (b"", struct.pack(">HQH", 0, 1 << 20, 1)):
                head = peer.recv(16, socket.MSG_WAITALL)
                option, length = struct.unpack(">II", head[8:])
                peer.recv(length, socket.MSG_WAITALL)
                if info:
                    peer.sendall(struct.pack(">QIII", 0x3E889045565A9, option, 3, len(info)) + info)
                peer.sendall(struct.pack(">QIII", 0x3E889045565A9, option, 1, 0))
            request = peer.recv(28, socket.MSG_WAITALL)
            answer = self._reply(request[8:16])
            if answer is None:
                return
            peer.sendall(answer)
            self._done.wait(20)

    def stop(self) -> None:
        self._done.set()
        self.join()


def chunk(handle: bytes, flags: int, kind: int, payload: bytes) -> bytes:
    return struct.pack(">IHH", 0x668E33EF, flags, kind) + handle + struct.pack(">I", len(payload)) + payload


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(lambda handle: None, id="closes"),
        pytest.param(lambda handle: b"", id="silent"),
        pytest.param(lambda handle: b"\0" * 20, id="rubbish"),
        pytest.param(lambda handle: chunk(b"12345678", 1, 0, b""), id="unknown handle"),
        pytest.param(lambda handle: chunk(handle, 1, 0, b""), id="too little"),
        pytest.param(lambda handle: chunk(handle, 1, 1, struct.pack(">Q", 1 << 19) + bytes(4096)), id="elsewhere"),
        pytest.param(lambda handle: chunk(handle, 1, 1, bytes(8192)), id="too much"),
        pytest.param(lambda handle: chunk(handle, 1, 2, struct.pack(">QI", 4095, 4096)), id="hole elsewhere"),
        pytest.param(lambda handle: chunk(handle, 1, 0, b"")[:16] + b"\xff" * 4, id="huge"),
        pytest.param(lambda handle: struct.pack(">II", 0x67446698, 0) + handle, id="simple reply to a read"),
        pytest.param(lambda handle: chunk(handle, 1, 0x8001, struct.pack(">IH", 108, 0)), id="shuts down"),
    ],
)
def test_whatever_the_server_answers_the_read_ends_as_a_lost_capture(tmp_path, reply):
    server = Liar(tmp_path / "liar.sock", reply)
    server.start()
    connection = nbd.NbdConnection(str(tmp_path / "liar.sock"), "disk", contexts=(), timeout=0.2)
    try:
        with pytest.raises(errors.CaptureLost):
            connection.read(0, 4096)
    finally:
        connection.close()
        server.stop()


def test_a_killed_server_is_a_lost_capture(raw):
    with serve(raw) as place:
        connection = nbd.NbdConnection(place, "disk")
        for process in Path("/proc").glob("[0-9]*/cmdline"):
            words = process.read_bytes().split(b"\0")
            if words[0] == b"qemu-nbd" and any(place.encode() in word for word in words):
                os.kill(int(process.parent.name), signal.SIGKILL)
        with pytest.raises(errors.CaptureLost):
            connection.read(0, MIB)
        with pytest.raises(errors.CaptureLost):
            connection.read(0, MIB)
        connection.close()
        connection.close()
