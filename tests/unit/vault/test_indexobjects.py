# SPDX-License-Identifier: Apache-2.0
"""Do index objects in the bank rebuild the index, and are damaged ones refused?"""

import pytest

from karbor.model import errors
from karbor.vault import format
from karbor.vault.codec import Codec
from karbor.vault.index import Index
from karbor.vault.indexobjects import IndexObjects
from karbor.vault.keys import DomainKeys
from karbor.vault.pack import PackBuilder
from tests.support.vaults import memory_bank

CODEC = Codec(DomainKeys.from_data_key(b"k" * 32), compression_level=1)


@pytest.fixture
def bank():
    return memory_bank()


@pytest.fixture
def host(bank, tmp_path):
    """Makes one more host with a cache of its own."""
    opened = []

    def make():
        index = Index(tmp_path / f"index-{len(opened)}")
        opened.append(index)
        return IndexObjects(bank, prefix="d/x/", codec=CODEC, index=index), index

    yield make
    for index in opened:
        index.close()


def put_pack(bank, *contents):
    builder = PackBuilder(CODEC)
    for content in contents:
        builder.add(CODEC.chunk_id(content, flags=0), flags=0, size=len(content), body=content)
    directory, parts = builder.finish()
    bank.put_if_absent("d/x/" + format.pack_name(builder.pack_id), b"".join(parts))
    return directory


def test_another_host_follows(bank, host):
    (here, _), (there, cache) = host(), host()
    first, second = put_pack(bank, b"1"), put_pack(bank, b"2", b"3")
    name, size = here.put([first, second])
    assert size == bank.stat("d/x/" + name).size
    there.follow()
    assert cache.packs() == {first.pack_id, second.pack_id}
    assert [d.pack_id for d in there.get(name)] == [first.pack_id, second.pack_id]


def test_an_index_object_that_was_replaced_by_another_loses_nothing(bank, host):
    (here, cache), (there, _) = host(), host()
    directories = [put_pack(bank, bytes([number])) for number in range(3)]
    names = [here.put([directory])[0] for directory in directories]
    there.put(directories)
    for name in names:
        bank.delete("d/x/" + name)
    here.follow()
    assert cache.packs() == {directory.pack_id for directory in directories}
    assert len(cache.sources()) == 1


def test_packs_that_no_object_lists_any_more_are_forgotten(bank, host):
    here, cache = host()
    name, _ = here.put([put_pack(bank, b"1")])
    bank.delete("d/x/" + name)
    here.follow()
    assert cache.packs() == set()


def test_a_pending_pack_that_never_reached_the_bank_is_forgotten(bank, host):
    here, cache = host()
    there = put_pack(bank, b"1")
    lost = put_pack(bank, b"2")
    cache.add([there, lost])
    bank.delete("d/x/" + format.pack_name(lost.pack_id))
    here.follow()
    assert cache.pending() == [there.pack_id]


def test_more_than_a_page_of_objects_is_followed(bank, host):
    (here, _), (there, cache) = host(), host()
    directory = put_pack(bank, b"1")
    for _ in range(1001):
        here.put([directory])
    there.follow()
    assert len(cache.sources()) == 1001


def test_packs_are_learnt_from_themselves(bank, host):
    here, cache = host()
    directories = [put_pack(bank, bytes([number])) for number in range(3)]
    bad = "d/x/" + format.pack_name(directories[1].pack_id)
    for damaged in (b"", bank.objects[bad][:-1]):
        bank.objects[bad] = damaged
        here.scan_packs()
        assert cache.packs() == {directories[0].pack_id, directories[2].pack_id}
    assert list(here.directory(directories[0].pack_id).entries) == list(directories[0].entries)


def test_a_damaged_index_object_is_noticed_and_stops_nobody(bank, host):
    (here, _), (there, cache) = host(), host()
    name, _ = here.put([put_pack(bank, b"1")])
    other = put_pack(bank, b"2")
    here.put([other])
    bank.objects["d/x/" + name] = bank.objects["d/x/" + name][:-1]
    with pytest.raises(errors.IntegrityError):
        there.get(name)
    there.follow()
    assert cache.packs() == {other.pack_id}


def test_what_one_host_read_back_the_others_know(bank, host):
    (here, _), (there, cache) = host(), host()
    names = [here.put([put_pack(bank, bytes([number]))])[0] for number in range(2)]
    packs = [there.get(name)[0].pack_id for name in names]
    there.follow()
    assert not any(map(cache.is_proven, packs))
    for name in names:
        here.prove(name)
    marker = "d/x/" + format.proof_name(names[1])
    bank.objects[marker] = bank.objects[marker][:-1]  # a marker that does not open proves nothing
    there.follow()
    assert [cache.is_proven(pack_id) for pack_id in packs] == [True, False]


def test_a_host_that_missed_much_learns_it_at_once_and_passes_over_what_is_damaged(bank, host):
    (here, _), (there, cache) = host(), host()
    packs = [put_pack(bank, b"%d" % number, b"more %d" % number) for number in range(9)]
    names = [here.put([pack])[0] for pack in packs]
    damaged = "d/x/" + names[4]
    bank.objects[damaged] = bank.objects[damaged][:-1]
    there.follow()
    assert cache.sources() == set(names) - {names[4]}
    assert cache.packs() == {pack.pack_id for number, pack in enumerate(packs) if number != 4}
    ids = [entry.id for pack in packs for entry in pack.entries]
    assert set(cache.known(ids)) == set(ids) - {entry.id for entry in packs[4].entries}
    assert there.passed_over() == {names[4]}
