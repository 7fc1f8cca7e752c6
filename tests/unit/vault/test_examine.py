# SPDX-License-Identifier: Apache-2.0
"""Is no changed bit, and no object that is gone, cut off or exchanged, ever overlooked or restored silently?

Every byte of a small bank is tried with one of its bits, another one in each; with ``KARBOR_EVERY_BIT=1`` all of them.
"""

import os
import random
import shutil

import pytest

from karbor.model import errors
from karbor.sdk.streams import Kind
from karbor.vault.checkrest import look_at_rest
from tests.support.vaults import BytesSource, content_of, memory_bank, nothing, open_vault, parts

SMALL = random.Random(3).randbytes(300) + b"text " * 40 + random.Random(4).randbytes(100)
BITS = range(8) if os.environ.get("KARBOR_EVERY_BIT") else (None,)


class Bank:
    """A bank with a checkpoint, an increment on it, and a deleted one; ``small``: as few bytes as possible."""

    def __init__(self, root, data, change):
        self.root = root
        self.bank = memory_bank()
        self.domain = open_vault(self.bank, root / "writer", threads=1).domain("project")
        self.contents = {}
        base = self._write(data, None, None)
        changed = change + data[len(change) :]
        self._write(changed, base, parts(len(data), [(0, len(change))], rest=Kind.SAME))
        self.domain.put_record("checkpoint", "2", {"of": "nothing"})
        self.domain.delete_record("checkpoint", "2")
        self.domain.lease("job", fence=1, record=("checkpoint", "3"))
        self.objects = dict(self.bank.objects)

    def _write(self, data, base_id, extents):
        info = self.domain.write_stream(BytesSource(data, extents), base_id=base_id, advance=nothing)
        self.domain.read_back([info], nothing)
        self.domain.put_record("checkpoint", str(len(self.contents)), {"stream": info.id})
        self.contents[info.id] = data
        return info.id

    def look(self, domain, level):
        """(names of all objects that a check of everything finds wrong, how many bytes are lost)"""
        named, lost = set(), 0
        try:
            with domain.check(level) as run:
                for number, stream_id in enumerate(self.contents):
                    try:
                        run.record("checkpoint", str(number))
                    except (errors.IntegrityError, errors.ObjectNotFound):
                        named.add(f"{run.store.prefix}record/checkpoint/{number}")
                    for part in run.stream(stream_id, nothing).damage:
                        named.update(part.objects)
                        lost += part.length or len(self.contents[stream_id])
                look_at_rest(run, nothing)
                named.update(flaw.object for flaw in run.flaws)
                named.update(run.unproven)
        except (errors.IntegrityError, errors.KeyUnavailable) as fault:
            named.update(name for name in self.objects if name in fault.detail)
        return named, lost

    def restores(self):
        """What a worker that knows nothing yet reads of each stream; None where it is refused."""
        shutil.rmtree(self.root / "fresh", ignore_errors=True)
        vault = open_vault(self.bank, self.root / "fresh", threads=1)
        found = []
        for number, stream_id in enumerate(self.contents):
            try:
                assert vault.domain("project").get_record("checkpoint", str(number)) == {"stream": stream_id}
                found.append(content_of(vault.domain("project"), stream_id))
            except (errors.IntegrityError, errors.KeyUnavailable, errors.NotFound):
                found.append(None)
        vault.close()
        return found

    def put(self, name, data):
        if data is None:
            self.bank.objects.pop(name, None)
        else:
            self.bank.objects[name] = data

    def heal(self):
        self.bank.objects.clear()
        self.bank.objects.update(self.objects)


@pytest.fixture
def small(tmp_path):
    return Bank(tmp_path, SMALL, b"change")


@pytest.fixture
def larger(tmp_path):
    """With full and with partial packs, so that objects of one kind have different sizes."""
    return Bank(tmp_path, random.Random(5).randbytes(150_000), random.Random(6).randbytes(40_000))


def test_a_whole_bank_has_nothing_wrong(small):
    for level in ("quick", "data"):
        assert small.look(small.domain, level) == (set(), 0)


def test_every_flipped_bit_is_found_and_named_exactly_by_the_level_data(small):
    tried = 0
    for name, data in small.objects.items():
        for at in range(len(data)):
            for bit in (at % 8 if bit is None else bit for bit in BITS):
                small.put(name, data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :])
                assert small.look(small.domain, "data")[0] == {name}, f"bit {bit} of byte {at} of {name}"
                tried += 1
        small.put(name, data)
    assert tried == sum(map(len, small.objects.values())) * len(BITS)


def test_no_flipped_bit_is_ever_restored(small):
    """A worker that starts from the damaged bank reads what was written, or refuses."""
    right = list(small.contents.values())
    for name, data in small.objects.items():
        for at in range(0, len(data), 1 if os.environ.get("KARBOR_EVERY_BIT") else 9):
            for bit in (at % 8 if bit is None else bit for bit in BITS):
                small.put(name, data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :])
                found = small.restores()
                assert all(one in (None, wanted) for one, wanted in zip(found, right, strict=True)), (name, at, bit)
        small.put(name, data)


@pytest.mark.parametrize("level", ["quick", "data"])
def test_every_deleted_object_is_found_and_named(larger, level):
    for name in larger.objects:
        if "/gone/" in name or "/lease/" in name or "/hold/" in name:
            continue  # a record that is gone is gone without them too; a lease that is gone looks as one that ended
        larger.put(name, None)
        assert name in larger.look(larger.domain, level)[0]
        larger.heal()


@pytest.mark.parametrize("level", ["quick", "data"])
def test_every_object_that_is_cut_off_is_found_and_named(larger, level):
    for name, data in larger.objects.items():
        for keep in {0, 1, len(data) // 2, len(data) - 1}:
            larger.put(name, data[:keep])
            assert larger.look(larger.domain, level)[0] == {name}, (name, keep)
        larger.heal()


@pytest.mark.parametrize("level", ["quick", "data"])
def test_every_object_that_grew_is_found_and_named(larger, level):
    for name, data in larger.objects.items():
        larger.put(name, data + b"x")
        assert larger.look(larger.domain, level)[0] == {name}
        larger.heal()


def test_every_exchange_of_two_objects_of_one_kind_is_found(larger):
    right = list(larger.contents.values())
    tried = 0
    for one in larger.objects:
        for other in larger.objects:
            kind = one.split("/")[2:3], other.split("/")[2:3]
            if one >= other or kind[0] != kind[1] or not one.startswith("d/"):
                continue
            larger.put(one, larger.objects[other])
            larger.put(other, larger.objects[one])
            assert {one, other} <= larger.look(larger.domain, "data")[0]
            assert all(got in (None, wanted) for got, wanted in zip(larger.restores(), right, strict=True))
            larger.heal()
            tried += 1
    assert tried >= 5  # packs, index objects, markers, roots, records


def test_damage_in_what_nobody_needs_is_named_too(larger):
    """The stream of a deleted checkpoint, its packs, and an object of no known kind."""
    info = larger.domain.write_stream(BytesSource(random.Random(7).randbytes(9000)), advance=nothing)
    new = set(larger.bank.objects) - set(larger.objects)
    assert larger.look(larger.domain, "data")[0] == {
        name.replace("/index/", "/proven/") for name in new if "/index/" in name
    }
    larger.domain.read_back([info], nothing)
    assert larger.look(larger.domain, "data")[0] == set()
    for name in new:
        data = larger.bank.objects[name]
        larger.put(name, data[:100] + bytes([data[100] ^ 1]) + data[101:])
        named, lost = larger.look(larger.domain, "data")
        assert named == {name} and lost == 0
        larger.put(name, data)
    strange = f"{next(iter(new)).rpartition('/')[0]}/strange"
    larger.put(strange.replace("/pack/", "/other/"), b"")
    assert len(larger.look(larger.domain, "quick")[0]) == 1
