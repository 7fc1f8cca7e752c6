# SPDX-License-Identifier: Apache-2.0
"""Are shares saved by snapshots of Manila, found again after a crash, and left to Heat to be brought back?"""

import pytest

from karbor.model import errors
from karbor.model.checkpoint import SavedResource
from karbor.model.resource import Resource
from karbor.plugins.resources.share_protection import ShareProtection as Plugin
from karbor.sdk.environment import Environment
from karbor.sdk.testing.memorycloud import MemoryCloud
from karbor.sdk.testing.work import TwinWork
from tests.support.clock import TwinClock

RULE = {"access_type": "ip", "access_to": "10.0.0.0/24", "access_level": "rw"}


class World:
    """A cloud with one share of a project."""

    def __init__(self):
        self.cloud = MemoryCloud(clock=TwinClock(), latency=5)
        self.tenant = self.cloud.open("alpha", pause=self.cloud.clock.pass_time)
        self.share = self.cloud.shares.add("alpha", "files", size=3, metadata={"app": "shop"}, _rules=[RULE])
        self.plugin = Plugin(Plugin.Settings(), Environment("here", "/state"))

    def work(self, operation, options=None, saved=None):
        resource = Resource("OS::Manila::Share", self.share["id"], "files")
        return TwinWork(operation, resource, options=options, saved=saved, cloud=self.tenant)

    def protected(self, **options):
        work = self.work("protect", Plugin.Protect.parse(options))
        for _ in range(2):
            work.results["prepare_finish"] = self.plugin.prepare_finish(work)
        done = self.plugin.protect(work)
        Plugin.Saved.parse(done.saved)
        return work, SavedResource(work.key.text, "karbor-share-protection-plugin", done.saved, {})

    def restoring(self, saved, **options):
        return self.work("restore", Plugin.Restore.parse(options), saved)

    def snapshots(self):
        return list(self.cloud.things["share_snapshot"].values())


@pytest.fixture
def world():
    return World()


def test_one_snapshot_stays_however_often_it_was_tried(world):
    _work, saved = world.protected(snapshot_name="mine", description="before the change")
    (found,) = world.snapshots()
    assert (found["id"], found["name"], found["status"]) == (saved.saved["snapshot_id"], "mine", "available")
    assert found["description"].startswith("before the change [karbor job-")


def test_heat_is_left_a_share_like_the_old_one(world):
    _work, saved = world.protected()
    (part,) = world.plugin.restore(world.restoring(saved, restore_name="again")).template
    assert (part.original_id, part.type) == (world.share["id"], "OS::Manila::Share")
    assert part.properties == {
        "name": "again",
        "share_protocol": "NFS",
        "size": 3,
        "snapshot": saved.saved["snapshot_id"],
        "metadata": {"app": "shop"},
        "access_rules": [RULE],
    }


def test_type_and_network_are_left_to_the_snapshot_and_rules_that_let_nobody_in_are_forgotten(world):
    world.share["_rules"] = [{**rule, "state": state} for rule, state in (
        (RULE, "denying"), ({**RULE, "access_to": "10.0.0.9"}, "queued_to_apply"))]  # fmt: skip
    world.share.update(share_network_id="net", share_type_name="gold")
    _work, saved = world.protected()
    (part,) = world.plugin.restore(world.restoring(saved)).template
    assert not {"share_type", "share_network"} & set(part.properties)
    assert [rule["access_to"] for rule in part.properties["access_rules"]] == ["10.0.0.9"]
    (entry,) = world.plugin.restore_plan(world.restoring(saved)).creates
    assert entry["place"] == "gold"


def test_what_nobody_needs_is_removed_once_however_often_that_is_asked(world):
    world.protected()
    (made,) = world.plugin.made_by_jobs(world.tenant)
    for _ in range(2):
        world.plugin.remove_made(world.tenant, made)
    world.cloud.settle()
    world.plugin.remove_made(world.tenant, made)
    assert world.snapshots() == [] and not list(world.plugin.made_by_jobs(world.tenant))


@pytest.mark.parametrize("lacking", ["snapshot_support", "create_share_from_snapshot_support"])
def test_a_share_whose_type_has_no_snapshots_of_use_is_refused_before_one_is_made(world, lacking):
    world.share[lacking] = False
    with pytest.raises(errors.NotSupported, match="The type of the share files has no snapshots"):
        world.protected(force=True)
    assert world.snapshots() == []


def test_a_share_that_is_busy_is_refused_unless_forced(world):
    world.share["status"] = "extending"
    with pytest.raises(errors.Conflict, match="extending"):
        world.protected()
    assert world.snapshots() == []
    world.protected(force=True)
    assert len(world.snapshots()) == 1


def test_an_abandoned_protect_leaves_nothing_also_where_it_was_cut_off(world):
    world.cloud.fail("shared-file-system", "POST", "/snapshots", 502, after=True)
    work = world.work("protect", Plugin.Protect.parse({}))
    with pytest.raises(errors.KarborError):
        world.plugin.prepare_finish(work)
    assert len(world.snapshots()) == 1
    for _ in range(2):
        world.plugin.abandon(work)
    assert world.snapshots() == []


def test_a_snapshot_that_fails_is_explained(world):
    work = world.work("protect", Plugin.Protect.parse({}))
    snapshot = {"share_id": world.share["id"], "description": f"[karbor {work.operation_id}]"}
    world.tenant.shared_file_system.post("/snapshots", json={"snapshot": snapshot})
    world.cloud.later(lambda: world.snapshots()[0].update(status="error"))
    with pytest.raises(errors.StepFailed, match="could not make"):
        world.plugin.prepare_finish(work)


def test_deleting_twice_deletes_once(world):
    _work, saved = world.protected()
    for _ in range(2):
        world.plugin.delete(world.work("delete", saved=saved))
    assert world.snapshots() == []


def test_a_snapshot_that_cannot_be_removed_is_told(world):
    _work, saved = world.protected()
    world.cloud.fail("shared-file-system", "DELETE", "/snapshots", 403)
    with pytest.raises(errors.Forbidden):
        world.plugin.delete(world.work("delete", saved=saved))


def test_a_snapshot_that_is_gone_or_broken_is_told(world):
    _work, saved = world.protected()
    assert world.plugin.restore_plan(world.restoring(saved)).conflicts == ()
    assert world.plugin.verify(world.work("verify", saved=saved))["status"] == "available"
    world.snapshots()[0]["status"] = "error"
    with pytest.raises(errors.IntegrityError, match="error"):
        world.plugin.verify(world.work("verify", saved=saved))
    world.cloud.things["share_snapshot"].clear()
    restoring = world.restoring(saved)
    assert [type(one) for one in world.plugin.restore_plan(restoring).conflicts] == [errors.ResourceNotFound]
    for phase in (world.plugin.restore_prepare, world.plugin.restore, world.plugin.verify):
        with pytest.raises(errors.ResourceNotFound):
            phase(restoring)
