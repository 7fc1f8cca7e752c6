# SPDX-License-Identifier: Apache-2.0
"""Does the end of a run start what waits for it, and nothing else?"""

from datetime import UTC, datetime

import pytest

from karbor.model import errors
from karbor.model.event import RUN, Event
from karbor.plugins.triggers.after import AfterTrigger
from karbor.sdk.trigger import Limits

NOW = datetime(2026, 1, 2, tzinfo=UTC)
ONE, OTHER = "11111111-2222-4333-8444-555555555555", "66666666-7777-4888-8999-aaaaaaaaaaaa"
TRIGGER = AfterTrigger(Limits(min_interval=3600, min_window=900, max_window=1800))


def accepted(**given):
    return TRIGGER.accept(given, stored={}, created_at=NOW, now=NOW)


def ended(status, operation=ONE, plan=OTHER):
    return Event("p", RUN, status, "run-1", {"scheduled_operation_id": operation, "plan_id": plan, "status": status})


@pytest.mark.parametrize(
    ("given", "good", "bad"),
    [
        ({"scheduled_operation_id": ONE}, True, False),
        ({"scheduled_operation_id": ONE.upper(), "outcome": "success"}, True, False),
        ({"scheduled_operation_id": ONE, "outcome": "failed"}, False, True),
        ({"scheduled_operation_id": ONE, "outcome": "any"}, True, True),
        ({"plan_id": OTHER, "outcome": "any"}, True, True),
        ({"scheduled_operation_id": OTHER, "outcome": "any"}, False, False),
        ({"plan_id": ONE, "outcome": "any"}, False, False),
    ],
)
def test_it_fires_after_what_it_names(given, good, bad):
    kept = accepted(**given)
    assert (TRIGGER.matches(kept, ended("success")), TRIGGER.matches(kept, ended("failed"))) == (good, bad)


def test_it_has_no_times_and_says_what_it_refers_to():
    kept = accepted(plan_id=ONE)
    assert list(TRIGGER.fires(kept, created_at=NOW, after=NOW, seed="t")) == []
    assert TRIGGER.names(kept) == {"plan": ONE}
    assert TRIGGER.names(accepted(scheduled_operation_id=ONE)) == {"scheduled operation": ONE}


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({}, "is required"),
        ({"plan_id": ONE, "scheduled_operation_id": ONE}, "is required"),
        ({"plan_id": "x"}, "plan_id must be a uuid"),
        ({"plan_id": 5}, "plan_id must be a uuid"),
        ({"plan_id": ONE, "outcome": "well"}, "outcome must be one of"),
        ({"plan_id": ONE, "pattern": "x"}, "'pattern' is not known"),
    ],
)
def test_what_is_wrong_is_named(given, reason):
    with pytest.raises(errors.InvalidInput) as caught:
        accepted(**given)
    assert reason in caught.value.message
