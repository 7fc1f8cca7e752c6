# SPDX-License-Identifier: Apache-2.0
"""May a worker rely on the lease of another one, and does it notice when that is over?"""

import pytest

from karbor.model import errors
from karbor.sdk.testing.faults import FaultyBank
from tests.support.cleanroom import KIND, TERMS, CleanRoom
from tests.support.vaults import content_of, memory_bank

DATA = b"some content" * 3000
THERE = "there"


@pytest.fixture
def borrowed(room):
    room.lease()
    return room.site(THERE).borrow("job", fence=1)


def test_what_is_stored_for_another_workers_job_is_there_when_that_one_commits(room):
    lease = room.lease()
    stream = room.write(DATA, room.site(THERE).borrow("job", fence=1), site=THERE)
    room.clock.pass_time(TERMS.term / 3)
    lease.check()
    room.clean()
    room.clean()
    room.site().put_record(KIND, "job", {"version": 1, "streams": [stream.id]}, lease=lease)
    lease.end(committed=True)
    room.clean()
    room.clean()
    assert content_of(room.site(), stream.id) == DATA


def test_what_was_condemned_before_the_lease_is_not_referred_to(room):
    garbage = room.protect("old", DATA)
    room.site().delete_record(KIND, "old")
    room.clean()  # condemns
    lease = room.lease()
    stream = room.write(DATA, room.site(THERE).borrow("job", fence=1), site=THERE)
    assert not room.site(THERE).has_stream(garbage[0], lease=room.site(THERE).borrow("job", fence=1))
    room.clean()  # deletes: the owner of the lease knew the list
    room.site().put_record(KIND, "job", {"version": 1, "streams": [stream.id]}, lease=lease)
    assert content_of(room.site("elsewhere"), stream.id) == DATA


def test_it_puts_nothing_into_the_bank(room, borrowed):
    before = set(room.bank.objects)
    borrowed.check()
    borrowed.confirm()
    assert set(room.bank.objects) == before


def test_it_lasts_as_long_as_its_owner_renews_it(room):
    lease = room.lease()
    borrowed = room.site(THERE).borrow("job", fence=1)
    for _ in range(6):
        room.clock.pass_time(TERMS.term / 3)
        lease.check()
        borrowed.check()
    room.clock.pass_time(TERMS.term)
    for call in (borrowed.check, borrowed.confirm, lambda: room.write(DATA, borrowed, site=THERE)):
        with pytest.raises(errors.WriteLeaseLost):
            call()


def test_it_ends_with_its_lease(room):
    lease = room.lease()
    borrowed = room.site(THERE).borrow("job", fence=1)
    lease.end()
    borrowed.check()  # the bank is asked before anything is committed
    with pytest.raises(errors.WriteLeaseLost):
        borrowed.confirm()


def test_a_later_claim_ends_it(room, borrowed):
    room.lease(fence=2)
    with pytest.raises(errors.LeaseLost):
        borrowed.confirm()
    with pytest.raises(errors.LeaseLost):
        room.site(THERE).borrow("job", fence=1)


def test_there_must_be_a_lease_of_that_claim(room, borrowed):
    for job, fence in (("job", 2), ("another", 1)):
        with pytest.raises(errors.WriteLeaseLost):
            room.site(THERE).borrow(job, fence=fence)


class UnseenLeases(FaultyBank):
    """No list shows a lease yet."""

    def list(self, prefix="", after="", limit=1000):
        return [info for info in super().list(prefix, after, limit) if "/lease/" not in info.name]


def test_a_lease_that_no_list_shows_yet_is_found(tmp_path):
    room = CleanRoom(tmp_path, UnseenLeases(memory_bank()))
    try:
        lease = room.lease()
        borrowed = room.site(THERE).borrow("job", fence=1)
        for _ in range(2):
            borrowed.confirm()
            room.clock.pass_time(TERMS.term / 3)
            lease.check()
        borrowed.confirm()
    finally:
        room.close()
