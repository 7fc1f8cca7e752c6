# SPDX-License-Identifier: Apache-2.0
"""Is the catalog of checkpoints exact, and does a status change only by the table?"""

from dataclasses import replace
from datetime import timedelta

import pytest

from karbor.model import errors, states
from karbor.model.checkpoint import Reason, Sizes
from karbor.model.page import PageRequest
from karbor.model.progress import Progress
from tests.support import rows as make

PROGRESS = Progress(5, 2**50, "Libvirt::Disk#vda", "main", 12)


class TestCheckpoints:
    def test_a_checkpoint_comes_back_as_it_was_created(self, database, clock):
        full = make.checkpoint(
            graph={"nodes": []},
            extra_info={"created_by": "manual"},
            consistency="filesystem",
            mode="full",
            sizes=Sizes(2**60, 2, 3),
            progress=PROGRESS,
            reason=Reason("a", "b", "c", "d"),
            finished_at=clock.now(),
            base_id="checkpoint-0",
            source_id="checkpoint-there",
            verified_at=clock.now(),
            verified_level="full",
        )
        with database.write() as rows:
            created = rows.checkpoints.create(full)
            assert rows.checkpoints.get("checkpoint-1") == created
            bare = rows.checkpoints.create(make.checkpoint("checkpoint-2"))
            assert rows.checkpoints.get("checkpoint-2") == bare
        assert created == replace(full, created_at=clock.now())

    def test_another_project_or_provider_does_not_find_it(self, database):
        with database.write() as rows:
            rows.checkpoints.create(make.checkpoint())
            for scope in ({"project_id": "another"}, {"provider_id": "another"}):
                with pytest.raises(errors.NotFound):
                    rows.checkpoints.get("checkpoint-1", **scope)
            assert rows.checkpoints.get("checkpoint-1", project_id=make.PROJECT, provider_id=make.PROVIDER)

    @pytest.mark.parametrize("old", sorted(states.CHECKPOINT.states))
    @pytest.mark.parametrize("new", sorted(states.CHECKPOINT.states))
    def test_a_status_moves_along_the_arrows_only(self, database, old, new):
        with database.write() as rows:
            rows.checkpoints.create(make.checkpoint(status=old))
            if new == old or new in states.CHECKPOINT.moves[old]:
                assert rows.checkpoints.transition("checkpoint-1", new).status == new
            else:
                with pytest.raises(errors.Conflict):
                    rows.checkpoints.transition("checkpoint-1", new)
                assert rows.checkpoints.get("checkpoint-1").status == old

    def test_a_move_changes_other_fields_with_it(self, database, clock):
        with database.write() as rows:
            rows.checkpoints.create(make.checkpoint())
            clock.pass_time(3)
            moved = rows.checkpoints.transition(
                "checkpoint-1",
                "available",
                sizes=Sizes(1, 2, 3),
                finished_at=clock.now(),
                mode="incremental",
                reason=None,
            )
            assert rows.checkpoints.get("checkpoint-1") == moved
        assert (moved.sizes, moved.mode, moved.updated_at) == (Sizes(1, 2, 3), "incremental", clock.now())

    def test_a_refused_move_changes_nothing(self, database):
        with database.write() as rows:
            created = rows.checkpoints.create(make.checkpoint(status="deleting"))
            with pytest.raises(errors.Conflict):
                rows.checkpoints.transition("checkpoint-1", "copying", mode="full")
            assert rows.checkpoints.get("checkpoint-1") == created

    def test_a_status_does_not_change_by_an_update(self, database):
        with database.write() as rows:
            rows.checkpoints.create(make.checkpoint())
            for field in ("status", "id", "colour", "project_id", "plan_id", "source_id", "deleted"):
                with pytest.raises(TypeError):
                    rows.checkpoints.update("checkpoint-1", **{field: "available"})

    def test_progress_is_shown_and_is_no_fault_where_nobody_looks(self, database):
        with database.write() as rows:
            rows.checkpoints.create(make.checkpoint())
            rows.checkpoints.set_progress("checkpoint-1", PROGRESS)
            rows.checkpoints.set_progress("nowhere", PROGRESS)
            assert rows.checkpoints.get("checkpoint-1").progress == PROGRESS

    def test_what_is_missing_cannot_be_changed(self, database):
        with database.write() as rows:
            for change in (
                lambda: rows.checkpoints.update("nowhere", mode="full"),
                lambda: rows.checkpoints.transition("nowhere", "available"),
                lambda: rows.checkpoints.save_resources("nowhere", ()),
            ):
                with pytest.raises(errors.NotFound):
                    change()

    def test_a_tombstone_is_kept_but_not_listed_unless_asked_for(self, database):
        with database.write() as rows:
            for number, status in enumerate(["available", "deleted", "error"]):
                rows.checkpoints.create(make.checkpoint(f"c{number}", status=status))

            def listed(**request):
                request = PageRequest(**{"sort": (("id", "asc"),), **request})
                return [item.id for item in rows.checkpoints.list(request, provider_id=make.PROVIDER).items]

            assert listed() == ["c0", "c2"]
            assert listed(filters={"status": "deleted"}) == ["c1"]
            assert listed(marker="c1") == ["c2"]
            assert rows.checkpoints.get("c1").status == "deleted"

    def test_a_list_is_of_one_provider_and_one_project(self, database):
        with database.write() as rows:
            rows.checkpoints.create(make.checkpoint("mine", plan_id="p"))
            rows.checkpoints.create(make.checkpoint("elsewhere", provider_id="another"))
            rows.checkpoints.create(make.checkpoint("theirs", project_id="another"))
            page = rows.checkpoints.list(PageRequest(project_id=make.PROJECT), provider_id=make.PROVIDER)
            assert [item.id for item in page.items] == ["mine"]
            assert len(rows.checkpoints.list(PageRequest(), provider_id=None).items) == 3
            page = rows.checkpoints.list(PageRequest(filters={"plan_id": "p"}), provider_id=make.PROVIDER)
            assert [item.id for item in page.items] == ["mine"]

    def test_a_list_across_providers_and_by_provider(self, database):
        with database.write() as rows:
            rows.checkpoints.create(make.checkpoint("here"))
            rows.checkpoints.create(make.checkpoint("there", provider_id="another"))

            def listed(**filters):
                page = rows.checkpoints.list(PageRequest(project_id=make.PROJECT, filters=filters))
                return {item.id for item in page.items}

            assert listed() == {"here", "there"}
            assert listed(provider_id="another") == {"there"}
            assert listed(provider_id="another", plan_id="plan-1", status="protecting") == {"there"}

    @pytest.mark.parametrize("key", ["created_at", "id", "status"])
    @pytest.mark.parametrize("filters", [{}, {"plan_id": "plan-1"}, {"start_date": "2000-01-01"}])
    def test_tombstones_are_hidden_in_every_order(self, database, key, filters):
        with database.write() as rows:
            for number, status in enumerate(["available", "deleted", "error", "deleted", "deleting"]):
                rows.checkpoints.create(make.checkpoint(f"c{number}", status=status))
            rows.checkpoints.transition("c4", "deleted")
            page = rows.checkpoints.list(PageRequest(sort=((key, "asc"),), filters=filters))
        assert {item.id for item in page.items} == {"c0", "c2"}

    def test_old_tombstones_are_purged_a_few_at_a_time(self, database, clock):
        with database.write() as rows:
            for number in range(5):
                rows.checkpoints.create(make.checkpoint(f"old{number}", status="deleting"))
                rows.checkpoints.save_resources(f"old{number}", [make.saved()])
                rows.checkpoints.transition(f"old{number}", "deleted")
            rows.checkpoints.create(make.checkpoint("live", status="available"))
            clock.pass_time(60)
            moment = clock.now()
            rows.checkpoints.create(make.checkpoint("new", status="deleting"))
            rows.checkpoints.transition("new", "deleted")
            rows.checkpoints.update("live", mode="full")
            before = rows.quotas.usage(make.PROJECT), rows.plans.summaries(["plan-1"])
            assert [rows.checkpoints.purge(moment, 3) for _ in range(3)] == [3, 2, 0]
            for id in ("live", "new"):
                assert rows.checkpoints.get(id)
            with pytest.raises(errors.NotFound):
                rows.checkpoints.get("old0")
            assert rows.checkpoints.resources("old0") == ()
            assert (rows.quotas.usage(make.PROJECT), rows.plans.summaries(["plan-1"])) == before
            assert rows.quotas.reconcile() == []

    def test_a_copy_is_no_base_unless_copies_are_asked_for(self, database):
        with database.write() as rows:
            rows.checkpoints.create(make.checkpoint(status="available", source_id="there"))
            rows.checkpoints.save_resources("checkpoint-1", [make.saved("T#1")])
            asked = {"project_id": make.PROJECT, "provider_id": make.PROVIDER, "key": "T#1"}
            assert rows.checkpoints.earlier(**asked) == []
            assert [id for id, _saved in rows.checkpoints.earlier(**asked, copies=True)] == ["checkpoint-1"]


class TestSavedResources:
    def test_they_come_back_in_order_and_are_replaced_as_a_whole(self, database):
        first = [make.saved("T#2"), make.saved("T#1@p", base_id="c0", mode="incremental", consistency="application")]
        with database.write() as rows:
            rows.checkpoints.create(make.checkpoint())
            for saved in (first, first, [make.saved("T#3")], []):
                rows.checkpoints.save_resources("checkpoint-1", saved)
                assert rows.checkpoints.resources("checkpoint-1") == tuple(saved)

    def test_uncopied_ones_have_no_copy_there_oldest_first(self, database, clock):
        wanted = {"project_id": make.PROJECT, "provider_id": make.PROVIDER, "plan_id": "plan-1", "to": "other"}
        with database.write() as rows:
            for number, status in enumerate(["available", "available", "error", "available"]):
                rows.checkpoints.create(make.checkpoint(f"c{number}", status=status))
                clock.pass_time(1)
            rows.checkpoints.create(make.checkpoint("another plan", plan_id="plan-2", status="available"))
            copy = {"provider_id": "other", "source_id": "c0"}
            rows.checkpoints.create(make.checkpoint("copy", status="wait_copying", **copy))

            def uncopied(limit=10, **more):
                return [found.id for found in rows.checkpoints.uncopied(**{**wanted, **more}, limit=limit)]

            assert uncopied() == ["c1", "c3"] and uncopied(limit=1) == ["c1"]
            assert uncopied(only="c3") == ["c3"] and uncopied(only="c0") == [] == uncopied(project_id="somebody")
            assert uncopied(to="third") == ["c0", "c1", "c3"]
            rows.checkpoints.transition("copy", "error")
            assert uncopied() == ["c0", "c1", "c3"]

    def test_earlier_ones_are_of_available_checkpoints_of_the_same_owner_newest_first(self, database, clock):
        with database.write() as rows:
            for number, given in enumerate(
                [{}, {}, {"status": "error"}, {"provider_id": "another"}, {"project_id": "another"}, {}]
            ):
                moment = clock.now() + timedelta(seconds=number)
                rows.checkpoints.create(
                    make.checkpoint(f"c{number}", created_at=moment, **{"status": "available", **given})
                )
                rows.checkpoints.save_resources(
                    f"c{number}", [make.saved("T#1", base_id=str(number)), make.saved("T#2")]
                )

            def earlier(**given):
                asked = {"project_id": make.PROJECT, "provider_id": make.PROVIDER, "key": "T#1", **given}
                return [(id, saved.base_id) for id, saved in rows.checkpoints.earlier(**asked)]

            assert earlier() == [("c5", "5"), ("c1", "1"), ("c0", "0")]
            assert earlier(limit=1) == [("c5", "5")]
            assert earlier(key="T#3") == []
