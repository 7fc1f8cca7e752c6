# SPDX-License-Identifier: Apache-2.0
"""Does a notification fire the triggers whose pattern and conditions it meets?"""

from datetime import UTC, datetime

import pytest

from karbor.model import errors
from karbor.model.event import NOTIFICATION, Event
from karbor.plugins.triggers.notification import NotificationTrigger
from karbor.sdk.trigger import Limits

NOW = datetime(2026, 1, 2, tzinfo=UTC)
TRIGGER = NotificationTrigger(Limits(min_interval=3600, min_window=900, max_window=1800))
PAYLOAD = {"state": "active", "memory_mb": 512, "metadata": {"backup": "yes"}, "tags": ["web", "gold"], "on": True}


def accepted(**given):
    return TRIGGER.accept(given, stored={}, created_at=NOW, now=NOW)


def fired(type_="compute.instance.create.end", **given):
    return TRIGGER.matches(accepted(**given), Event("p", NOTIFICATION, type_, "1", PAYLOAD))


@pytest.mark.parametrize(
    ("pattern", "meant"),
    [
        ("compute.instance.create.end", True),
        ("compute.instance.*", True),
        ("compute.*.end", True),
        ("compute.instance.create.en?", True),
        ("compute.instance.create", False),
        ("Compute.instance.*", False),
        ("volume.*", False),
    ],
)
def test_the_type_has_a_pattern(pattern, meant):
    assert fired(event_type=pattern) is meant


@pytest.mark.parametrize(
    ("conditions", "met"),
    [
        ({"state": "active"}, True),
        ("state:active;metadata.backup:y*", True),
        ({"state": "active", "metadata.backup": "no"}, False),
        ({"memory_mb": 512, "on": True}, True),
        ({"tags": "gold"}, True),
        ({"tags": "silver"}, False),
        ({"metadata": "*"}, False),
        ({"nothing.there": "*"}, False),
        ({"state.deeper": "*"}, False),
    ],
)
def test_all_conditions_must_be_met(conditions, met):
    assert fired(event_type="compute.*", conditions=conditions) is met


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({}, "event_type is required"),
        ({"event_type": "a b"}, "event_type is required"),
        ({"event_type": "*"}, "every notification"),
        ({"event_type": "**.?"}, "every notification"),
        ({"event_type": "a", "conditions": "x"}, "conditions must be"),
        ({"event_type": "a", "conditions": [1]}, "conditions must be"),
        ({"event_type": "a", "conditions": {"a b": "x"}}, "conditions must be"),
        ({"event_type": "a", "conditions": {"a": {"b": "c"}}}, "conditions must be"),
        ({"event_type": "a", "conditions": {str(number): "x" for number in range(11)}}, "at most 10"),
        ({"event_type": "a", "conditions": {"a": "*a" * 20}}, "too many stars"),
        ({"event_type": "a", "token": "x"}, "'token' is not known"),
    ],
)
def test_what_is_wrong_is_named(given, reason):
    with pytest.raises(errors.InvalidInput) as caught:
        accepted(**given)
    assert reason in caught.value.message


def test_what_is_kept_is_accepted_again():
    kept = accepted(event_type="volume.create.end", conditions="size:1*", window="1000")
    assert kept == {"event_type": "volume.create.end", "conditions": {"size": "1*"}, "window": 1000}
    assert TRIGGER.accept({}, stored=kept, created_at=NOW, now=NOW) == kept
