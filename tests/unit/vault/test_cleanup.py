# SPDX-License-Identifier: Apache-2.0
"""Is space given back, and never what anybody needs, whatever happens in between?

The last part plays many schedules of two sites in one bank (tests/support/bankworld.py has the command for a long run).
"""

import random
from dataclasses import replace

import pytest

from karbor.model import errors
from karbor.sdk.streams import Extent, Kind
from karbor.sdk.testing.faults import FaultyBank
from karbor.vault.chunker import cut_at_pages
from karbor.vault.cleanup import CleanUp
from tests.support import bankworld, wrongcleanup
from tests.support.cleanroom import AT_ONCE, KIND, TERMS, CleanRoom
from tests.support.vaults import BytesSource, content_of, memory_bank, nothing

PAGES = [random.Random(number).randbytes(4096) for number in range(64)]
LATER = replace(AT_ONCE, grace=3600)


def disk(*numbers):
    """Runs of four pages, which are a chunk each as a rule."""
    return b"".join(PAGES[number] * 4 for number in numbers)


# What a clean-up does


def test_what_a_deleted_checkpoint_had_for_itself_is_given_back(room):
    [kept] = room.protect("kept", disk(1, 2))
    before = set(room.names_of_domain())
    room.protect("gone", disk(2, 3, 4, 5))
    room.site().delete_record(KIND, "gone")
    room.clean()
    left = set(room.names_of_domain())
    marks = {"gone/record/checkpoint/gone", "hold/checkpoint.gone.00000001"}  # for a while: it is deleted, for good
    assert {name for name in left if not name.startswith("gc/claim/")} == before | marks
    assert content_of(room.site("elsewhere"), kept) == disk(1, 2)


def test_nothing_is_deleted_before_the_grace_is_over(room):
    room.protect("gone", disk(1, 2))
    room.site().delete_record(KIND, "gone")
    room.clock.pass_time(1e9)
    report = room.clean(LATER)
    assert (report.condemned_packs, report.condemned_streams, report.packs_deleted) == (1, 1, 0)
    assert len(room.names("pack/")) == 1
    room.clock.pass_time(3599)
    assert room.clean(LATER).lists_waiting == 1
    room.clock.pass_time(2)
    report = room.clean(LATER)
    assert (report.packs_deleted, report.streams_deleted, report.index_objects_deleted) == (1, 1, 1)
    assert report.bytes_deleted > 2 * 4096
    assert room.names("pack/") == room.names("index/") == room.names("proven/") == room.names("stream/") == []
    assert room.names("gc/condemned/") == []


def test_nothing_is_deleted_while_somebody_may_rely_on_it(room):
    room.protect("gone", disk(1, 2))
    lease = room.lease("writer", site="there")
    room.site().delete_record(KIND, "gone")
    assert room.clean().lists_waiting == 1
    stream = room.write(disk(1, 3), lease, site="there")
    assert room.clean().packs_deleted == 0
    room.site("there").put_record(KIND, "writer", {"streams": [stream.id]}, lease=lease)
    lease.end()
    report = room.clean()
    assert (report.lists_waiting, report.streams_deleted) == (0, 1)
    assert content_of(room.site("elsewhere"), stream.id) == disk(1, 3)


def test_backups_that_begin_while_something_is_condemned_neither_wait_nor_rely_on_it(room):
    room.protect("gone", disk(1, 2))
    room.site().delete_record(KIND, "gone")
    old = room.lease("old", site="there")
    room.clean()
    [again] = room.protect("again", disk(1, 2))
    assert len(room.names("pack/")) == 2
    old.end()
    assert room.clean().packs_deleted == 1
    assert content_of(room.site("elsewhere"), again) == disk(1, 2)


def test_a_condemned_stream_is_no_base_for_those_who_begin_later(room):
    [base] = room.protect("gone", disk(1, 2))
    early = room.lease("early")
    room.site().delete_record(KIND, "gone")
    room.clean()
    late = room.lease("late")
    assert room.site().has_stream(base, lease=early)
    assert not room.site().has_stream(base, lease=late)
    assert not room.site().has_stream(base)
    with pytest.raises(errors.ObjectNotFound):
        room.write(disk(1, 2), late, base)
    room.write(disk(1, 2), early, base)


def test_a_stream_that_no_record_names_yet_keeps_what_others_took_over_from_it(room):
    """A base was written by a job whose record is deleted before ours is there."""
    room.protect("gone", disk(1, 2))
    writer = room.lease("first")
    room.site().delete_record(KIND, "gone")
    room.clean()  # condemns
    stream = room.write(disk(1, 2), writer)  # refers to what is condemned, as it may
    room.site().put_record(KIND, "first", {"streams": [stream.id]}, lease=writer)
    writer.end()
    second = room.lease("second", site="there")
    on_top = room.write(disk(1, 2), second, stream.id, site="there")
    room.site().delete_record(KIND, "first")
    room.clean()
    room.site("there").put_record(KIND, "second", {"streams": [on_top.id]}, lease=second)
    second.end()
    room.clean()
    assert content_of(room.site("elsewhere"), on_top.id) == disk(1, 2)


def test_thin_packs_are_written_anew_and_given_back(room):
    content = disk(*range(40))
    first = content[slice(*cut_at_pages(content, 0)[0])]
    [whole] = room.protect("a", content)
    [part] = room.protect("b", first)
    room.site().delete_record(KIND, "a")
    size = sum(len(room.bank.objects[name]) for name in room.bank.objects if "/pack/" in name)
    report = room.clean()
    assert report.bytes_rewritten > 4096
    left = sum(len(room.bank.objects[name]) for name in room.bank.objects if "/pack/" in name)
    assert left < size / 3
    assert content_of(room.site("elsewhere"), part) == first
    again = room.clean()
    assert (again.bytes_rewritten, again.condemned_packs) == (0, 0)
    assert not room.site().has_stream(whole)


def test_many_small_index_objects_become_one(room):
    streams = [room.protect(f"job{number}", disk(number))[0] for number in range(20)]
    settings = replace(AT_ONCE, small_index=16)
    report = room.clean(settings)
    assert report.index_objects_deleted == 20
    assert len(room.names("index/")) == len(room.names("proven/")) == 1
    assert room.clean(settings).index_objects_deleted == 0
    for number, stream in enumerate(streams):
        assert content_of(room.site("elsewhere"), stream) == content_of(room.site(), stream) == disk(number)
    room.protect("more", disk(1, 2, 3))
    assert len(room.names("pack/")) == 21  # nodes of the new recipe: all content is found to be there


def test_packs_that_nobody_lists_are_orphans_and_go(tmp_path):
    inner = memory_bank()
    bank = FaultyBank(inner)
    room = CleanRoom(tmp_path, inner)
    room.protect("kept", disk(1))
    broken = CleanRoom(tmp_path / "broken", bank)
    lease = broken.lease("broken")
    bank.fail(2, method="put_if_absent", lasting=True)
    with pytest.raises(errors.BankUnavailable):
        broken.write(disk(2, 3), lease)
    assert len(room.names("pack/")) == 2
    room.clock.pass_time(10 * TERMS.term)
    room.clean()
    assert len(room.names("pack/")) == 1
    room.close()
    broken.close()


def test_held_streams_and_records_are_kept(room):
    [stream] = room.protect("held", disk(1))
    [other] = room.protect("record-held", disk(2))
    domain = room.site()
    store = domain._for_writing().store
    for name, document in (("hold/1", {"streams": [stream]}), ("hold/2", {"records": ["checkpoint/record-held"]})):
        room.bank.put_if_absent(store.prefix + name, store.codec.seal_document(name, document))
    record = next(name for name in room.bank.objects if name.endswith("record/checkpoint/record-held"))
    data = room.bank.objects[record]
    for one in ("held", "record-held"):
        domain.delete_record(KIND, one)
    room.bank.objects[record] = data  # deleted, but its object is locked and stays
    room.clock.pass_time(1e9)
    room.clean()
    for one, content in ((stream, disk(1)), (other, disk(2))):
        assert content_of(room.site("elsewhere"), one) == content
    assert room.names("gone/") == ["gone/record/checkpoint/record-held"]


def test_notes_of_damage_go_with_the_packs(room):
    room.protect("gone", disk(1))
    room.protect("kept", disk(2))
    store = room.site()._for_writing().store
    gone, kept = (
        store.index_objects.get(name)[0]
        for name in sorted(room.names("index/"), key=lambda name: room.bank._modified[store.prefix + name])
    )
    for directory in (gone, kept):
        store.index_objects.note_damage({(directory.entries[0].id, directory.pack_id)})
    room.site().delete_record(KIND, "gone")
    room.clean()
    assert len(room.names("damage/")) == 1


@pytest.mark.parametrize("host", ["here", "elsewhere"])
def test_a_pack_that_reading_back_found_cut_is_given_back(room, host):
    """Also on the host that does not trust it any more, and together with the index object that lists it."""
    [kept] = room.protect("kept", disk(1))
    before = set(room.names_of_domain())
    domain = room.site()
    info = domain.write_stream(BytesSource(disk(2, 3)), base_id=None, advance=nothing)
    cut(room, set(room.names("pack/")) - before)
    with pytest.raises(errors.IntegrityError):
        domain.read_back([info], nothing)
    assert room.clean(site=host).packs_deleted == 1
    assert {name for name in room.names_of_domain() if not name.startswith("gc/claim/")} == before
    assert content_of(room.site("third"), kept) == disk(1)


def test_a_pack_that_nobody_knows_is_given_back_after_the_grace(room):
    """It was cut while it was put, and its writer died before it listed it."""
    [kept] = room.protect("kept", disk(1))
    before = set(room.names("pack/"))
    room.site().write_stream(BytesSource(disk(2, 3)), base_id=None, advance=nothing)
    unknown = set(room.names("pack/")) - before
    cut(room, unknown)
    prefix = room.site()._for_writing().store.prefix
    for name in sorted(room.names("index/"), key=lambda name: room.bank._modified[prefix + name])[1:]:
        room.bank.delete(prefix + name)
    room.clock.pass_time(1e9)
    assert (room.clean(LATER, "fresh").condemned_packs, set(room.names("pack/")) - before) == (1, unknown)
    room.clock.pass_time(3601)
    assert room.clean(LATER, "fresh").packs_deleted == 1
    assert set(room.names("pack/")) == before
    assert content_of(room.site("third"), kept) == disk(1)


def test_what_nobody_knows_stays_as_long_as_an_index_object_cannot_be_read(room):
    """A host that read it earlier, or a mended index object, may tell what the pack holds."""
    room.protect("kept", disk(1, 2))
    cut(room, room.names("pack/"))
    prefix = room.site()._for_writing().store.prefix
    [name] = room.names("index/")
    room.bank.objects[prefix + name] = room.bank.objects[prefix + name][:-1]
    room.site().delete_record(KIND, "kept")
    assert room.clean(site="fresh").packs_deleted == 0
    assert len(room.names("pack/")) == 1


def cut(room, packs):
    """The bank keeps half of these packs."""
    prefix = room.site()._for_writing().store.prefix
    for name in packs:
        data = room.bank.objects[prefix + name]
        room.bank.objects[prefix + name] = data[: len(data) // 2]


def test_tombstones_are_kept_for_their_time(room):
    room.protect("gone", disk(1))
    room.site().delete_record(KIND, "gone")
    assert room.clean().tombstones_deleted == 0
    room.clock.pass_time(AT_ONCE.tombstones)
    assert room.clean().tombstones_deleted == 1
    assert room.names("gone/") == []


def test_a_dry_run_tells_what_would_go_and_writes_nothing(room):
    room.protect("kept", disk(1))
    room.protect("gone", disk(2, 3))
    room.site().delete_record(KIND, "gone")
    before = dict(room.bank.objects)
    report = room.clean(dry_run=True)
    assert room.bank.objects == before
    assert (report.streams, report.packs, report.condemned_streams, report.condemned_packs) == (2, 2, 1, 1)
    assert report.condemned_bytes > 8192


def test_a_project_that_stored_nothing_costs_nothing(room):
    assert room.site("other").clean_up(AT_ONCE, pause=lambda _: None).domains == 0
    assert room.bank.objects == {}


def test_damage_that_hides_what_is_needed_stops_clean_up(room):
    room.protect("damaged", disk(1, 2))
    room.protect("gone", disk(3))
    room.site().delete_record(KIND, "gone")
    pack = next(name for name in room.bank.objects if "/pack/" in name)
    room.bank.objects[pack] = room.bank.objects[pack][:60] + bytes(len(room.bank.objects[pack]) - 60)
    before = set(room.names("pack/"))
    with pytest.raises(errors.IntegrityError):
        room.clean(site="fresh")
    assert set(room.names("pack/")) == before


def test_somebody_else_at_work_is_said_and_a_stop_is_heard(room):
    room.protect("gone", disk(3))
    room.site().delete_record(KIND, "gone")

    def stop(_seconds):
        raise errors.Cancelled

    with pytest.raises(errors.Cancelled):
        room.site().clean_up(AT_ONCE, pause=stop)
    assert not room.site().wants_clean_up(60) or room.names("pack/")
    room.clean()
    assert room.names("pack/") == []
    assert not room.site().wants_clean_up(60)
    room.clock.pass_time(60)
    assert room.site().wants_clean_up(60)


def test_a_clean_up_may_end_at_any_call_and_the_next_one_goes_on(tmp_path):
    """A call fails, or takes effect and then fails, and so do all after it. The schedules below try every call."""

    def play(nth, after):
        inner = memory_bank()
        room = CleanRoom(tmp_path / f"{nth}{after}", inner)
        kept = [room.protect(f"kept{number}", disk(number, number + 1))[0] for number in range(3)]
        room.protect("gone", disk(1, 40, 41, 42))
        [thin] = room.protect("thin", disk(42))
        room.site().delete_record(KIND, "gone")
        bank = FaultyBank(inner)
        broken = CleanRoom(tmp_path / f"{nth}{after}-broken", bank)
        broken.clock = room.clock
        bank.fail(nth, after=after, lasting=True)
        try:
            broken.clean(replace(AT_ONCE, small_index=3))
            through = True
        except errors.BankUnavailable:
            through = False
        for number, stream in enumerate(kept):
            assert content_of(room.site("look"), stream) == disk(number, number + 1)
        room.clock.pass_time(10 * TERMS.term)
        room.clean(replace(AT_ONCE, small_index=3))
        for stream, content in (*zip(kept, [disk(n, n + 1) for n in range(3)], strict=True), (thin, disk(42))):
            assert content_of(room.site("end"), stream) == content
        assert room.names("gc/condemned/") == []
        assert len(room.names("stream/")) == 4
        report = room.clean(dry_run=True)
        assert (report.condemned_packs, report.condemned_streams) == (0, 0)
        room.close()
        broken.close()
        return through

    for after in (False, True):
        nth = 4 if after else 1
        while not play(nth, after):
            nth += 5
        assert nth > 50


# Many schedules


@pytest.mark.parametrize("seed", range(8))
def test_every_checkpoint_that_counts_is_whole_in_every_schedule(seed):
    assert bankworld.run(seed, lag=20 if seed % 4 == 3 else 0) > 500


def test_clocks_that_are_far_apart_fail_backups_and_lose_nothing():
    bankworld.run(1, off=(0.0, 5000.0), rounds=6, tolerant=True)


@pytest.mark.parametrize(
    "wrong",
    [
        {"clean_up": wrongcleanup.TrustsTheFirstLook},
        {"clean_up": wrongcleanup.DecidesNothing},
    ],
    ids=lambda wrong: wrong["clean_up"].__name__,
)
def test_a_wrong_clean_up_is_caught(wrong):
    with pytest.raises(bankworld.Broken):
        for seed in range(200):
            bankworld.run(seed, **wrong)


# Wrong variants for which few schedules matter: these, step by step


@pytest.mark.parametrize("kind", [CleanUp, wrongcleanup.WaitsForNobody])
def test_the_end_of_those_who_may_rely_on_it_must_be_waited_for(room, kind):
    writer = room.lease("writer", site="there")
    [base] = room.protect("gone", disk(1, 2))
    same = BytesSource(disk(1, 2), [Extent(0, len(disk(1, 2)), Kind.SAME)])
    stream = room.site("there").write_stream(same, base_id=base, advance=nothing, lease=writer)
    room.site().delete_record(KIND, "gone")
    clean_wrongly(room, kind)
    clean_wrongly(room, kind)
    room.site("there").put_record(KIND, "writer", {"streams": [stream.id]}, lease=writer)
    writer.end()
    clean_wrongly(room, kind)
    if kind is CleanUp:
        assert content_of(room.site("elsewhere"), stream.id) == disk(1, 2)
    else:
        with pytest.raises(errors.ObjectNotFound):
            content_of(room.site("elsewhere"), stream.id)


def clean_wrongly(room, kind, site="here"):
    store, records, leases, *_ = room.site(site)._for_writing()
    kind(store, records, leases, settings=AT_ONCE, scratch=room.directory, pause=lambda _: None).run()


@pytest.mark.parametrize("kind", [CleanUp, wrongcleanup.FollowsRecordsOnly])
def test_streams_without_a_record_must_be_followed(room, kind):
    same = BytesSource(disk(1, 2), [Extent(0, len(disk(1, 2)), Kind.SAME)])
    [base] = room.protect("gone", disk(1, 2))
    first = room.lease("first")
    room.site().delete_record(KIND, "gone")
    clean_wrongly(room, kind)
    stream = room.site().write_stream(same, base_id=base, advance=nothing, lease=first)
    room.site().put_record(KIND, "first", {"streams": [stream.id]}, lease=first)
    first.end()
    second = room.lease("second", site="there")
    on_top = room.site("there").write_stream(same, base_id=stream.id, advance=nothing, lease=second)
    room.site().delete_record(KIND, "first")
    clean_wrongly(room, kind)
    room.site("there").put_record(KIND, "second", {"streams": [on_top.id]}, lease=second)
    if kind is CleanUp:
        assert content_of(room.site("elsewhere"), on_top.id) == disk(1, 2)
    else:
        with pytest.raises(errors.IntegrityError):
            content_of(room.site("elsewhere"), on_top.id)


@pytest.mark.parametrize("late", [False, True])
def test_the_lease_must_be_there_before_anything_is_relied_on(room, late):
    room.protect("gone", disk(1, 2))
    make = wrongcleanup.LateLease if late else (lambda domain, **claim: domain.lease(**claim))
    lease = make(room.site("there"), job="writer", fence=1, record=(KIND, "writer"))
    room.site().delete_record(KIND, "gone")
    stream = room.site("there").write_stream(BytesSource(disk(1, 2)), advance=nothing)
    room.clean()
    room.site("there").put_record(KIND, "writer", {"streams": [stream.id]}, lease=lease)
    room.clean()
    if late:
        with pytest.raises((errors.IntegrityError, errors.ObjectNotFound)):
            content_of(room.site("elsewhere"), stream.id)
    else:
        assert content_of(room.site("elsewhere"), stream.id) == disk(1, 2)


@pytest.mark.parametrize("kind", [CleanUp, wrongcleanup.DecidesNothing])
def test_without_the_check_of_the_lease_the_decision_still_holds(room, kind):
    lease = wrongcleanup.BlindLease(room.site("there"), job="writer", fence=1, record=(KIND, "writer"))
    stream = room.write(disk(1, 2), lease, site="there")
    room.clock.pass_time(2 * TERMS.term)
    clean_wrongly(room, kind)
    if kind is CleanUp:
        with pytest.raises(errors.Conflict):
            room.site("there").put_record(KIND, "writer", {"streams": [stream.id]}, lease=lease)
        assert room.site().records(KIND) == []
    else:
        room.site("there").put_record(KIND, "writer", {"streams": [stream.id]}, lease=lease)
        with pytest.raises(errors.ObjectNotFound):
            content_of(room.site("elsewhere"), stream.id)
