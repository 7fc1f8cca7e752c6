# SPDX-License-Identifier: Apache-2.0
"""Does an export give exactly the bytes, holes and errors of its stream, also to bad clients and to several at once?"""

import contextlib
import errno
import random
import socket
import stat
import struct
from concurrent.futures import ThreadPoolExecutor

import pytest

from karbor.model import errors
from karbor.sdk.streams import Extent, Kind
from karbor.virt import nbd_wire as wire
from karbor.virt.nbd import NbdConnection, NbdRefused
from karbor.virt.nbd_handshake import FLAGS, MAXIMUM
from karbor.virt.nbdexport import NbdExport

KIB, MIB = 1 << 10, 1 << 20
PATIENCE = 120


class Twin:
    """A stream in memory: parts where it is not zero, and ranges that are lost."""

    def __init__(self, size, written, *, lost=(), lost_recipe=()):
        self.size = size
        self.content = bytearray(size)
        self.written = sorted(written)
        for offset, length in self.written:
            self.content[offset : offset + length] = random.Random(offset).randbytes(length)
        self.lost, self.lost_recipe = lost, lost_recipe

    def extents(self, start=0, stop=None):
        limit = self.size if stop is None else min(stop, self.size)
        at = start
        for offset, length in [*self.written, (self.size, 0)]:
            self._require(self.lost_recipe, at, min(max(offset + length, at), limit))
            if min(offset, limit) > at:
                yield Extent(at, min(offset, limit) - at, Kind.ZERO)
                at = min(offset, limit)
            if min(offset + length, limit) > at:
                yield Extent(at, min(offset + length, limit) - at, Kind.DATA)
                at = min(offset + length, limit)

    def parts(self, start, stop):
        self._require([*self.lost, *self.lost_recipe], start, stop)
        view = memoryview(self.content)
        found = []
        for offset, length in self.written:
            first, last = max(offset, start), min(offset + length, stop)
            middle = (first + last) // 2  # two parts that touch
            found += [(at, view[at:end]) for at, end in ((first, middle), (middle, last)) if end > at]
        return found

    def _require(self, ranges, start, stop):
        if any(offset < stop and offset + length > start for offset, length in ranges):
            raise errors.IntegrityError(detail="lost in this test")


DISK = Twin(
    9 * MIB + 513,
    [(0, 4 * KIB), (64 * KIB, 3 * MIB), (5 * MIB + 1, 77), (7 * MIB, MIB), (9 * MIB + 500, 13)],
)


@pytest.fixture
def socket_path(tmp_path_factory):
    return tmp_path_factory.mktemp("s") / "x.sock"


@pytest.fixture
def export(socket_path):
    with NbdExport({"vda": DISK}, socket_path) as found:
        yield found


def test_bytes_and_holes_are_those_of_the_stream(export, socket_path):
    with NbdConnection(str(socket_path), "vda") as client:
        assert client.size == DISK.size
        assert client.read(0, DISK.size) == DISK.content
        for offset, length in ((0, 1), (4 * KIB - 1, 2), (DISK.size - 1, 1), (3 * MIB - 7, 2 * MIB + 3)):
            assert client.read(offset, length) == DISK.content[offset : offset + length]
        holes = bytearray(b"\1" * DISK.size)
        for offset, length, flags in client.block_status("base:allocation", 0, DISK.size):
            if flags:
                holes[offset : offset + length] = bytes(length)
        wanted = bytearray(DISK.size)
        for offset, length in DISK.written:
            wanted[offset : offset + length] = b"\1" * length
        assert holes == wanted


def test_nobody_else_may_use_the_socket_and_it_is_gone_in_the_end(socket_path):
    with NbdExport({"vda": DISK}, socket_path) as export:
        assert stat.S_IMODE(socket_path.stat().st_mode) == 0o600
        assert export.port is None
        with pytest.raises(errors.ConfigurationError):
            NbdExport({"vda": DISK}, socket_path)
        client = NbdConnection(str(socket_path), "vda", timeout=PATIENCE)
        client.read(0, 1)
    with pytest.raises(errors.CaptureLost):
        client.read(0, 1)
    client.close()
    assert not socket_path.exists()
    with pytest.raises(errors.ConfigurationError):
        NbdExport({}, socket_path.with_name("x" * 200))


def test_the_socket_of_a_killed_process_is_replaced_and_no_other_file(socket_path):
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(socket_path))
    with NbdExport({"vda": DISK}, socket_path), NbdConnection(str(socket_path), "vda") as client:
        assert client.read(0, 1) == DISK.content[:1]
    socket_path.write_text("precious")
    with pytest.raises(errors.ConfigurationError):
        NbdExport({"vda": DISK}, socket_path)
    assert socket_path.read_text() == "precious"


def test_many_clients_read_at_once(export, socket_path):
    def read(seed):
        numbers = random.Random(seed)
        with NbdConnection(str(socket_path), "vda", timeout=PATIENCE) as client:
            for _ in range(20):
                offset = numbers.randrange(DISK.size)
                length = min(numbers.choice([1, 4 * KIB, 5 * MIB]), DISK.size - offset)
                assert client.read(offset, length) == DISK.content[offset : offset + length]
        return seed

    with ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(read, range(6))) == list(range(6))


def test_nothing_can_be_written(export, socket_path):
    before = bytes(DISK.content)
    with NbdConnection(str(socket_path), "vda") as client:
        with pytest.raises(NbdRefused) as refused:
            client.write(0, b"x" * 3 * MIB)
        assert refused.value.errno == errno.EPERM
        with pytest.raises(NbdRefused):
            client.zero(0, 4 * KIB)
        assert client.read(0, 8) == before[:8]
    assert DISK.content == before


def test_lost_ranges_are_errors_for_exactly_these_ranges(socket_path):
    lost, lost_recipe = [(68 * KIB, 12 * KIB), (7 * MIB + 5, 1)], [(MIB, MIB)]
    disk = Twin(DISK.size, DISK.written, lost=lost, lost_recipe=lost_recipe)
    wanted = {
        page for offset, length in lost + lost_recipe for page in range(offset // 4096, -(-(offset + length) // 4096))
    }
    found = set()
    with NbdExport({"vda": disk}, socket_path), NbdConnection(str(socket_path), "vda") as client:
        for page in range(disk.size // 4096):
            try:
                assert client.read(page * 4096, 4096) == disk.content[page * 4096 : page * 4096 + 4096]
            except NbdRefused as fault:
                assert fault.errno == errno.EIO
                found.add(page)
        assert found == wanted
        # What nobody can tell anything about is data, so that a copy fails there instead of writing zeroes.
        status = list(client.block_status("base:allocation", 0, disk.size))
        assert sum(length for _, length, _ in status) == disk.size
        assert all(not flags for offset, length, flags in status if offset < 2 * MIB and offset + length > MIB)
        assert any(flags for offset, _, flags in status if offset > 3 * MIB)


def test_several_streams_have_names(socket_path):
    other = Twin(MIB, [(0, 512)])
    with NbdExport({"vda": DISK, "vdb": other}, socket_path):
        with NbdConnection(str(socket_path), "vdb") as client:
            assert client.read(0, MIB) == other.content
        for name in ("", "vdc"):
            with pytest.raises(errors.CaptureLost):
                NbdConnection(str(socket_path), name)


def test_a_port_of_the_loopback_serves_clients_of_the_old_way():
    with NbdExport({"vda": DISK}, 0) as export:
        with Raw(("127.0.0.1", export.port)) as raw:
            raw.send(struct.pack(">IQII", 1, wire.OPTION_MAGIC, 1, 0))  # EXPORT_NAME without a name, with 124 zeroes
            assert struct.unpack(">QH", raw.receive(134)[:10]) == (DISK.size, FLAGS)
            raw.request(wire.READ, 64 * KIB, 3 * MIB)
            assert raw.simple() == 0
            assert raw.receive(3 * MIB) == DISK.content[64 * KIB : 64 * KIB + 3 * MIB]
            for command, offset, length, wanted in (
                (wire.READ, DISK.size - 1, 2, errno.EINVAL),
                (wire.READ, 0, MAXIMUM + 1, errno.EINVAL),
                (wire.READ, 1 << 63, 1 << 31, errno.EINVAL),
                (wire.BLOCK_STATUS, 0, 4096, errno.EINVAL),  # was not agreed
                (wire.FLUSH, 0, 0, errno.EINVAL),
                (77, 0, 0, errno.EINVAL),
                (5, 0, 4096, 0),  # CACHE
                (4, 0, 4096, errno.EPERM),  # TRIM
            ):
                raw.request(command, offset, length)
                assert raw.simple() == wanted
            raw.request(wire.DISC, 0, 0)
            assert raw.ended()


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"GET / HTTP/1.1\r\n\r\n",
        struct.pack(">I", 1 << 31),
        struct.pack(">I", 3) + b"x" * 16,
        struct.pack(">IQII", 3, wire.OPTION_MAGIC, 7, 1 << 31),
        struct.pack(">IQII", 3, wire.OPTION_MAGIC, 1, 3) + b"vdz",
        struct.pack(">IQII", 3, wire.OPTION_MAGIC, 2, 0),
        struct.pack(">I", 3) + struct.pack(">QII", wire.OPTION_MAGIC, 3, 0) * 100,
        struct.pack(">IQII", 3, wire.OPTION_MAGIC, 1, 0) + b"x" * 28,
    ],
)
def test_who_does_not_keep_to_the_protocol_is_let_go_and_hurts_nobody(export, socket_path, said):
    with Raw(str(socket_path)) as raw:
        raw.send(said)
        raw.finish()
        assert raw.ended()
    with NbdConnection(str(socket_path), "vda") as client:
        assert client.read(0, 4 * KIB) == DISK.content[: 4 * KIB]


@pytest.mark.parametrize("option", [3, 5, 6, 7, 8, 9, 10, 99])
@pytest.mark.parametrize(
    "data", [b"x", b"\xff" * 9, struct.pack(">I", 3) + b"vda\0\x09", struct.pack(">I3sI", 3, b"vda", 9)]
)
def test_options_that_make_no_sense_are_refused_and_the_handshake_goes_on(export, socket_path, option, data):
    with Raw(str(socket_path)) as raw:
        raw.send(struct.pack(">I", 3))
        raw.send(struct.pack(">QII", wire.OPTION_MAGIC, option, len(data)) + data)
        magic, echoed, kind, length = struct.unpack(">QIII", raw.receive(20))
        assert (magic, echoed) == (wire.REPLY_MAGIC, option)
        assert kind & wire.REP_ERROR
        raw.receive(length)
        raw.send(struct.pack(">QIII3sH", wire.OPTION_MAGIC, 7, 9, 3, b"vda", 0))
        assert struct.unpack(">QIII", raw.receive(20))[2] == wire.REP_INFO


class Raw:
    """A client that says what it likes, after the greeting of the server."""

    def __init__(self, address):
        self.peer = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
        self.peer.settimeout(PATIENCE)
        self.peer.connect(address)
        self.receive(18)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.peer.close()

    def send(self, data):
        self.peer.sendall(data)

    def finish(self):
        with contextlib.suppress(OSError):  # the server may have been faster
            self.peer.shutdown(socket.SHUT_WR)

    def receive(self, length):
        found = b""
        while len(found) < length:
            piece = self.peer.recv(length - len(found))
            assert piece, "the server hung up"
            found += piece
        return found

    def request(self, command, offset, length):
        self.send(struct.pack(">IHHQQI", wire.REQUEST_MAGIC, 0, command, 7, offset, length))

    def simple(self):
        magic, number, cookie = struct.unpack(">IIQ", self.receive(16))
        assert (magic, cookie) == (wire.SIMPLE_MAGIC, 7)
        return number

    def ended(self):
        """Whether the server hangs up in the end, whatever else it says before."""
        try:
            while self.peer.recv(65536):
                pass
        except ConnectionResetError:
            pass
        return True
