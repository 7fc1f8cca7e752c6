# SPDX-License-Identifier: Apache-2.0
"""Does every job have one owner at a time, and is everybody else refused?"""

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import sqlalchemy as sa

from karbor.common.clock import Clock
from karbor.db.database import Database
from karbor.db.flowtables import FLOWDETAILS, LOGBOOKS
from karbor.model import errors
from tests.support import rows as make
from tests.support.contenders import LONG, OVER, engine_for, take


def contender(*arguments, **given):
    """Another process that works on the same database."""
    command = [sys.executable, "-m", "tests.support.contenders", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True, **given)


def _queue(database, *jobs):
    with database.write() as rows:
        for job in jobs:
            rows.jobs.create(job)


def _row(database, id="job-1"):
    with database.read() as rows:
        return rows.jobs.get(id)


class TestClaims:
    def test_a_job_comes_back_as_it_was_created(self, database, clock):
        full = make.job(
            checkpoint_id="c",
            restore_id="r",
            verification_id="v",
            host="h",
            payload={"a": [1, None]},
            request_id="req-1",
            cancel_requested=True,
        )
        with database.write() as rows:
            created = rows.jobs.create(full)
            assert rows.jobs.get("job-1") == created == replace(full, created_at=clock.now())
            with pytest.raises(errors.Conflict):
                rows.jobs.create(full)

    def test_a_job_that_is_bound_to_a_host_is_gone_on_with_there_alone(self, database):
        _queue(database, make.job())
        given = {"owner": "me", "provider_ids": [make.job().provider_id], "lease_ms": 1000}
        with database.write() as rows:
            job = rows.jobs.claim(**given, host="here")
            rows.jobs.bind(job, "here")
            rows.jobs.bind(job, "here")
            rows.jobs.release(job)
            assert rows.jobs.claim(**given, host="there") is None
            assert rows.jobs.claim(**given, host="here").fence == job.fence + 1
            with pytest.raises(errors.LeaseLost):
                rows.jobs.bind(job, "there")

    def test_a_worker_that_does_some_operations_takes_no_others(self, database):
        _queue(database, make.job(operation="restore"))
        given = {"owner": "me", "provider_ids": [make.job().provider_id], "host": "here", "lease_ms": 1000}
        with database.write() as rows:
            assert rows.jobs.claim(**given, operations=("protect",)) is None
            assert rows.jobs.claim(**given, operations=("protect", "restore")).operation == "restore"

    def test_the_oldest_is_taken_first_and_each_once(self, database, clock):
        for id in ("z", "y", "x"):
            _queue(database, make.job(id))
            clock.pass_time(1)
        assert [take(database).id for _ in range(3)] == ["z", "y", "x"]
        assert take(database) is None

    def test_a_claim_says_who_owns_it_under_which_fence(self, database):
        _queue(database, make.job())
        job = take(database, owner="worker-7")
        assert (job.owner, job.fence, job.attempts, job.state) == ("worker-7", 1, 1, "running")
        assert job == _row(database)

    def test_jobs_of_other_providers_and_hosts_are_left(self, database):
        _queue(database, make.job("1", provider_id="another"), make.job("2", host="host-2"))
        assert take(database) is None
        assert take(database, host="host-2").id == "2"
        with database.write() as rows:
            assert rows.jobs.claim(owner="x", provider_ids=[], host="host-1", lease_ms=LONG) is None

    def test_a_job_is_taken_over_when_its_lease_has_run_out_and_not_before(self, database):
        _queue(database, make.job())
        first = take(database, lease_ms=LONG)
        assert take(database) is None
        with database.write() as rows:
            rows.jobs.heartbeat(first, lease_ms=OVER)
        second = take(database, owner="another")
        assert (second.id, second.owner, second.fence) == (first.id, "another", 2)

    def test_a_sign_of_life_keeps_the_job(self, database):
        _queue(database, make.job())
        job = take(database, lease_ms=OVER)
        with database.write() as rows:
            kept = rows.jobs.heartbeat(job, lease_ms=LONG)
        assert kept.lease_until_ms - job.lease_until_ms >= LONG
        assert take(database) is None

    def test_an_owner_whose_lease_ran_out_goes_on_while_nobody_took_over(self, database):
        _queue(database, make.job())
        job = take(database, lease_ms=OVER)
        with database.write() as rows:
            rows.jobs.check(job)
            rows.jobs.finish(job, "done")
        assert _row(database).state == "done"

    def test_rescue_comes_before_new_work(self, database, clock):
        _queue(database, make.job("old"))
        assert take(database, lease_ms=OVER).id == "old"
        _queue(database, make.job("waiting", created_at=clock.now().replace(year=2001)))
        assert take(database).id == "old"

    def test_attempts_count_beginnings_not_continuations(self, database):
        _queue(database, make.job())
        job = take(database, lease_ms=OVER)
        with database.write() as rows:
            rows.jobs.set_payload(job, logbook="book-1")
        again = take(database, lease_ms=OVER)
        assert (again.attempts, again.fence) == (1, 2)
        with database.write() as rows:
            rows.jobs.release(again, fresh=True)
        assert take(database).attempts == 2


class TestOwners:
    def test_an_old_fence_is_refused_everywhere(self, database):
        _queue(database, make.job())
        stale = take(database, lease_ms=OVER)
        owner = take(database)
        for attempt in (
            lambda rows: rows.jobs.heartbeat(stale, lease_ms=LONG),
            lambda rows: rows.jobs.check(stale),
            lambda rows: rows.jobs.release(stale),
            lambda rows: rows.jobs.finish(stale, "done"),
            lambda rows: rows.jobs.set_payload(stale, x=1),
        ):
            with pytest.raises(errors.LeaseLost):
                with database.write() as rows:
                    attempt(rows)
        assert _row(database) == owner

    def test_who_let_go_may_not_write_any_more(self, database):
        _queue(database, make.job("1"), make.job("2"))
        released, finished = take(database), take(database)
        with database.write() as rows:
            rows.jobs.release(released)
            rows.jobs.finish(finished, "failed")
        for job in (released, finished):
            with pytest.raises(errors.LeaseLost):
                with database.write() as rows:
                    rows.jobs.check(job)

    def test_a_released_job_keeps_its_flow_unless_it_must_begin_anew(self, database):
        _queue(database, make.job(payload={"mode": "full"}))
        job = take(database)
        with database.write() as rows:
            job = rows.jobs.set_payload(job, logbook="book-1")
            rows.jobs.release(job, state_note="drained")
        row = _row(database)
        assert (row.state, row.owner) == ("queued", None)
        assert row.payload == {"mode": "full", "logbook": "book-1", "state_note": "drained"}
        job = take(database)
        with database.write() as rows:
            rows.jobs.release(job, fresh=True)
        assert "logbook" not in _row(database).payload

    def test_a_delayed_job_waits_for_its_time(self, database):
        _queue(database, make.job())
        job = take(database)
        with database.write() as rows:
            rows.jobs.release(job, delay_ms=LONG)
        assert take(database) is None

    def test_the_end_may_be_told_twice_but_not_changed(self, database):
        _queue(database, make.job())
        job = take(database)
        for _time in range(2):
            with database.write() as rows:
                rows.jobs.finish(job, "done")
        with pytest.raises(errors.LeaseLost):
            with database.write() as rows:
                rows.jobs.finish(job, "failed")
        assert _row(database).state == "done"

    def test_a_job_does_not_end_in_a_state_that_is_no_end(self, database):
        _queue(database, make.job())
        job = take(database)
        with database.write() as rows:
            with pytest.raises(errors.Conflict):
                rows.jobs.finish(job, "available")

    def test_a_payload_is_merged(self, database):
        _queue(database, make.job(payload={"a": 1, "b": 2}))
        job = take(database)
        with database.write() as rows:
            assert rows.jobs.set_payload(job, b=None, c=[3]).payload == {"a": 1, "b": None, "c": [3]}


class TestCancel:
    def test_a_job_never_begun_fails_at_once(self, database):
        _queue(database, make.job())
        with database.write() as rows:
            assert rows.jobs.request_cancel("job-1") is True
        assert _row(database).state == "failed"
        assert take(database) is None

    def test_a_running_job_sees_the_wish_at_its_next_sign_of_life(self, database):
        _queue(database, make.job())
        job = take(database)
        with database.write() as rows:
            assert rows.jobs.request_cancel("job-1") is False
            assert rows.jobs.heartbeat(job, lease_ms=LONG).cancel_requested

    def test_a_job_that_was_begun_is_left_to_a_worker_also_in_the_queue(self, database):
        _queue(database, make.job())
        job = take(database)
        with database.write() as rows:
            rows.jobs.release(job)
            assert rows.jobs.request_cancel("job-1") is False
        assert take(database).cancel_requested

    def test_an_ended_job_is_not_touched_and_an_unknown_one_not_found(self, database):
        _queue(database, make.job(state="done"))
        with database.write() as rows:
            assert rows.jobs.request_cancel("job-1") is False
            assert not rows.jobs.get("job-1").cancel_requested
            with pytest.raises(errors.NotFound):
                rows.jobs.request_cancel("nowhere")

    def test_a_lost_job_can_be_given_up_and_its_owner_finds_out_when_it_wakes(self, database):
        _queue(database, make.job())
        job = take(database, lease_ms=OVER)
        with database.write() as rows:
            assert rows.jobs.give_up("job-1") is True
            assert rows.jobs.give_up("job-1") is False
        assert _row(database).state == "failed"
        assert take(database) is None
        with pytest.raises(errors.LeaseLost), database.write() as rows:
            rows.jobs.finish(job, "done")

    def test_a_job_whose_owner_is_alive_or_that_waits_is_not_given_up(self, database):
        _queue(database, make.job(), make.job("job-2"))
        take(database)
        with database.write() as rows:
            assert rows.jobs.give_up("job-1") is False
            assert rows.jobs.give_up("job-2") is False
            with pytest.raises(errors.NotFound):
                rows.jobs.give_up("nowhere")

    def test_live_jobs_are_found_by_what_they_work_on(self, database, clock):
        for number, given in enumerate(
            [
                {"checkpoint_id": "c"},
                {"restore_id": "r"},
                {"checkpoint_id": "c", "state": "done"},
                {"verification_id": "v"},
            ]
        ):
            _queue(database, make.job(str(number), **given))
        with database.write() as rows:
            assert [job.id for job in rows.jobs.live_for(checkpoint_id="c")] == ["0"]
            assert [job.id for job in rows.jobs.live_for(restore_id="r")] == ["1"]
            assert [job.id for job in rows.jobs.live_for(checkpoint_id="c", restore_id="r")] == []
            assert [job.id for job in rows.jobs.live_for(verification_id="v")] == ["3"]


class TestPurge:
    def test_ended_jobs_go_a_few_at_a_time_with_what_is_left_of_their_flows(self, database, clock):
        _queue(database, *(make.job(str(number)) for number in range(6)))
        for number in range(4):
            job = take(database)
            engine_for(database, job, lambda _name: None)
            with database.write() as rows:
                rows.jobs.finish(job, "failed" if number % 2 else "done")
        clock.pass_time(60)
        moment = clock.now()
        running = take(database)
        engine_for(database, running, lambda _name: None)
        with database.write() as rows:
            rows.jobs.heartbeat(running, lease_ms=LONG)
            assert rows.jobs.purge(moment.replace(year=2000), 10) == 0
            assert [rows.jobs.purge(moment, 3) for _ in range(3)] == [3, 1, 0]
            assert rows.connection.execute(sa.select(LOGBOOKS.c.name)).scalars().all() == [running.id]
            flows = rows.connection.execute(sa.select(sa.func.count()).select_from(FLOWDETAILS)).scalar()
            assert (flows, rows.jobs.get(running.id).state) == (1, "running")
        assert take(database).state == "running"


class TestContention:
    """On the system's clock: these workers are really at once."""

    COUNT = 60

    def test_threads_take_every_job_exactly_once(self, database):
        _queue(database, *(make.job(f"{number:03}") for number in range(self.COUNT)))

        def work(owner):
            taken = []
            while job := take(database, owner=owner):
                taken.append(job.id)
            return taken

        with ThreadPoolExecutor(6) as pool:
            taken = [id for part in pool.map(work, "abcdef") for id in part]
        assert sorted(taken) == [f"{number:03}" for number in range(self.COUNT)]

    def test_processes_take_every_job_exactly_once(self, database, empty_url):
        _queue(database, *(make.job(f"{number:03}") for number in range(self.COUNT)))
        workers = [contender("claim", empty_url, owner) for owner in "abc"]
        taken = [id for worker in workers for id in worker.communicate()[0].split()]
        assert [worker.returncode for worker in workers] == [0, 0, 0]
        assert sorted(taken) == [f"{number:03}" for number in range(self.COUNT)]

    def test_a_worker_stopped_past_its_lease_is_refused_when_it_wakes(self, database, empty_url):
        _queue(database, make.job())
        with contender("hold", empty_url) as stale:
            assert stale.stdout.readline() == "held\n"
            os.kill(stale.pid, signal.SIGSTOP)
            here = Database(empty_url, clock=Clock())
            owner = take(here, owner="another")
            os.kill(stale.pid, signal.SIGCONT)
            told, _none = stale.communicate("go\n")
        refused = {f"{name} refused" for name in ("heartbeat", "check", "release", "finish", "set_payload")}
        assert {*told.splitlines()} == {"engine True", *refused}
        with here.write() as rows:
            rows.jobs.finish(owner, "done")
        here.dispose()


class TestOperators:
    def test_live_jobs_are_listed_oldest_first(self, database, clock):
        for id in ("z", "y", "x"):
            _queue(database, make.job(id))
            clock.pass_time(1)
        job = take(database)
        with database.write() as rows:
            rows.jobs.finish(job, "done")
            take_next = [found.id for found in rows.jobs.live()]
        assert (job.id, take_next) == ("z", ["y", "x"])

    def test_what_is_left_of_a_lease_is_told(self, database):
        _queue(database, make.job())
        with database.read() as rows:
            assert rows.jobs.lease_left("job-1") <= 0
            with pytest.raises(errors.NotFound):
                rows.jobs.lease_left("nothing")
        take(database)
        with database.read() as rows:
            assert 0 < rows.jobs.lease_left("job-1") <= LONG

    def test_a_job_that_was_taken_back_belongs_to_whoever_takes_it_next(self, database):
        _queue(database, make.job())
        before = take(database)
        with database.write() as rows:
            rows.jobs.take_back("job-1")
        with database.write() as rows, pytest.raises(errors.LeaseLost):
            rows.jobs.set_payload(before, too="late")
        after = take(database)
        assert after.fence == before.fence + 1
        with database.write() as rows:
            rows.jobs.finish(after, "done")
            with pytest.raises(errors.Conflict):
                rows.jobs.take_back("job-1")

    def test_a_job_without_a_living_worker_can_be_withdrawn(self, database):
        _queue(database, make.job("waits"))
        with database.write() as rows:
            rows.jobs.withdraw("waits")
        _queue(database, make.job("silent"))
        silent = take(database, lease_ms=OVER)
        with database.write() as rows:
            rows.jobs.withdraw("silent")
        with database.write() as rows, pytest.raises(errors.LeaseLost):
            rows.jobs.finish(silent, "done")
        assert (_row(database, "waits").state, _row(database, "silent").state) == ("failed", "failed")

    @pytest.mark.parametrize(("id", "error"), [("alive", errors.Conflict), ("nothing", errors.NotFound)])
    def test_a_job_that_a_worker_has_or_that_is_not_there_is_not_withdrawn(self, database, id, error):
        _queue(database, make.job("alive"))
        job = take(database)
        with database.write() as rows, pytest.raises(error):
            rows.jobs.withdraw(id)
        with database.write() as rows:
            rows.jobs.finish(job, "done")
            with pytest.raises(errors.Conflict):
                rows.jobs.withdraw("alive")
