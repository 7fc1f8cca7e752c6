# SPDX-License-Identifier: Apache-2.0
"""Does a run end as what it made, whatever happens to the requests and to the engines?"""

from dataclasses import replace

import pytest

from karbor.model import errors
from karbor.operationengine.steps import DELETES, Steps, StepSettings
from tests.support.schedules import BEGIN, LEASE, fire, run_of, scheduled

GONE = errors.Unavailable("nobody there")


class _House:
    """A database with one scheduled operation that has just fired, and the steps of engines over it."""

    def __init__(self, database, north, clock):
        self.database, self.north, self.clock = database, north, clock
        self.steps = Steps(database, north, StepSettings(lease=LEASE, watch=1000, retry=1000))

    def schedule(self, type_="protect", *, name="a", **definition):
        with self.database.write() as rows:
            scheduled(rows, name, trigger=f"t-{name}", operation_type=type_, definition=definition)
            fire(rows)
        return self

    def begin(self):
        with self.database.write() as rows:
            return rows.scheduled_runs.begin(**BEGIN)

    def step(self, seconds=2.0):
        """Every step that wants to be done, after that time."""
        self.clock.pass_time(seconds)
        with self.database.write() as rows:
            runs = rows.scheduled_runs.resume(owner="engine-2", lease_ms=LEASE, limit=10)
        for run in [*self.begin(), *runs]:
            self.steps.step(run)
        return len(runs)

    def run(self, name="a"):
        with self.database.read() as rows:
            return run_of(rows, name)

    def until(self, status, name="a", steps=50):
        for _step in range(steps):
            if self.run(name).status == status:
                return self.run(name)
            self.step(100)
        raise AssertionError(self.run(name))


@pytest.fixture
def house(database, north, clock):
    return _House(database, north, clock)


class TestProtect:
    def test_it_ends_well_when_the_checkpoint_does(self, house, north):
        north.ends = "protecting"
        house.schedule().step()
        for _look in range(3):
            house.step()
            assert house.run().status == "running"
        north.set("available")
        house.step()
        run = house.run()
        assert run.status == "success" and run.result["checkpoint_id"] and len(north.made()) == 1

    def test_it_fails_as_the_checkpoint_does_and_says_why(self, house, north):
        north.ends = "error"
        run = house.schedule().until("failed")
        assert "no space; make some" in run.reason and len(north.made()) == 1

    def test_a_checkpoint_that_somebody_deleted_is_a_failure(self, house, north):
        north.ends = "protecting"
        house.schedule().step()
        north.delete(None, house.run().result["checkpoint_id"])
        assert "deleted" in house.until("failed").reason

    def test_what_is_refused_is_not_asked_again(self, house, north):
        north.faults = [errors.TooLarge("Maximum number of checkpoints allowed (1) exceeded")]
        assert "Maximum number" in house.schedule().until("failed").reason
        assert len(north.asked) == 1

    def test_a_failed_one_is_begun_anew_as_often_as_asked(self, house, north):
        north.ends = "error"
        run = house.schedule(max_retries=2).until("failed")
        assert run.attempts == 3 and len(run.result["failed"]) == 2 and len(north.made()) == 3

    def test_a_type_that_this_release_does_not_know_fails(self, house):
        assert "cannot do" in house.schedule("dance").until("failed").reason


class TestLostAnswers:
    def test_a_repeated_request_makes_no_second_checkpoint(self, house, north):
        north.late = [GONE]
        run = house.schedule().until("success")
        assert len(north.made()) == 1 and run.reason is None

    @pytest.mark.parametrize("fault", [GONE, errors.Forbidden("the trust is gone")])
    def test_nobody_there_is_shown_and_tried_again(self, house, north, fault):
        north.faults = [fault] * 3
        house.schedule().step()
        assert house.run().reason == fault.message
        assert house.until("success").status == "success"

    def test_who_never_gets_through_within_the_window_was_missed(self, house, north):
        north.faults = [GONE] * 1000
        run = house.schedule().until("missed")
        assert "nobody there" in run.reason and north.made() == []

    def test_one_that_nobody_may_watch_any_more_ends_after_a_day(self, house, north):
        north.ends = "protecting"
        house.schedule().step()
        north.faults = [errors.Forbidden("the user is gone")] * 1000
        house.step(10 * 3600)
        assert house.run().status == "running"
        house.step(11 * 3600)
        assert (house.run().status, house.run().reason) == ("failed", "the user is gone")

    def test_one_that_was_begun_is_watched_however_long_nobody_answers(self, house, north):
        north.ends = "protecting"
        house.schedule().step()
        north.faults = [GONE] * 30
        for _look in range(30):
            house.step(3600)
        north.set("available")
        assert house.until("success").result["checkpoint_id"]

    def test_an_answer_lost_at_the_end_of_the_window_does_not_lose_the_checkpoint(self, house, north):
        north.late = [GONE]
        house.schedule().step()
        house.step(100_000)
        assert house.until("success").status == "success" and len(north.made()) == 1


class TestEnginesThatDieOrSleep:
    def test_who_slept_past_its_lease_begins_nothing(self, house, north):
        house.schedule()
        (ours,) = house.begin()
        house.step(LEASE / 1000 + 1)  # another engine takes it
        assert len(north.made()) == 1
        house.steps.step(ours)
        assert len(north.made()) == 1 and house.until("success")

    def test_a_request_that_arrives_after_the_run_was_missed_begins_nothing(self, house, north):
        house.schedule()
        (ours,) = house.begin()
        north.faults = [GONE] * 1000
        house.until("missed")
        north.faults = []
        with pytest.raises(errors.Conflict):
            north.protect(ours)
        assert north.made() == []

    def test_one_that_died_after_the_request_is_gone_on_with(self, house, north):
        house.schedule()
        (ours,) = house.begin()
        north.protect(ours)
        house.step(LEASE / 1000 + 1)
        assert house.until("success") and len(north.made()) == 1


class TestReplace:
    def test_the_last_one_is_called_off_and_ends_before_the_next_begins(self, house, north):
        north.ends = "protecting"
        house.schedule(overlap="replace", max_retries=5).step()
        with house.database.write() as rows:
            first = run_of(rows)
            second = rows.scheduled_runs.ask(rows.scheduled_operations.get("a"))
        house.step()
        north.ends = "available"
        house.until("success")
        with house.database.read() as rows:
            assert rows.scheduled_runs.get(first.id).status == "failed"
            assert rows.scheduled_runs.get(second.id).status == "success"
        assert [status for _operation, _run, status in north.made()] == ["error", "available"]


class TestRetention:
    def _again(self, house):
        with house.database.write() as rows:
            rows.scheduled_runs.ask(rows.scheduled_operations.get("a"))
        return house.until("success")

    def test_old_ones_go_after_the_new_one_is_good(self, house, north):
        house.schedule("retention_protect", max_backups=2).until("success")
        runs = [self._again(house) for _time in range(3)]
        assert [run.result.get("deleted") for run in runs] == [0, 1, 1]
        assert [run_id for _operation, run_id, _status in north.made()] == [runs[1].id, runs[2].id]

    def test_what_is_locked_or_held_stays(self, house, north):
        first = house.schedule("retention_protect", max_backups=1).until("success")
        north.locks[first.id] = {"held": False, "locked_until": "2999-01-01T00:00:00.000000"}
        second = self._again(house)
        north.locks[second.id] = {"held": True, "locked_until": None}
        third = self._again(house)
        north.locks[third.id] = {"held": False, "locked_until": "2001-01-01T00:00:00.000000"}  # that has passed
        last = self._again(house)
        assert [run_id for _operation, run_id, _status in north.made()] == [first.id, second.id, last.id]

    def test_nothing_goes_where_the_new_one_failed(self, house, north):
        house.schedule("retention_protect", max_backups=1).until("success")
        north.ends = "error"
        with house.database.write() as rows:
            rows.scheduled_runs.ask(rows.scheduled_operations.get("a"))
        house.until("failed")
        assert [status for _operation, _run, status in north.made()] == ["available", "error"]

    def test_many_go_in_parts_each_once(self, house, north):
        house.schedule("retention_protect").until("success")
        count = DELETES + 5
        for _time in range(count):
            self._again(house)
        with house.database.write() as rows:
            found = rows.scheduled_operations.get("a")
            changed = {**found.operation_definition, "max_backups": 1}
            rows.scheduled_operations.update(_replaced(found, changed))
        assert self._again(house).result["deleted"] == count + 1
        assert len(north.made()) == 1

    def test_a_fault_there_does_not_spoil_the_backup(self, house, north):
        house.schedule("retention_protect", max_backups=1)
        house.step()
        north.faults = _Second(errors.InvalidInput("strange"))
        run = house.until("success")
        assert run.reason == "Old checkpoints were not removed: strange"


def _replaced(operation, definition):
    return replace(operation, operation_definition=definition)


class _Second(list):
    """Faults of which the first request is spared."""

    def __init__(self, fault):
        super().__init__([fault])
        self._asked = 0

    def __bool__(self):
        self._asked += 1
        return self._asked == 2


class TestVerify:
    @pytest.mark.parametrize(("ends", "status"), [("success", "success"), ("fail", "failed")])
    def test_the_newest_good_checkpoint_is_verified(self, house, north, ends, status):
        house.schedule().until("success")
        house.schedule("verify", name="v", level="data").step()
        ((_what, id, parameters),) = [one for one in north.asked if one[0] == "verify"]
        assert id == house.run().result["checkpoint_id"] and parameters == {"OS::Nova::Server": {"level": "data"}}
        (found,) = north.verified.values()
        found["status"] = ends
        run = house.until(status, "v")
        assert run.result["verification_id"] == found["id"]

    def test_without_a_good_one_it_fails(self, house):
        assert "no available checkpoint" in house.schedule("verify").until("failed").reason


class TestCopy:
    @pytest.mark.parametrize(("ends", "status"), [("available", "success"), ("error", "failed")])
    def test_it_ends_as_the_copies_do(self, house, north, ends, status):
        house.schedule().until("success")
        house.schedule("copy", name="c", target_provider_id="far").step()
        assert ("copy", "far") in north.asked
        north.set(ends)
        assert house.until(status, "c").result["copies"]

    def test_where_everything_has_a_copy_there_is_nothing_to_do(self, house):
        house.schedule("copy", target_provider_id="far")
        assert house.until("success").result["copies"] == []


class TestRestoreCheck:
    def _go(self, house, north, **definition):
        house.schedule(name="b").until("success", "b")
        house.schedule("restore_check", **definition).step()
        for made in north.verified.values():
            made["status"] = "success"
        return house

    def test_what_a_restore_would_do_is_asked_and_all_of_it_is_read(self, house, north):
        run = self._go(house, north).until("success")
        assert run.reason is None
        assert [what[0] for what in north.asked if what[0] in ("plan_restore", "verify")] == ["plan_restore", "verify"]
        (asked,) = [what for what in north.asked if what[0] == "verify"]
        assert asked[2] == {"OS::Nova::Server": {"level": "data"}}

    def test_what_is_in_the_way_of_a_restore_is_told(self, house, north):
        north.conflicts = ["There is a domain named web1."]
        run = self._go(house, north).until("success")
        assert run.reason == "A restore would be refused now: There is a domain named web1."

    def test_or_makes_it_fail_where_that_is_asked_for(self, house, north):
        north.conflicts = ["There is no room."]
        run = self._go(house, north, conflicts="fail").until("failed")
        assert "There is no room." in run.reason and not north.verified

    def test_without_a_checkpoint_it_fails(self, house):
        assert "no available checkpoint" in house.schedule("restore_check").until("failed").reason


class TestFailures:
    def test_they_are_counted_until_one_ends_well(self, house, north):
        north.ends = "error"
        house.schedule().until("failed")
        with house.database.read() as rows:
            assert rows.breakers.of(["a"])["a"].failures == 1
        north.ends = "available"
        with house.database.write() as rows:
            rows.scheduled_runs.ask(rows.scheduled_operations.get("a"))
        house.until("success")
        with house.database.read() as rows:
            assert rows.breakers.of(["a"]) == {}
