# SPDX-License-Identifier: Apache-2.0
"""Can a compliance lock only grow, whatever is asked for in whatever order?"""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from karbor.model import errors
from karbor.model.lock import COMPLIANCE, GOVERNANCE, Lock, fold, moment, shown

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def lock(mode, days):
    return {"event": "lock", "mode": mode, "until": shown(NOW + days * DAY)}


EVENTS = st.one_of(
    st.builds(lock, st.sampled_from([COMPLIANCE, GOVERNANCE]), st.integers(-5, 50)),
    st.sampled_from([{"event": "unlock"}, {"event": "hold", "reason": "court"}, {"event": "release"}]),
)


@given(st.lists(EVENTS, max_size=12), st.lists(EVENTS, max_size=6))
def test_no_further_event_ends_a_compliance_lock_earlier(before, more):
    first, then = fold(before), fold([*before, *more])
    if first.compliance_until is not None:
        assert then.compliance_until >= first.compliance_until


def test_a_governance_lock_is_shortened_and_lifted():
    found = fold([lock(GOVERNANCE, 9), lock(GOVERNANCE, 3)])
    assert (found.mode, found.until) == (GOVERNANCE, NOW + 3 * DAY)
    assert found.shortens(GOVERNANCE, NOW + 2 * DAY, now=NOW) and not found.shortens(GOVERNANCE, NOW + 4 * DAY, now=NOW)
    assert found.after({"event": "unlock"}) == Lock()


def test_what_lasts_longest_is_shown():
    found = fold([lock(GOVERNANCE, 9), lock(COMPLIANCE, 3)])
    assert (found.mode, found.until) == (GOVERNANCE, NOW + 9 * DAY)
    assert found.after({"event": "unlock"}).mode == COMPLIANCE


def test_a_hold_has_no_end_and_stands_beside_a_lock():
    found = fold([{"event": "hold", "reason": "court"}, lock(COMPLIANCE, 1)])
    assert found.counts(NOW + 999 * DAY) and found.held_reason == "court"
    found = found.after({"event": "release"})
    assert found.counts(NOW) and not found.counts(NOW + DAY)


@pytest.mark.parametrize(
    ("action", "mode", "days"), [("unlock", None, 0), ("lock", COMPLIANCE, 4), ("lock", GOVERNANCE, 9)]
)
def test_what_would_weaken_a_compliance_lock_is_refused_with_the_reason(action, mode, days):
    with pytest.raises(errors.CheckpointLocked, match="compliance lock until 2026-01-06") as caught:
        fold([lock(COMPLIANCE, 5)]).check(action, mode, NOW + days * DAY, now=NOW)
    assert caught.value.next_action


def test_a_lock_that_has_passed_is_in_nobody_s_way():
    fold([lock(COMPLIANCE, 5)]).check("lock", GOVERNANCE, NOW + 7 * DAY, now=NOW + 5 * DAY)
    fold([lock(COMPLIANCE, 5)]).check("unlock", None, None, now=NOW + 5 * DAY)


def test_a_lock_ends_in_the_future():
    with pytest.raises(errors.InvalidInput):
        Lock().check("lock", COMPLIANCE, NOW, now=NOW)


@pytest.mark.parametrize(
    ("events", "text", "advice"),
    [
        ([lock(COMPLIANCE, 5)], "compliance lock until 2026-01-06", "nobody can lift"),
        ([lock(GOVERNANCE, 5)], "governance lock until", "unlock it"),
        ([{"event": "hold", "reason": "case 7"}], "held: case 7", "release"),
    ],
)
def test_a_refusal_says_why_and_what_can_be_done(events, text, advice):
    refusal = fold(events).refusal("The checkpoint")
    assert text in refusal.message and advice in refusal.next_action


def test_an_event_of_another_version_is_not_passed_over():
    with pytest.raises(errors.NotSupported):
        fold([{"event": "loosen"}])


def test_a_moment_is_read_as_utc():
    assert moment("2026-01-01T02:00:00+02:00") == moment("2026-01-01T00:00:00") == NOW
