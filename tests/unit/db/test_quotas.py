# SPDX-License-Identifier: Apache-2.0
"""Do limits hold, also against many at once, and do the counters always say what is there?"""

import random
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from karbor.db.tables import CHECKPOINTS, PLAN_SUMMARIES, PLANS, QUOTA_USAGES
from karbor.model import errors
from karbor.model.checkpoint import Sizes
from karbor.model.page import PageRequest
from karbor.model.quota import KINDS, Drift
from tests.support import rows as make
from tests.support.contenders import make_plans
from tests.unit.db.test_jobs import contender
from tests.unit.db.test_usage import in_use

DEFAULTS = {"plans": 50, "checkpoints": -1, "logical_bytes": -1, "stored_bytes": -1}


class TestLimits:
    def test_the_class_default_overrides_the_configuration_and_a_project_overrides_both(self, database):
        with database.write() as rows:
            assert rows.quotas.limits("p", DEFAULTS) == DEFAULTS
            rows.quotas.set_class("default", {"plans": 7, "stored_bytes": 10**15})
            rows.quotas.set_class("gold", {"plans": 99})
            rows.quotas.set("p", {"plans": -1, "checkpoints": 0})
            ours = {"plans": -1, "checkpoints": 0, "logical_bytes": -1, "stored_bytes": 10**15}
            assert rows.quotas.limits("p", DEFAULTS) == ours
            assert rows.quotas.limits("q", DEFAULTS)["plans"] == 7
            assert rows.quotas.class_limits("default", DEFAULTS)["plans"] == 7
            assert rows.quotas.class_limits("gold", DEFAULTS) == {**DEFAULTS, "plans": 99}
            rows.quotas.set("p", {"plans": 3})
            assert rows.quotas.limits("p", DEFAULTS) == {**ours, "plans": 3}
            for _time in range(2):
                rows.quotas.reset("p")
            assert rows.quotas.limits("p", DEFAULTS) == rows.quotas.limits("q", DEFAULTS)

    def test_what_is_not_configured_is_unlimited(self, database):
        with database.read() as rows:
            assert rows.quotas.limits("p", {}) == dict.fromkeys(KINDS, -1)

    @pytest.mark.parametrize(
        "limits", [{"colour": 1}, {"plans": -2}, {"plans": 2**63}, {"plans": True}, {"plans": None}]
    )
    def test_nonsense_is_refused_and_changes_nothing(self, database, limits):
        with database.write() as rows:
            for change in (rows.quotas.set, rows.quotas.set_class):
                with pytest.raises(errors.InvalidInput):
                    change("p", {"checkpoints": 1, **limits})
            assert rows.quotas.limits("p", DEFAULTS) == rows.quotas.class_limits("p", DEFAULTS) == DEFAULTS

    @pytest.mark.parametrize("name", ["", "\x00", "\ud800", "x" * 300])
    def test_a_name_that_cannot_be_kept_has_the_defaults(self, database, name):
        with database.write() as rows:
            for change in (rows.quotas.set, rows.quotas.set_class):
                with pytest.raises(errors.InvalidInput):
                    change(name, {"plans": 1})
            rows.quotas.reset(name)
            assert rows.quotas.limits(name, DEFAULTS) == rows.quotas.class_limits(name, DEFAULTS) == DEFAULTS
            assert in_use(rows, name) == (0, 0, 0, 0)


class TestRequire:
    def test_the_limit_can_be_reached_and_not_passed(self, database):
        with database.write() as rows:
            for number in range(2):
                rows.quotas.require(make.PROJECT, {"plans": 2}, "plans")
                rows.plans.create(make.plan(str(number)))
            with pytest.raises(errors.TooLarge) as caught:
                rows.quotas.require(make.PROJECT, {"plans": 2}, "plans")
            assert caught.value.message == "Maximum number of plans allowed (2) exceeded"
            rows.quotas.require(make.PROJECT, {"plans": 2}, "plans", 0)
            rows.quotas.require(make.PROJECT, {"plans": 3}, "plans", 1)
            rows.quotas.require("another", {"plans": 2}, "plans", 2)
            with pytest.raises(errors.TooLarge):
                rows.quotas.require("another", {"plans": 2}, "plans", 3)
            rows.quotas.require(make.PROJECT, {"plans": -1}, "plans", 10**9)

    def test_bytes_that_are_used_up_allow_no_further_checkpoint(self, database):
        with database.write() as rows:
            rows.quotas.set(make.PROJECT, {"stored_bytes": 100})
            rows.checkpoints.create(make.checkpoint(sizes=Sizes(1000, 0, 99)))
            rows.quotas.require(make.PROJECT, DEFAULTS, "stored_bytes")
            rows.checkpoints.update("checkpoint-1", sizes=Sizes(1000, 0, 100))
            with pytest.raises(errors.TooLarge, match="stored bytes"):
                rows.quotas.require(make.PROJECT, DEFAULTS, "stored_bytes")

    def test_threads_and_processes_at_once_do_not_pass_it(self, database, empty_url):
        limit = 40
        processes = [contender("plans", empty_url, str(limit)) for _ in range(2)]
        with ThreadPoolExecutor(4) as pool:
            made = list(pool.map(lambda owner: make_plans(database, limit, owner), "abcd"))
        told = [process.communicate()[0].split() for process in processes]
        assert [process.returncode for process in processes] == [0, 0]
        with database.write() as rows:
            kept = {plan.id for plan in rows.plans.list(PageRequest()).items}
            assert in_use(rows)[0] == limit
            assert rows.quotas.reconcile() == []
        assert sorted(id for part in (*made, *told) for id in part) == sorted(kept)


class TestReconcile:
    def test_what_went_wrong_is_told_and_mended(self, database):
        with database.write() as rows:
            rows.plans.create(make.plan())
            rows.checkpoints.create(make.checkpoint(status="available", sizes=Sizes(7, 0, 5)))
            rows.checkpoints.create(make.checkpoint("2", project_id="another", plan_id="p"))
            assert rows.quotas.reconcile() == []
            # Not through the repositories: as a hand that edits the database.
            rows.connection.execute(sa.update(QUOTA_USAGES).values(plans=9, stored_bytes=0))
            rows.connection.execute(sa.delete(QUOTA_USAGES).where(QUOTA_USAGES.c.project_id == "another"))
            rows.connection.execute(sa.delete(PLAN_SUMMARIES).where(PLAN_SUMMARIES.c.plan_id == "plan-1"))
            ours = [
                Drift(make.PROJECT, "plans", 9, 1),
                Drift(make.PROJECT, "stored_bytes", 0, 5),
                Drift(make.PROJECT, "plan", 0, 1, "plan-1"),
            ]
            assert list(rows.quotas.reconcile(make.PROJECT)) == ours
            assert list(rows.quotas.reconcile()) == [Drift("another", "checkpoints", 0, 1)]
            assert rows.quotas.reconcile() == []
            assert in_use(rows) == (1, 1, 7, 5)
            assert rows.plans.summaries(["plan-1"])["plan-1"].last_good_id == "checkpoint-1"

    def test_rows_that_vanished_are_not_counted_any_more(self, database):
        with database.write() as rows:
            rows.plans.create(make.plan())
            rows.checkpoints.create(make.checkpoint())
            rows.connection.execute(sa.delete(CHECKPOINTS))
            rows.connection.execute(sa.delete(PLANS))
            assert {drift.kind for drift in rows.quotas.reconcile()} == {"plans", "checkpoints", "plan"}
            assert in_use(rows) == (0, 0, 0, 0)

    def test_nothing_drifts_whatever_is_done_at_once(self, database):
        """Also while somebody counts anew all the time."""
        dice = [random.Random(seed) for seed in range(4)]

        def live(owner):
            roll, mine = dice[owner], []
            for number in range(12):
                id = f"{owner}-{number}"
                plan = f"plan-{roll.randrange(2)}"
                sizes = Sizes(roll.randrange(1000), 0, roll.randrange(100))
                database.retrying(lambda rows, id=id: rows.plans.create(make.plan(id)))
                database.retrying(
                    lambda rows, id=id, plan=plan: rows.checkpoints.create(make.checkpoint(id, plan_id=plan))
                )
                database.retrying(
                    lambda rows, id=id, sizes=sizes: rows.checkpoints.transition(id, "available", sizes=sizes)
                )
                mine.append(id)
                if roll.random() < 0.6:
                    gone = mine.pop(roll.randrange(len(mine)))
                    database.retrying(lambda rows, gone=gone: rows.plans.delete(gone))
                    for status in ("deleting", "deleted"):
                        database.retrying(
                            lambda rows, gone=gone, status=status: rows.checkpoints.transition(gone, status)
                        )
                assert database.retrying(lambda rows: rows.quotas.reconcile()) == []
            return len(mine)

        with ThreadPoolExecutor(4) as pool:
            left = sum(pool.map(live, range(4)))
        with database.write() as rows:
            assert rows.quotas.reconcile() == []
            assert in_use(rows)[:2] == (left, left)
            found = rows.plans.summaries(["plan-0", "plan-1"])
            assert sum(summary.checkpoints for summary in found.values()) == left
            for id, summary in found.items():
                page = rows.checkpoints.list(PageRequest(limit=1, filters={"plan_id": id, "status": "available"}))
                assert [summary.last_good_id] == ([item.id for item in page.items] or [None])
