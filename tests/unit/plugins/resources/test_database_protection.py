# SPDX-License-Identifier: Apache-2.0
"""Are database instances saved by backups of Trove, found again after a crash, and left to Heat to be brought back?"""

import pytest

from karbor.model import errors
from karbor.model.checkpoint import SavedResource
from karbor.model.resource import Resource
from karbor.plugins.resources.database_protection import DatabaseProtection as Plugin
from karbor.sdk.environment import Environment
from karbor.sdk.template import reference
from karbor.sdk.testing.memorycloud import MemoryCloud
from karbor.sdk.testing.work import TwinWork
from tests.support.clock import TwinClock


class World:
    """A cloud with one database instance of a project."""

    def __init__(self):
        self.cloud = MemoryCloud(clock=TwinClock(), latency=5)
        self.tenant = self.cloud.open("alpha", pause=self.cloud.clock.pass_time)
        addresses = [{"address": "10.0.0.4", "type": "private", "network": "the-net"}]
        self.instance = self.cloud.databases.add("alpha", "books", addresses=addresses)
        self.plugin = Plugin(Plugin.Settings(), Environment("here", "/state"))

    def work(self, operation, options=None, saved=None):
        resource = Resource("OS::Trove::Instance", self.instance["id"], "books")
        return TwinWork(operation, resource, options=options, saved=saved, cloud=self.tenant)

    def protected(self, **options):
        work = self.work("protect", Plugin.Protect.parse(options))
        done = [self.plugin.protect(work) for _ in range(2)]
        assert done[0] == done[1]
        Plugin.Saved.parse(done[0].saved)
        return work, SavedResource(work.key.text, "karbor-database-protection-plugin", done[0].saved, {})

    def restoring(self, saved, **options):
        return self.work("restore", Plugin.Restore.parse(options), saved)

    def backups(self):
        return list(self.cloud.things["database_backup"].values())


@pytest.fixture
def world():
    return World()


def test_one_backup_stays_however_often_it_was_tried(world):
    _work, saved = world.protected(backup_name="mine")
    (found,) = world.backups()
    assert (found["id"], found["name"], found["status"]) == (saved.saved["backup_id"], "mine", "COMPLETED")


def test_another_job_makes_a_backup_of_its_own(world):
    world.tenant.database.post("/backups", json={"backup": {"instance": world.instance["id"], "name": "by hand"}})
    world.protected()
    assert len(world.backups()) == 2


def test_heat_is_left_an_instance_like_the_old_one(world):
    _work, saved = world.protected()
    (part,) = world.plugin.restore(world.restoring(saved, restore_name="again")).template
    assert (part.original_id, part.type) == (world.instance["id"], "OS::Trove::Instance")
    assert part.properties == {
        "name": "again",
        "flavor": "1",
        "size": 1,
        "datastore_type": "mysql",
        "datastore_version": "8.0",
        "restore_point": saved.saved["backup_id"],
        "networks": [{"network": reference("the-net", or_else="the-net")}],
    }


def test_a_network_can_be_named_and_its_lack_is_told(world):
    del world.instance["addresses"]
    _work, saved = world.protected()
    assert any("network" in told for told in world.plugin.restore_plan(world.restoring(saved)).warnings)
    named = world.restoring(saved, restore_net_id="other")
    (part,) = world.plugin.restore(named).template
    assert part.properties["networks"] == [{"network": "other"}]
    assert not any("network" in told for told in world.plugin.restore_plan(named).warnings)


def test_an_abandoned_protect_leaves_nothing_also_where_it_was_cut_off(world):
    world.cloud.fail("database", "POST", "/backups", 502, after=True)
    work = world.work("protect", Plugin.Protect.parse({}))
    with pytest.raises(errors.KarborError):
        world.plugin.protect(work)
    assert len(world.backups()) == 1
    for _ in range(2):
        world.plugin.abandon(work)
    assert world.backups() == []


def test_deleting_twice_deletes_once(world):
    _work, saved = world.protected()
    for _ in range(2):
        world.plugin.delete(world.work("delete", saved=saved))
    assert world.backups() == []


def test_a_backup_that_is_gone_or_broken_is_told(world):
    _work, saved = world.protected()
    assert world.plugin.restore_plan(world.restoring(saved)).conflicts == ()
    assert world.plugin.verify(world.work("verify", saved=saved))["status"] == "COMPLETED"
    world.backups()[0]["status"] = "FAILED"
    with pytest.raises(errors.IntegrityError, match="FAILED"):
        world.plugin.verify(world.work("verify", saved=saved))
    world.cloud.things["database_backup"].clear()
    restoring = world.restoring(saved)
    assert [type(one) for one in world.plugin.restore_plan(restoring).conflicts] == [errors.ResourceNotFound]
    for phase in (world.plugin.restore_prepare, world.plugin.verify):
        with pytest.raises(errors.ResourceNotFound):
            phase(restoring)
