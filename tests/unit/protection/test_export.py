# SPDX-License-Identifier: Apache-2.0
"""Is what clients read from an exported checkpoint what was protected, and do they meet damage exactly where it is?"""

import errno
import random

import pytest

from karbor.model import errors
from karbor.model.checkpoint import CheckpointRecord, SavedResource
from karbor.protection import export
from karbor.sdk.streams import Kind
from karbor.virt.nbd import NbdConnection, NbdRefused
from tests.support.vaults import KIB, MIB, BytesSource, memory_bank, nothing, open_vault, parts

KEYS = ("OS::Libvirt::Disk#vda@guest", "OS::Libvirt::Disk#vdb@guest")


class House:
    """A checkpoint of two disks, each in packs of its own."""

    def __init__(self, path):
        self.bank = memory_bank()
        self.vault = open_vault(self.bank, path / "cache")
        self.domain = self.vault.domain("project")
        self.contents, self.packs, saved = {}, {}, []
        for number, key in enumerate(KEYS):
            data = bytearray(6 * MIB)
            data[MIB : 2 * MIB] = random.Random(number).randbytes(MIB)
            data[4 * MIB + 4 * KIB : 4 * MIB + 8 * KIB] = b"x" * 4 * KIB
            before = {name for name in self.bank.objects if "/pack/" in name}
            source = BytesSource(data, parts(len(data), [(MIB, MIB), (4 * MIB, 64 * KIB)], rest=Kind.ZERO))
            stream_id = self.domain.write_stream(source, advance=nothing).id
            self.packs[key] = {name for name in self.bank.objects if "/pack/" in name} - before
            self.contents[key] = bytes(data)
            saved.append(SavedResource(key, "plug-in", {}, {"disk": stream_id}))
        self.record = CheckpointRecord("1", "project", "provider", {}, {}, tuple(saved), "2024")


@pytest.fixture
def house(tmp_path):
    made = House(tmp_path)
    yield made
    made.vault.close()


def test_all_streams_are_served_under_their_names(house, tmp_path_factory):
    listen = tmp_path_factory.mktemp("s") / "a b.sock"
    with export.serve(house.domain, house.record, listen) as served:
        assert [entry.resource for entry in served] == list(KEYS)
        assert served[0].uri.startswith("nbd+unix:///OS%3A%3ALibvirt%3A%3ADisk%23vda%40guest%2Fdisk?socket=/")
        assert served[0].uri.endswith("a%20b.sock")
        assert served[0].to_dict()["copy"] == f"nbdcopy '{served[0].uri}' disk.img"
        for entry in served:
            with NbdConnection(str(listen), f"{entry.resource}/{entry.stream}") as client:
                assert client.read(0, entry.size) == house.contents[entry.resource]


def test_one_stream_needs_no_name_also_on_a_port(house):
    with export.serve(house.domain, house.record, 0, resource=KEYS[1]) as [served]:
        assert served.uri.startswith("nbd://127.0.0.1:") and served.uri.endswith("/")
        assert (served.resource, served.stream, served.size) == (KEYS[1], "disk", 6 * MIB)


def test_a_stream_that_is_not_there_is_told_with_those_that_are(house, tmp_path):
    with pytest.raises(errors.NotFound, match="no such stream") as fault:
        export.serve(house.domain, house.record, tmp_path / "s", stream="memory").__enter__()
    assert KEYS[0] in fault.value.detail


def test_damage_is_an_error_for_exactly_its_ranges(house, tmp_path_factory):
    listen = tmp_path_factory.mktemp("s") / "s"
    [name] = house.packs[KEYS[0]]
    data = bytearray(house.bank.objects[name])
    data[300 * KIB] ^= 1  # in one of the chunks that do not compress
    house.bank.objects[name] = bytes(data)
    with house.domain.check("data") as run:
        damage = run.stream(house.record.resources[0].streams["disk"], nothing).damage
    wanted = {page for part in damage for page in range(part.offset // 4096, -(-(part.offset + part.length) // 4096))}
    assert 0 < len(wanted) < 256
    found = set()
    with export.serve(house.domain, house.record, listen, resource=KEYS[0]) as [served]:
        with NbdConnection(str(listen), "") as client:
            for page in range(served.size // 4096):
                try:
                    assert client.read(page * 4096, 4096) == house.contents[KEYS[0]][page * 4096 : page * 4096 + 4096]
                except NbdRefused as fault:
                    assert fault.errno == errno.EIO
                    found.add(page)
    assert found == wanted
