# SPDX-License-Identifier: Apache-2.0
"""Is a step that a job hands to another host done by one worker of that host, for that claim on the job only?"""

import pytest

from karbor.model import errors
from tests.support import rows as make

TAKE = {"host": "there", "owner": "worker-1", "lease_ms": 60_000, "limit": 10}


@pytest.fixture
def claimed(database):
    """A job that a worker of another host has."""
    with database.write() as rows:
        rows.jobs.create(make.job())
        return rows.jobs.claim(owner="me", provider_ids=[make.PROVIDER], host="here", lease_ms=60_000)


def _take(rows, **other):
    return rows.host_steps.take(**{**TAKE, **other})


class TestHostSteps:
    def test_a_step_is_taken_once_by_its_host_and_answered(self, database, claimed):
        with database.write() as rows:
            asked = rows.host_steps.ask(claimed, make.host_step(fence=claimed.fence, results={"a": [1, None]}))
            assert _take(rows, host="here") == []
            (taken,) = _take(rows)
            assert (taken.state, taken.owner, taken.results) == ("running", "worker-1", {"a": [1, None]})
            assert _take(rows, owner="worker-2") == []
            beaten = rows.host_steps.beat(taken, lease_ms=60_000, progress={"done": 1, "expected": 2})
            assert beaten.progress == {"done": 1, "expected": 2} and not beaten.stopping
            rows.host_steps.answer(taken, None, progress={"done": 2, "expected": 2})
            found = rows.host_steps.get(asked.id)
            assert (found.state, found.answer, found.progress["done"]) == ("done", {"value": None}, 2)
            assert rows.host_steps.withdraw(asked.id)
            with pytest.raises(errors.NotFound):
                rows.host_steps.get(asked.id)

    def test_one_whose_worker_is_silent_is_taken_by_the_next_of_its_host(self, database, claimed):
        with database.write() as rows:
            rows.host_steps.ask(claimed, make.host_step(fence=claimed.fence))
            (first,) = _take(rows)
            assert not rows.host_steps.silent(first.id)
            rows.host_steps.beat(first, lease_ms=-1, progress={})
            assert rows.host_steps.silent(first.id)
            (second,) = _take(rows, owner="worker-2")
            for write in (
                lambda: rows.host_steps.beat(first, lease_ms=60_000, progress={}),
                lambda: rows.host_steps.answer(first, 1, progress={}),
                lambda: rows.host_steps.fail(first, {}),
                lambda: rows.host_steps.release(first),
            ):
                with pytest.raises(errors.LeaseLost):
                    write()
            rows.host_steps.fail(second, {"kind": "NotFound"})
            assert rows.host_steps.get(second.id).fault == {"kind": "NotFound"}

    def test_a_worker_that_stops_gives_it_back(self, database, claimed):
        with database.write() as rows:
            rows.host_steps.ask(claimed, make.host_step(fence=claimed.fence))
            rows.host_steps.release(_take(rows)[0])
            assert len(_take(rows, owner="worker-2")) == 1

    def test_those_that_shall_be_spared_and_those_above_the_limit_stay(self, database, claimed):
        with database.write() as rows:
            for number in range(4):
                rows.host_steps.ask(claimed, make.host_step(str(number), fence=claimed.fence))
            assert [step.id for step in _take(rows, limit=2, spare=["0"])] == ["1", "2"]
            assert [step.id for step in _take(rows)] == ["0", "3"]

    def test_only_what_has_not_begun_is_withdrawn_where_that_is_asked(self, database, claimed):
        with database.write() as rows:
            for id in ("1", "2"):
                rows.host_steps.ask(claimed, make.host_step(id, fence=claimed.fence))
            _take(rows, limit=1)
            assert not rows.host_steps.withdraw("1", "asked")
            assert rows.host_steps.withdraw("2", "asked")
            assert rows.host_steps.withdraw("2", "asked")

    def test_whoever_asked_can_say_that_it_is_not_needed(self, database, claimed):
        with database.write() as rows:
            rows.host_steps.ask(claimed, make.host_step(fence=claimed.fence))
            (taken,) = _take(rows)
            rows.host_steps.stop(taken.id)
            assert rows.host_steps.beat(taken, lease_ms=60_000, progress={}).stopping

    def test_only_the_owner_of_the_job_asks_and_what_earlier_owners_asked_goes(self, database, claimed):
        with database.write() as rows:
            rows.host_steps.ask(claimed, make.host_step("old", fence=claimed.fence))
            rows.jobs.release(claimed)
            again = rows.jobs.claim(owner="next", provider_ids=[make.PROVIDER], host="here", lease_ms=60_000)
            with pytest.raises(errors.LeaseLost):
                rows.host_steps.ask(claimed, make.host_step("late", fence=claimed.fence))
            rows.host_steps.ask(again, make.host_step("new", fence=again.fence))
            with pytest.raises(errors.NotFound):
                rows.host_steps.get("old")

    def test_they_go_with_their_job(self, database, clock, claimed):
        with database.write() as rows:
            rows.host_steps.ask(claimed, make.host_step(fence=claimed.fence))
            rows.jobs.finish(claimed, "failed")
            clock.pass_time(10)
            assert rows.jobs.purge(clock.now(), 10) == 1
            with pytest.raises(errors.NotFound):
                rows.host_steps.get("step-1")
