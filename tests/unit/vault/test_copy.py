# SPDX-License-Identifier: Apache-2.0
"""Does a copy in another bank stand alone, and is only that sent which is missing there?"""

import random
import tempfile
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from karbor.model import errors
from karbor.sdk.streams import Extent, Kind
from karbor.sdk.testing.faults import FaultyBank
from karbor.vault.keys import MasterKey
from tests.support.vaults import (
    GIB,
    KIB,
    MIB,
    TIB,
    BytesSource,
    MadeUpSource,
    content_of,
    memory_bank,
    nothing,
    open_vault,
    parts,
)

NOISE = random.Random(5).randbytes(8 * MIB)


class Sites:
    """Two banks with nothing in common, and the domain of one project in each."""

    def __init__(self, root):
        self.root = Path(root)
        self.first, self.second = memory_bank(), FaultyBank(memory_bank())
        self.vaults = [
            open_vault(self.first, self.root / "first"),
            open_vault(self.second, self.root / "second", key=MasterKey(bytes(32))),
        ]
        self.here, self.there = (vault.domain("project") for vault in self.vaults)

    def write(self, data, base=None, extents=None):
        return self.here.write_stream(BytesSource(data, extents), base_id=base and base.id, advance=nothing)

    def copy(self, info, earlier=()):
        """Copy and read back; returns what came of it."""
        made = self.here.copy_stream(info.id, self.there, nothing, earlier=[one.id for one in earlier])
        self.there.read_back([made], nothing)
        return made

    def stored(self):
        return sum(len(data) for data in self.second.inner.objects.values())

    def lose_the_first(self):
        self.first.objects.clear()
        self.vaults[0].close()

    def close(self):
        for vault in self.vaults:
            vault.close()


@pytest.fixture
def sites(tmp_path):
    found = Sites(tmp_path)
    yield found
    found.close()


def test_a_copy_restores_with_the_first_bank_gone(sites, tmp_path):
    made = sites.copy(sites.write(NOISE + bytes(3 * MIB) + b"end"))
    sites.lose_the_first()
    fresh = open_vault(sites.second, tmp_path / "fresh", key=MasterKey(bytes(32)))
    assert content_of(fresh.domain("project"), made.id) == NOISE + bytes(3 * MIB) + b"end"
    fresh.close()


def test_names_and_keys_of_the_first_bank_do_not_appear_in_the_second(sites):
    sites.copy(sites.write(NOISE))
    first = {name.rpartition("/")[2] for name in sites.first.objects}
    second = {name.rpartition("/")[2] for name in sites.second.inner.objects}
    assert first & second == {"00000001"}  # the first wrapping of a key is called so everywhere
    domains = [
        {name.split("/")[1] for name in bank if name.startswith("d/")}
        for bank in (sites.first.objects, sites.second.inner.objects)
    ]
    assert not domains[0] & domains[1]


def test_the_copy_of_an_increment_reads_and_sends_the_difference(sites):
    base = sites.write(NOISE)
    changed = bytearray(NOISE)
    changed[3 * MIB : 3 * MIB + 64 * KIB] = random.Random(1).randbytes(64 * KIB)
    increment = sites.write(changed, base, parts(len(changed), [(3 * MIB, 64 * KIB)], rest=Kind.SAME))
    first = sites.copy(base)
    before = sites.stored()
    second = sites.copy(increment, [first])
    assert second.bytes_read == 64 * KIB
    assert 64 * KIB < second.bytes_stored < 64 * KIB + 4000
    assert sites.stored() - before - second.bytes_stored < 200  # beside it only the mark that it was read back
    assert content_of(sites.there, second.id) == changed


def test_without_an_earlier_copy_named_the_difference_alone_is_sent_all_the_same(sites):
    base = sites.write(NOISE)
    changed = bytearray(NOISE)
    changed[MIB : MIB + 64 * KIB] = bytes(64 * KIB)
    increment = sites.write(changed, base, parts(len(changed), [(MIB, 64 * KIB)], rest=Kind.SAME))
    sites.copy(base)
    second = sites.copy(increment)
    assert second.bytes_read > 7 * MIB
    assert second.bytes_stored < 4000
    assert content_of(sites.there, second.id) == changed


def test_an_earlier_copy_whose_original_is_gone_is_not_used(sites):
    base = sites.write(NOISE)
    increment = sites.write(NOISE[: 7 * MIB], base, [Extent(0, 7 * MIB, Kind.SAME)])
    first = sites.copy(base)
    for name in [name for name in sites.first.objects if name.endswith(base.id)]:
        del sites.first.objects[name]
    second = sites.copy(increment, [first])
    assert second.bytes_read > 6 * MIB and second.bytes_stored < 2000
    assert content_of(sites.there, second.id) == NOISE[: 7 * MIB]


def test_a_stream_that_is_no_copy_is_not_taken_for_one(sites):
    base = sites.write(NOISE)
    native = sites.there.write_stream(BytesSource(NOISE[::-1]), advance=nothing)
    made = sites.copy(base, [native])
    assert content_of(sites.there, made.id) == NOISE


def test_a_copy_of_another_project_or_bank_is_not_taken_for_ours(sites, tmp_path):
    other = sites.vaults[0].domain("other")
    info = other.write_stream(BytesSource(NOISE), advance=nothing)
    foreign = other.copy_stream(info.id, sites.there, nothing)
    made = sites.copy(sites.write(NOISE[: 4 * MIB]), [foreign])
    assert content_of(sites.there, made.id) == NOISE[: 4 * MIB]
    assert made.bytes_read > 3 * MIB and made.bytes_stored < 3000  # opened, and found to be there


def test_an_unchanged_disk_of_a_tebibyte_costs_one_small_object(sites):
    source = MadeUpSource(TIB, parts(TIB, [(GIB, 2 * MIB)], rest=Kind.ZERO), seed="a")
    base = sites.here.write_stream(source, advance=nothing)
    first = sites.copy(base)
    again = MadeUpSource(TIB, [Extent(0, TIB, Kind.SAME)], seed="a")
    increment = sites.here.write_stream(again, base_id=base.id, advance=nothing)
    told = []
    second = sites.here.copy_stream(increment.id, sites.there, told.append, earlier=[first.id])
    assert second.bytes_read == 0 and second.bytes_stored < 500
    assert sum(told) == TIB


def test_the_recipe_is_read_in_few_requests(sites):
    size = 256 * MIB
    places = [(at * MIB, 64 * KIB) for at in range(256)]
    info = sites.here.write_stream(MadeUpSource(size, parts(size, places, rest=Kind.ZERO), seed="a"), advance=nothing)
    calls = FaultyBank(sites.first)
    other = open_vault(calls, sites.root / "calls")
    other.domain("project").copy_stream(info.id, sites.there, nothing)
    assert calls.calls.count("get") < 80  # 265 nodes and 16 MiB of content; keys, index and root as well
    other.close()


def test_a_copy_that_was_cut_off_finds_what_it_sent(sites):
    big = random.Random(9).randbytes(40 * MIB)
    info = sites.write(big)
    sites.copy(sites.write(b"x"))  # makes the keys
    sites.second.fail(2, method="put_if_absent", lasting=True)  # one pack is through
    with pytest.raises(errors.BankUnavailable):
        sites.copy(info)
    sites.second.heal()
    sites.vaults[1].close()  # as after a kill: only the cache on disk and the bank are left
    sites.vaults[1] = open_vault(sites.second, sites.root / "second", key=MasterKey(bytes(32)))
    sites.there = sites.vaults[1].domain("project")
    sent = sites.stored()
    assert sent > 16 * MIB
    made = sites.copy(info)
    assert sites.stored() - sent < 40 * MIB + MIB - sent
    assert content_of(sites.there, made.id) == big


@pytest.mark.parametrize("after", [False, True])
def test_a_failure_of_any_call_leaves_nothing_half_visible_and_a_new_try_works(tmp_path, after):
    small = NOISE[:300_000]
    nth = 1
    while True:
        sites = Sites(tmp_path / f"{after}-{nth}")
        info = sites.write(small)
        sites.second.calls.clear()
        sites.second.fail(nth, after=after)
        try:
            sites.copy(info)
            reached = False
        except errors.BankUnavailable:
            reached = True
        sites.second.heal()
        fresh = open_vault(sites.second, sites.root / "fresh", key=MasterKey(bytes(32)))
        for name in list(sites.second.inner.objects):
            if "/stream/" in name:
                assert content_of(fresh.domain("project"), name.rpartition("/")[2]) == small
        fresh.close()
        assert content_of(sites.there, sites.copy(info).id) == small
        sites.close()
        if not reached:
            break
        nth += 1
    assert nth > 8


@pytest.mark.parametrize("error", [errors.Cancelled, errors.LeaseLost])
def test_what_advance_raises_ends_the_copy_and_leaves_no_stream(sites, error):
    info = sites.write(NOISE)

    def stop(_):
        raise error

    with pytest.raises(error):
        sites.here.copy_stream(info.id, sites.there, stop)
    assert not [name for name in sites.second.inner.objects if "/stream/" in name]
    assert sites.copy(info).size == len(NOISE)


def test_damage_in_the_first_bank_ends_the_copy_and_is_never_sent(sites):
    info = sites.write(NOISE)
    name = max(
        (name for name in sites.first.objects if "/pack/" in name), key=lambda one: len(sites.first.objects[one])
    )
    damaged = bytearray(sites.first.objects[name])
    damaged[len(damaged) // 2] ^= 1
    sites.first.objects[name] = bytes(damaged)
    with pytest.raises(errors.IntegrityError):
        sites.copy(info)
    assert not [name for name in sites.second.inner.objects if "/stream/" in name]


def test_two_copies_at_once_send_common_content_once(sites):
    infos = [sites.write(NOISE), sites.write(NOISE + b"more")]
    made = []
    threads = [threading.Thread(target=lambda one=info: made.append(sites.copy(one))) for info in infos]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sites.stored() < len(NOISE) * 1.1
    assert {content_of(sites.there, one.id) for one in made} == {NOISE, NOISE + b"more"}


def test_a_missing_stream_is_said_to_be_missing(sites):
    sites.write(b"x")
    with pytest.raises(errors.ObjectNotFound):
        sites.here.copy_stream("0" * 32, sites.there, nothing)


@settings(max_examples=25)
@given(st.randoms(use_true_random=False), st.integers(1, 4))
def test_every_point_of_a_chain_comes_back_from_the_second_bank(chance, length):
    with tempfile.TemporaryDirectory() as root:
        sites = Sites(root)
        chain, data, info = [], b"", None
        for _ in range(length):
            before, size = data, chance.choice([0, 5, 4096, MIB, 3 * MIB + 7])
            grown = bytearray(before[:size].ljust(size, b"\x00"))
            changed = []
            for at in sorted(chance.sample(range(0, size or 1, 4096), min(len(range(0, size or 1, 4096)), 3))):
                stop = min(size, at + chance.choice([512, 4096, 65536]))
                if stop > at and (not changed or at >= changed[-1][0] + changed[-1][1]):
                    grown[at:stop] = NOISE[at + 17 : stop + 17] if chance.random() < 0.7 else bytes(stop - at)
                    changed.append((at, stop - at))
            data = bytes(grown)
            extents = parts(size, changed, rest=Kind.SAME) if info else None
            info = sites.write(data, info, extents)
            copies = [made for _, made in chain]
            chain.append((data, sites.copy(info, chance.sample(copies, len(copies)))))
        sites.lose_the_first()
        for data, made in chain:
            assert content_of(sites.there, made.id) == data
        sites.close()
