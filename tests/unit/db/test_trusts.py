# SPDX-License-Identifier: Apache-2.0
"""Is a trust kept as long as anything needs it, and no longer?"""

from datetime import timedelta

import pytest

from karbor.model import errors
from karbor.model.trust import Trust
from tests.support import rows as make
from tests.support.schedules import BEGIN, fire, scheduled


def _kept(rows, id="t1", **given):
    """A trust that Keystone has given the id "k-" and its own."""
    rows.trusts.begin(Trust(id, make.PROJECT, "user-1", **given))
    rows.trusts.keep(id, f"k-{id}")
    return f"k-{id}"


def _unused(rows, **given):
    return [found.id for found in rows.trusts.unused(**{"wait_ms": 1000, "limit": 10, **given})]


class TestTrusts:
    def test_one_that_was_only_asked_for_is_unheard_of_after_a_while(self, database, clock):
        with database.write() as rows:
            asked = rows.trusts.begin(Trust("t1", make.PROJECT, "user-1"))
            _kept(rows, "t2")
            later = clock.now() + timedelta(seconds=1)
            assert rows.trusts.unheard(clock.now()) == []
            assert rows.trusts.unheard(later) == [asked]
            assert asked.name == "karbor t1"

    def test_one_that_was_given_back_meanwhile_is_not_kept(self, database):
        with database.write() as rows:
            rows.trusts.begin(Trust("t1", make.PROJECT, "user-1"))
            for _time in range(2):
                rows.trusts.forget("t1")
            with pytest.raises(errors.Conflict, match="Ask again"):
                rows.trusts.keep("t1", "k-t1")

    def test_a_job_needs_it_until_it_has_ended(self, database):
        with database.write() as rows:
            trust_id = _kept(rows)
            assert _unused(rows) == ["t1"]
            rows.jobs.create(make.job(trust_id=trust_id))
            assert rows.jobs.get("job-1").trust_id == trust_id
            assert (_unused(rows), rows.trusts.is_unused(trust_id)) == ([], None)
            rows.jobs.request_cancel("job-1")
            assert _unused(rows) == ["t1"] and rows.trusts.is_unused(trust_id).id == "t1"

    def test_a_schedule_needs_it_until_it_has_another_one_or_is_gone(self, database):
        with database.write() as rows:
            scheduled(rows, "a")
            for number, id in enumerate(("t1", "t2")):
                rows.scheduled_operations.entrust("a", trust_id=_kept(rows, id), user_id=f"user-{number}")
            assert (_unused(rows), rows.trusts.of_schedule("a")) == (["t1"], ("k-t2", None))
            assert rows.scheduled_operations.get("a").user_id == "user-1"
            rows.scheduled_operations.delete("a")
            assert _unused(rows) == ["t1", "t2"]

    def test_a_run_that_outlives_its_schedule_needs_it(self, database):
        with database.write() as rows:
            scheduled(rows, "a")
            rows.scheduled_operations.entrust("a", trust_id=_kept(rows, scheduled_operation_id="a"), user_id="user-1")
            fire(rows)
            (run,) = rows.scheduled_runs.begin(**BEGIN)
            rows.scheduled_operations.delete("a")
            assert (_unused(rows), rows.trusts.of_schedule("a")) == ([], ("k-t1", None))
            rows.scheduled_runs.end(run, "success")
            assert _unused(rows) == ["t1"]

    def test_one_that_could_not_be_given_back_is_left_alone_for_a_while(self, database, clock):
        with database.write() as rows:
            _kept(rows)
            rows.trusts.tried("t1")
            assert _unused(rows, wait_ms=600_000) == []
            assert _unused(rows, wait_ms=0) == ["t1"]


class TestPermission:
    def _state(self, rows):
        found = rows.scheduled_operations.get("a")
        return found.permission_reason, found.permission_since

    def test_it_is_noted_since_when_it_is_lost_and_that_it_is_back(self, database, clock):
        with database.write() as rows:
            scheduled(rows, "a")
            rows.scheduled_operations.entrust("a", trust_id="k", user_id="u")
            assert not rows.scheduled_operations.note_permission("a", trust_id="k", reason=None)
            clock.pass_time(10)
            lost = clock.now()
            assert rows.scheduled_operations.note_permission("a", trust_id="k", reason="no role")
            clock.pass_time(10)
            assert not rows.scheduled_operations.note_permission("a", trust_id="k", reason="no role")
            assert rows.scheduled_operations.note_permission("a", trust_id="k", reason="disabled")
            assert self._state(rows) == ("disabled", lost)
            assert rows.scheduled_operations.note_permission("a", trust_id="k", reason=None)
            assert self._state(rows) == (None, clock.now())

    def test_what_is_known_of_another_trust_stays(self, database):
        with database.write() as rows:
            scheduled(rows, "a")
            rows.scheduled_operations.entrust("a", trust_id="new", user_id="u")
            assert not rows.scheduled_operations.note_permission("a", trust_id="old", reason="deleted")
            assert self._state(rows)[0] is None

    def test_a_change_of_the_rest_leaves_it_alone(self, database):
        with database.write() as rows:
            scheduled(rows, "a")
            before = rows.scheduled_operations.get("a")
            rows.scheduled_operations.entrust("a", trust_id="k", user_id="u")
            rows.scheduled_operations.update(before)
            assert (rows.scheduled_operations.get("a").trust_id, rows.scheduled_operations.get("a").user_id) == (
                "k",
                "u",
            )

    def test_those_that_nobody_tried_for_long_are_given_to_one(self, database):
        waits = {"lost_ms": 0, "held_ms": 3_600_000, "limit": 10}
        with database.write() as rows:
            scheduled(rows, "a", "b", "c")
            for name in ("a", "b"):
                rows.scheduled_operations.entrust(name, trust_id=f"k-{name}", user_id="u")
            assert rows.scheduled_operations.unchecked(**waits) == []
            rows.scheduled_operations.note_permission("b", trust_id="k-b", reason="no role")
            assert [found.id for found in rows.scheduled_operations.unchecked(**waits)] == ["b"]
            found = rows.scheduled_operations.unchecked(lost_ms=0, held_ms=0, limit=10)
            assert sorted(one.id for one in found) == ["a", "b"]


HOUR = timedelta(hours=1)


class TestSweeps:
    def _failed(self, rows, id, trust_id, **given):
        rows.jobs.create(make.job(id, trust_id=trust_id, **given))
        job = rows.jobs.claim(owner="w", provider_ids=[make.PROVIDER, "other"], host="h", lease_ms=1000)
        assert job.id == id
        rows.jobs.finish(job, "failed")

    def _unswept(self, rows, clock, **given):
        wanted = {"since": clock.now() - HOUR, "provider_ids": [make.PROVIDER], "wait_ms": 1000, "limit": 9, **given}
        return [[trust.id for trust in trusts] for trusts in rows.trusts.unswept(**wanted)]

    def test_a_job_that_failed_needs_its_trust_until_somebody_has_looked_or_it_takes_too_long(self, database, clock):
        with database.write() as rows:
            self._failed(rows, "job-1", _kept(rows))
            assert _unused(rows) == ["t1"]
            for _hour in range(2):
                since = clock.now() - HOUR
                assert _unused(rows, held_since=since) == ([] if _hour == 0 else ["t1"])
                assert (rows.trusts.is_unused("k-t1", held_since=since) is None) == (_hour == 0)
                clock.pass_time(3601)
            self._failed(rows, "job-2", _kept(rows, "t2"))
            assert self._unswept(rows, clock) == [["t2"]]
            clock.pass_time(1)
            (trusts,) = rows.trusts.unswept(since=clock.now() - HOUR, provider_ids=[make.PROVIDER], wait_ms=0, limit=1)
            rows.trusts.swept(trusts, at=clock.now())
            assert self._unswept(rows, clock) == []
            assert "t2" in _unused(rows, held_since=clock.now() - HOUR)
            clock.pass_time(1)
            self._failed(rows, "job-3", "k-t2")
            assert self._unswept(rows, clock) == [["t2"]]

    def test_who_ended_well_or_was_never_begun_left_nothing(self, database, clock):
        with database.write() as rows:
            rows.jobs.create(make.job("job-1", trust_id=_kept(rows)))
            rows.jobs.request_cancel("job-1")
            rows.jobs.create(make.job("job-2", trust_id="k-t1"))
            job = rows.jobs.claim(owner="w", provider_ids=[make.PROVIDER], host="h", lease_ms=1000)
            rows.jobs.finish(job, "done")
            assert self._unswept(rows, clock) == []

    def test_projects_are_looked_at_by_one_at_a_time_who_has_all_their_providers(self, database, clock):
        with database.write() as rows:
            for number in (1, 2):
                self._failed(rows, f"job-{number}", _kept(rows, f"t{number}"))
                clock.pass_time(1)
            self._failed(rows, "job-3", _kept(rows, "t3"), provider_id="other")
            assert self._unswept(rows, clock) == [["t2", "t1"]]
            assert self._unswept(rows, clock, provider_ids=["other"]) == [["t3"]]
            ours = {"since": clock.now() - HOUR, "provider_ids": [make.PROVIDER], "wait_ms": 1000, "limit": 9}
            (mine,) = rows.trusts.unswept(**ours)
            assert rows.trusts.begin_sweep(mine)
            assert not rows.trusts.begin_sweep(mine)
            assert self._unswept(rows, clock) == []
            clock.pass_time(2)
            assert self._unswept(rows, clock) == [["t2", "t1"]]
