# SPDX-License-Identifier: Apache-2.0
"""Are ids that no database can hold answered like ids that are not there?"""

import pytest

from karbor.model import errors
from tests.support.rows import PROVIDER, checkpoint, job, plan, restore, verification


class TestRepository:
    @pytest.mark.parametrize(
        "id", ["", "nowhere", "../../etc", "\x00", "a\x00b", "\ud800", "x" * 5000, "'; DROP TABLE plans"]
    )
    @pytest.mark.parametrize(
        "noun",
        [
            *("plans", "checkpoints", "restores", "verifications", "providers", "jobs", "operation_logs"),
            *("triggers", "scheduled_operations"),
        ],
    )
    def test_an_id_that_is_not_there_is_not_found(self, database, noun, id):
        with database.read() as rows:
            with pytest.raises(errors.NotFound) as caught:
                getattr(rows, noun).get(id)
        assert caught.value.message.encode().decode() == caught.value.message


class TestChanges:
    """What is told of to those who listen."""

    @pytest.fixture
    def told(self, database):
        heard = []
        database.listen(heard.append)
        return lambda: [f"{change.noun}.{change.word}" for change in heard]

    def test_a_change_is_told_once_it_is_committed_and_only_then(self, database, told):
        with database.write() as rows:
            rows.plans.create(plan())
            rows.checkpoints.create(checkpoint())
            assert told() == []
        assert told() == ["plan.created", "checkpoint.protecting"]

    def test_what_is_rolled_back_is_not_told(self, database, told):
        with pytest.raises(errors.Conflict), database.write() as rows:
            rows.plans.create(plan())
            raise errors.Conflict("no")
        assert told() == []

    def test_a_step_that_runs_twice_is_told_once(self, database, told):
        for _ in range(2):
            with database.write() as rows:
                rows.checkpoints.transition(_checkpoint_once(rows), "available")
        assert told() == ["checkpoint.protecting", "checkpoint.available"]

    def test_every_change_of_a_job_is_told(self, database, told):
        with database.write() as rows:
            rows.jobs.create(job())
        for end in ("release", None, "finish"):
            with database.write() as rows:
                # The lease is over at once, also by the clock of a server.
                mine = rows.jobs.claim(owner="w", provider_ids=[PROVIDER], host="h", lease_ms=-1000)
                if end == "release":
                    rows.jobs.release(mine)
                elif end == "finish":
                    rows.jobs.request_cancel(mine.id)
                    rows.jobs.request_cancel(mine.id)
                    rows.jobs.finish(mine, "failed")
        words = ["queued", "running", "queued", "running", "taken_over", "cancelling", "failed"]
        assert told() == [f"job.{word}" for word in words]

    def test_runs_and_the_other_changes_of_plans_are_told(self, database, told):
        with database.write() as rows:
            kept = rows.plans.create(plan())
            rows.plans.update(kept)
            rows.plans.delete(kept.id)
            rows.restores.create(restore())
            rows.restores.transition("restore-1", "fail")
            rows.verifications.create(verification())
            rows.verifications.transition("verification-1", "success")
        assert told() == [
            *("plan.created", "plan.updated", "plan.deleted", "restore.in_progress", "restore.fail"),
            *("verification.in_progress", "verification.success"),
        ]


def _checkpoint_once(rows):
    try:
        return rows.checkpoints.get("checkpoint-1").id
    except errors.NotFound:
        return rows.checkpoints.create(checkpoint()).id
