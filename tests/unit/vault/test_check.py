# SPDX-License-Identifier: Apache-2.0
"""Is every lost byte of a stream told, exactly, and nothing looked at twice?"""

import random

import pytest

from karbor.model import errors
from karbor.sdk.streams import Kind
from karbor.sdk.testing.faults import FaultyBank
from karbor.vault.check import Check
from karbor.vault.examine import SHORT
from karbor.vault.examineobjects import CLOSED, MISSING, UNREADABLE
from karbor.vault.report import LEVELS
from tests.support.vaults import KIB, MIB, BytesSource, content_of, memory_bank, nothing, open_vault, parts

NOISE = random.Random(9).randbytes(3 * MIB)


def write(domain, data, base_id=None, extents=None):
    return domain.write_stream(BytesSource(data, extents), base_id=base_id, advance=nothing)


def only(bank, part):
    (name,) = [name for name in bank.objects if part in name]
    return name


def damage(bank, name, at, length=1):
    data = bank.objects[name]
    bank.objects[name] = data[:at] + bytes(byte ^ 1 for byte in data[at : at + length]) + data[at + length :]


def really_lost(domain, info):
    """The 4 KiB blocks of a stream that reading finds lost."""
    reader = domain.open_stream(info.id)
    found = set()
    for at in range(0, info.size, 4096):
        try:
            reader.read(at, min(4096, info.size - at))
        except errors.IntegrityError:
            found.add(at)
    return found


def told_lost(report):
    return {
        at for part in report.damage for at in range(part.offset - part.offset % 4096, part.offset + part.length, 4096)
    }


@pytest.mark.parametrize("level", LEVELS)
def test_a_whole_stream_has_no_damage_and_all_its_bytes_are_counted(domain, level):
    info = write(domain, NOISE + bytes(2 * MIB) + NOISE[:MIB])
    domain.read_back([info], nothing)
    told = []
    report = domain.check_stream(info.id, level, told.append)
    assert report.whole and not report.flaws and not report.unproven and report.size == info.size
    assert sum(told) == info.size


@pytest.mark.parametrize("level", LEVELS)
def test_an_empty_stream_and_one_of_zeroes_are_whole(domain, level):
    for size in (0, 5 * MIB):
        info = write(domain, bytes(size))
        assert domain.check_stream(info.id, level, nothing).whole


def test_the_ranges_are_those_that_cannot_be_read(bank, domain, tmp_path):
    info = write(domain, NOISE)
    name = only(bank, "/pack/")
    for at in (60_000, 1_000_000, 1_000_100, 2_000_000):
        damage(bank, name, at)
    report = domain.check_stream(info.id, "data", nothing)
    assert {part.reason for part in report.damage} == {CLOSED}
    assert {part.objects for part in report.damage} == {(name,)}
    assert 3 <= len(report.damage) <= 4 and report.flaws == ()
    fresh = open_vault(bank, tmp_path / "fresh").domain("project")
    assert told_lost(report) == really_lost(fresh, info) != set()


def test_quick_does_not_read_content_and_sees_what_is_cut_off(bank, domain):
    info = write(domain, NOISE)
    domain.read_back([info], nothing)
    name = only(bank, "/pack/")
    damage(bank, name, 1_000_000)
    assert domain.check_stream(info.id, "quick", nothing).whole
    bank.objects[name] = bank.objects[name][:2_000_000]
    report = domain.check_stream(info.id, "quick", nothing)
    assert not report.whole  # the nodes lie at the end of the pack, so all of the stream is lost with them
    assert report.lost == info.size and {part.reason for part in report.damage} == {SHORT}


@pytest.mark.parametrize("level", LEVELS)
def test_a_missing_pack_costs_what_lay_in_it(bank, domain, tmp_path, level):
    base = write(domain, NOISE)
    old = only(bank, "/pack/")
    changed = random.Random(1).randbytes(64 * KIB)
    info = write(domain, NOISE[:MIB] + changed + NOISE[MIB + 64 * KIB :], base.id,
                 parts(len(NOISE), [(MIB, 64 * KIB)], rest=Kind.SAME))  # fmt: skip
    (new,) = [name for name in bank.objects if "/pack/" in name and name != old]
    lost = bank.objects.pop(new)
    report = domain.check_stream(info.id, level, nothing)
    assert domain.check_stream(base.id, level, nothing).whole
    assert {part.objects for part in report.damage} == {(new,)} and {part.reason for part in report.damage} == {MISSING}
    bank.objects[new] = lost
    del bank.objects[old]
    report = domain.check_stream(info.id, level, nothing)
    fresh = open_vault(bank, tmp_path / "fresh").domain("project")
    assert told_lost(report) == really_lost(fresh, info) != set()
    assert MIB not in told_lost(report)


def test_a_pack_that_was_missed_before_is_still_named(bank, domain):
    """Reading makes the cache forget a pack that is gone; the index objects of the bank remember it."""
    info = write(domain, NOISE)
    del bank.objects[only(bank, "/pack/")]
    with pytest.raises(errors.IntegrityError):
        content_of(domain, info.id)
    report = domain.check_stream(info.id, "quick", nothing)
    assert report.lost == info.size and "/pack/" in report.damage[0].objects[0]


@pytest.mark.parametrize("level", LEVELS)
def test_a_lost_root_is_the_loss_of_everything(bank, domain, level):
    info = write(domain, NOISE[:KIB])
    name = only(bank, "/stream/")
    damage(bank, name, 60)
    (part,) = domain.check_stream(info.id, level, nothing).damage
    assert (part.offset, part.length, part.reason, part.objects) == (0, None, CLOSED, (name,))
    del bank.objects[name]
    (part,) = domain.check_stream(info.id, level, nothing).damage
    assert (part.offset, part.length, part.reason) == (0, None, MISSING)


def test_a_damaged_node_costs_its_span_and_no_more(bank, domain):
    """One leaf of three is lost: its mebibyte, whatever lies in it."""
    info = write(domain, NOISE)
    index = domain.check("quick")
    with index as run:
        tree = run._tree_of(info.id)
        leaf = tree.node_at(0, 1)
        place = run.store.index.locate([leaf])[leaf]
    damage(bank, only(bank, "/pack/"), place.offset)
    for level in LEVELS:
        (part,) = domain.check_stream(info.id, level, nothing).damage
        assert (part.offset, part.length) == (MIB, MIB)


@pytest.mark.parametrize("level", LEVELS)
def test_a_lost_index_object_is_named_although_it_costs_nothing(bank, domain, tmp_path, level):
    info = write(domain, NOISE)
    domain.read_back([info], nothing)
    name = only(bank, "/index/")
    kept = bank.objects.pop(name)
    for view in (domain, open_vault(bank, tmp_path / "fresh").domain("project")):
        report = view.check_stream(info.id, level, nothing)
        assert report.whole and [flaw.object for flaw in report.flaws] == [name]
    bank.objects[name] = kept
    damage(bank, name, 70)
    for view in (domain, open_vault(bank, tmp_path / "fresh2").domain("project")):
        report = view.check_stream(info.id, level, nothing)
        assert report.whole and [(flaw.object, flaw.reason) for flaw in report.flaws] == [(name, CLOSED)]


def test_what_was_never_read_back_is_told(bank, domain):
    info = write(domain, NOISE)
    assert domain.check_stream(info.id, "quick", nothing).unproven == (
        only(bank, "/index/").replace("/index/", "/proven/"),
    )


def test_a_copy_elsewhere_saves_the_bytes(bank, domain, tmp_path):
    """Two hosts stored the same content at the same time; one copy is damaged."""
    other = open_vault(bank, tmp_path / "other").domain("project")
    other.has_stream("x")
    first = write(domain, NOISE)
    second = bank.objects.copy()
    hidden = {name: bank.objects.pop(name) for name in second if "/index/" in name or "/pack/" in name}
    again = write(other, NOISE)
    bank.objects.update(hidden)
    assert len([name for name in bank.objects if "/pack/" in name]) == 2
    for name in [name for name in bank.objects if "/pack/" in name]:
        whole = bank.objects[name]
        damage(bank, name, 100)
        view = open_vault(bank, tmp_path / name[-8:]).domain("project")
        for info in (first, again):
            assert view.check_stream(info.id, "data", nothing).whole
            assert content_of(view, info.id) == NOISE
        bank.objects[name] = whole


def test_what_was_found_lost_is_stored_anew_and_heals_what_shares_it(bank, domain):
    info = write(domain, NOISE)
    domain.read_back([info], nothing)
    damage(bank, only(bank, "/pack/"), 1_000_000)
    assert not domain.check_stream(info.id, "data", nothing).whole
    assert not domain.check_stream(info.id, "data", nothing).whole  # the cache knows no better, the bank does
    again = write(domain, NOISE)
    assert again.bytes_stored < len(NOISE) // 2
    domain.read_back([again], nothing)
    for one in (info, again):
        report = domain.check_stream(one.id, "data", nothing)
        assert report.whole
        assert content_of(domain, one.id) == NOISE


def test_every_host_learns_of_lost_copies_and_stores_them_anew(bank, domain, tmp_path):
    info = write(domain, NOISE)
    domain.read_back([info], nothing)
    other = open_vault(bank, tmp_path / "other").domain("project")
    assert write(other, NOISE).bytes_stored < 1000  # it knows the pack, and that it was read back
    damage(bank, only(bank, "/pack/"), 1_000_000)
    with domain.check("data") as run:
        assert not run.stream(info.id, nothing).whole
        run.note_damage()
    for host in (other, open_vault(bank, tmp_path / "new").domain("project")):
        again = write(host, NOISE)
        host.read_back([again], nothing)
        assert host.check_stream(again.id, "data", nothing).whole
    assert domain.check_stream(info.id, "data", nothing).whole


def test_a_pack_that_was_put_back_is_read_again(bank, domain):
    info = write(domain, NOISE)
    name = only(bank, "/pack/")
    kept = bank.objects[name]
    damage(bank, name, 1_000_000)
    with domain.check("data") as run:
        assert not run.stream(info.id, nothing).whole
        run.note_damage()
    bank.objects[name] = kept
    assert domain.check_stream(info.id, "data", nothing).whole
    assert content_of(domain, info.id) == NOISE


def test_one_run_reads_shared_content_once(bank, tmp_path):
    counted = FaultyBank(bank)
    domain = open_vault(counted, tmp_path / "x").domain("project")
    base = write(domain, NOISE * 3)
    info = write(domain, NOISE * 2 + NOISE[::-1], base.id, parts(9 * MIB, [(6 * MIB, 3 * MIB)], rest=Kind.SAME))
    domain.read_back([base, info], nothing)
    with domain.check("data") as run:
        assert run.stream(base.id, nothing).whole
        counted.calls.clear()
        assert run.stream(info.id, nothing).whole
        first = counted.calls.count("get")
        counted.calls.clear()
        assert run.stream(info.id, nothing).whole
    assert first < 12 and counted.calls == ["get"]  # the root itself


def test_shared_damage_is_told_for_each_stream(bank, domain):
    base = write(domain, NOISE)
    name = only(bank, "/pack/")
    info = write(domain, NOISE + NOISE[:KIB], base.id, parts(3 * MIB + KIB, [(3 * MIB, KIB)], rest=Kind.SAME))
    clean = write(domain, NOISE[MIB : 2 * MIB])
    damage(bank, name, 100)
    with domain.check("data") as run:
        reports = [run.stream(one.id, nothing) for one in (base, info, base, clean)]
    assert [report.lost > 0 for report in reports] == [True, True, True, False]
    assert reports[0].damage == reports[1].damage == reports[2].damage


def test_a_bank_that_is_gone_is_no_damage(bank, tmp_path):
    faulty = FaultyBank(bank)
    domain = open_vault(faulty, tmp_path / "x").domain("project")
    info = write(domain, NOISE)
    faulty.fail(8, lasting=True)
    with pytest.raises(errors.BankUnavailable):
        domain.check_stream(info.id, "data", nothing)


class BadSector(FaultyBank):
    """Cannot read some bytes of one object, as a disk that begins to fail."""

    bad = None

    def get(self, name, offset=0, length=None):
        found = super().get(name, offset, length)
        if self.bad is not None and self.bad[0] == name and offset <= self.bad[1] < offset + len(found):
            raise errors.BankUnavailable(detail="Input/output error")
        return found


def test_bytes_that_the_bank_cannot_read_are_told_and_the_rest_is_looked_at(bank, tmp_path):
    failing = BadSector(bank)
    domain = open_vault(failing, tmp_path / "x").domain("project")
    info = write(domain, NOISE)
    name = only(bank, "/pack/")
    failing.bad = (name, 2_000_000)
    report = domain.check_stream(info.id, "data", nothing)
    assert {part.reason for part in report.damage} == {UNREADABLE} and {part.objects for part in report.damage} == {
        (name,)
    }
    assert 0 < report.lost < info.size
    failing.bad = (name, len(bank.objects[name]) - 20)
    report = domain.check_stream(info.id, "data", nothing)
    assert report.whole and [(flaw.object, flaw.reason) for flaw in report.flaws] == [(name, UNREADABLE)]


def test_a_bank_that_fails_once_is_asked_again(bank, tmp_path):
    faulty = FaultyBank(bank)
    domain = open_vault(faulty, tmp_path / "x").domain("project")
    info = write(domain, NOISE)
    domain.read_back([info], nothing)
    with domain.check("data") as run:
        faulty.fail(4, method="get")  # root, index object, marker, and then a part of the pack
        assert run.stream(info.id, nothing).whole and not run.flaws


def test_what_advance_raises_ends_the_run(domain):
    def stop(_: int) -> None:
        raise errors.Cancelled

    info = write(domain, NOISE)
    with pytest.raises(errors.Cancelled):
        domain.check_stream(info.id, "data", stop)


def test_an_unknown_level_is_refused(domain):
    write(domain, b"x")
    with pytest.raises(errors.InvalidInput):
        domain.check("thorough")


def test_a_project_that_stored_nothing_has_nothing_to_check(tmp_path):
    with pytest.raises(errors.ObjectNotFound):
        open_vault(memory_bank(), tmp_path).domain("project").check("quick")


@pytest.mark.parametrize("part", ["vault/key/", "/key/"])
def test_lost_keys_are_named_also_by_a_worker_that_holds_them_in_memory(bank, domain, part):
    info = write(domain, NOISE[:KIB])
    name = max(name for name in bank.objects if name.startswith(part) or (part in name and name.startswith("d/")))
    kept = bank.objects[name]
    for wrong in (None, kept[:60] + b"!" + kept[61:]):
        bank.objects.pop(name)
        if wrong is not None:
            bank.objects[name] = wrong
        with pytest.raises(errors.IntegrityError) as caught:
            domain.check_stream(info.id, "quick", nothing)
        assert name in caught.value.detail
        bank.objects[name] = kept


def test_records_are_read_anew(bank, domain):
    domain.put_record("checkpoint", "1", {"a": 1})
    with domain.check("quick") as run:
        assert isinstance(run, Check) and run.record("checkpoint", "1") == {"a": 1}
        damage(bank, only(bank, "/record/"), 60)
        with pytest.raises(errors.IntegrityError):
            run.record("checkpoint", "1")
