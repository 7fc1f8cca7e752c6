# SPDX-License-Identifier: Apache-2.0
"""Do the figures of the whole installation agree with its rows?"""

from datetime import timedelta

from karbor.db import figures
from karbor.model.checkpoint import Sizes
from karbor.model.provider import ProviderInfo
from tests.support.explain import asked, dear, steps
from tests.support.rows import PROVIDER, checkpoint, job, plan, scheduled_operation, trigger

HOUR = 3600


class TestFigures:
    def test_the_condition_tells_who_lives_what_waits_and_what_can_be_used(self, database, clock):
        with database.write() as rows:
            rows.services.heartbeat(binary="karbor-protection", host="dead")
            rows.jobs.create(job("old"))
        clock.pass_time(100)
        with database.write() as rows:
            rows.services.heartbeat(binary="karbor-protection", host="alive")
            rows.jobs.create(job("young"))
            rows.jobs.create(job("taken", provider_id="other"))
            rows.jobs.claim(owner="w", provider_ids=["other"], host="alive", lease_ms=1000)
            rows.providers.put(ProviderInfo("p1", "one", "", {}, available=True))
            rows.providers.put(ProviderInfo("p2", "two", "", {}, available=False))
        with database.read() as rows:
            found = figures.condition(rows, now=clock.now(), down_after=60)
            nothing = figures.condition(rows, now=clock.now() + timedelta(seconds=61), down_after=60)
        assert {service.host: lives for service, lives in found.services} == {"alive": True, "dead": False}
        assert (found.up("karbor-protection"), found.up("karbor-operationengine")) == (1, 0)
        assert [entry[2] for entry in found.providers] == [True, False]
        assert (found.queued, found.running, found.oldest_queued_seconds) == (2, 1, 100)
        assert nothing.up("karbor-protection") == 0

    def test_jobs_and_checkpoints_are_counted(self, database):
        sizes = Sizes(logical=100, read=50, stored=10)
        with database.write() as rows:
            rows.jobs.create(job("one"))
            rows.jobs.create(job("two"))
            for id in ("a", "b", "gone"):
                rows.checkpoints.create(checkpoint(id))
                rows.checkpoints.transition(id, "available", sizes=sizes)
            rows.checkpoints.create(checkpoint("c"))
            for state in ("deleting", "deleted"):
                rows.checkpoints.transition("gone", state)
        with database.read() as rows:
            assert figures.jobs(rows) == {("protect", "queued"): 2}
            assert set(figures.checkpoints(rows)) == {
                figures.Stored(PROVIDER, "available", 2, 200, 100, 20),
                figures.Stored(PROVIDER, "protecting", 1, 0, 0, 0),
            }

    def test_plans_that_wait_longest_for_a_good_checkpoint_come_first(self, database, clock):
        with database.write() as rows:
            for id, status in (
                ("idle", "suspended"),
                ("started", "started"),
                ("timed", "suspended"),
                ("never", "started"),
            ):
                rows.plans.create(plan(id, status=status))
            rows.triggers.create(trigger())
            rows.scheduled_operations.create(
                scheduled_operation(operation_definition={"plan_id": "timed", "provider_id": PROVIDER})
            )
        for id in ("timed", "started", "idle"):
            clock.pass_time(HOUR)
            with database.write() as rows:
                rows.checkpoints.create(checkpoint(f"of-{id}", plan_id=id))
                rows.checkpoints.transition(f"of-{id}", "available")
        clock.pass_time(HOUR)
        with database.read() as rows:
            found = figures.oldest_plans(rows, now=clock.now(), limit=10)
            first = figures.oldest_plans(rows, now=clock.now(), limit=1)
            ages = figures.plan_ages(rows, now=clock.now(), bounds=[HOUR, 2 * HOUR, 3 * HOUR])
        assert [(age.plan_id, age.scheduled, age.good, age.seconds) for age in found] == [
            ("never", True, False, 4 * HOUR),
            ("timed", True, True, 3 * HOUR),
            ("started", True, True, 2 * HOUR),
            ("idle", False, True, HOUR),
        ]
        assert [age.plan_id for age in first] == ["never"]
        assert ages[True] == ([0, 1, 2], 3, 9 * HOUR)
        assert ages[False] == ([1, 1, 1], 1, HOUR)

    def test_without_rows_there_are_no_figures(self, database, clock):
        with database.read() as rows:
            assert figures.plan_ages(rows, now=clock.now(), bounds=[1]) == {}
            assert figures.checkpoints(rows) == []
            assert figures.condition(rows, now=clock.now(), down_after=1).oldest_queued_seconds is None


def test_what_is_summed_up_is_read_from_an_index_alone(database):
    with database.read() as rows:
        for question, index in ((figures.jobs, "jobs_state_operation"), (figures.checkpoints, "checkpoints_sums")):
            with asked(rows.connection) as queries:
                question(rows)
            ((statement, parameters),) = queries
            told = steps(rows.connection, statement, parameters)
            assert any(f"COVERING INDEX {index}" in step for step in told), told
            assert not any(dear(rows.connection, step) for step in told), told
