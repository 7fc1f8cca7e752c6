# SPDX-License-Identifier: Apache-2.0
"""Does a webhook wait for requests, and for nothing else?"""

from datetime import UTC, datetime

import pytest

from karbor.model import errors
from karbor.model.event import WEBHOOK, Event
from karbor.plugins.triggers.webhook import WebhookTrigger
from karbor.sdk.trigger import Limits

NOW = datetime(2026, 1, 2, tzinfo=UTC)
TRIGGER = WebhookTrigger(Limits(min_interval=3600, min_window=900, max_window=1800))


def test_it_fires_when_it_is_asked_to():
    kept = TRIGGER.accept({"window": "1000"}, stored={}, created_at=NOW, now=NOW)
    assert kept == {"window": 1000}
    assert TRIGGER.listens == {WEBHOOK} and TRIGGER.matches(kept, Event("p", WEBHOOK, WEBHOOK, "1"))
    assert list(TRIGGER.fires(kept, created_at=NOW, after=NOW, seed="t")) == []


@pytest.mark.parametrize("given", [{"token": "mine"}, {"window": 5}])
def test_what_is_wrong_is_refused(given):
    with pytest.raises(errors.InvalidInput):
        TRIGGER.accept(given, stored={}, created_at=NOW, now=NOW)
