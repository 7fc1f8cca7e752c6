# SPDX-License-Identifier: Apache-2.0
"""Does a state change once, and is what has to be sent kept until it is sent?"""

import pytest

from karbor.model.alarm import PlanAlarm
from tests.fuzz.population import policy
from tests.support.schedules import scheduled


@pytest.fixture
def planned(database):
    """A plan with a schedule, and a policy."""
    with database.write() as rows:
        policy(rows)
        scheduled(rows, "a")
    return database


class TestAlarms:
    def test_a_state_changes_once_and_is_told_of_until_it_was_sent(self, planned):
        with planned.write() as rows:
            now = rows.fires.now()
            breached, fine = (PlanAlarm("plan-a", "p", state, now, now) for state in ("breached", "ok"))
            assert [rows.alarms.settle(None, breached, {}, "mail") for _engine in range(2)] == [True, False]
            assert [rows.alarms.settle(breached, fine, {}, "mail") for _engine in range(2)] == [True, False]
            assert rows.alarms.turn("mail", lease_ms=60_000) and not rows.alarms.turn("mail", lease_ms=60_000)
            batch = rows.alarms.batch("mail", limit=1)
            assert (len(batch.messages), batch.waiting) == (1, 2)
            rows.alarms.sent("mail", [batch.messages[0][0]], wait_ms=10)
            rows.alarms.failed("mail", wait_ms=5, keep_ms=100_000)
            assert (rows.alarms.batch("mail", limit=1).waiting, rows.alarms.batch("mail", limit=1).failures) == (1, 1)

    def test_a_plan_is_seen_with_what_was_promised_of_it(self, planned):
        with planned.read() as rows:
            ((id, mark),) = rows.alarms.outline(after="", limit=5)
            (standing,) = rows.alarms.standings([id])
            assert (standing.plan.id, [one.schedule.id for one in standing.promises]) == ("plan-a", ["a"])
            assert rows.alarms.outline(after="", limit=5) == [(id, mark)]
            assert rows.alarms.outline(after=id, limit=5) == []
            assert rows.policies.find("silver").name == "silver"
            assert rows.scheduled_operations.count_own(standing.promises[0].schedule.project_id) == 1
