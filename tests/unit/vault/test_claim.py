# SPDX-License-Identifier: Apache-2.0
"""Does one at a time clean up, and does the next one know when?"""

import pytest

from karbor.model import errors
from karbor.vault.claim import Claim


@pytest.fixture
def claim(room):
    store = room.site()._for_writing().store

    def made(owner):
        return Claim(room.bank, prefix=store.prefix, codec=store.codec, clock=room.clock, owner=owner, term=90, skew=10)

    return made


def test_one_at_a_time(claim):
    first, second = claim("1"), claim("2")
    assert second.last_finished() is None
    first.take()
    with pytest.raises(errors.Conflict):
        second.take()
    first.let_go(finished=False)
    assert second.last_finished() is None
    second.take()


def test_the_claim_of_a_dead_process_runs_out(claim, room):
    first, second = claim("1"), claim("2")
    first.take()
    room.clock.pass_time(60)
    first.check()
    room.clock.pass_time(60)
    with pytest.raises(errors.Conflict):
        second.take()
    room.clock.pass_time(41)
    with pytest.raises(errors.LeaseLost):
        first.check()
    second.take()
    with pytest.raises(errors.LeaseLost):
        first.let_go(finished=True)


def test_it_is_known_when_somebody_finished_and_one_object_is_left(claim, room):
    first = claim("1")
    first.take()
    first.let_go(finished=True)
    assert claim("2").last_finished() == room.clock.now()
    assert len(room.names("gc/claim/")) == 1
