# SPDX-License-Identifier: Apache-2.0
"""Does an application that a stack of the user had made come back as a stack that Heat goes on managing?"""

import json

import pytest

from karbor.clients.heat import HeatStacks
from karbor.common.clock import Clock
from karbor.plugins.resources.volume_data import VolumeDataProtection
from karbor.plugins.resources.volume_snapshot import VolumeSnapshotProtection
from karbor.protection.restoreplan import plan_restore
from tests.functional.test_cloud import AS_IT_WAS, CloudHouse, protected
from tests.functional.test_operations import PROVIDER
from tests.support.markers import dump, found

PASSWORD = "correct horse"
SECRET = "hunter-Kd8Zx3Vb6Nq1"  # in no checkpoint
BOOT = {"boot_index": 0, "delete_on_termination": False}
TEMPLATE = {
    "heat_template_version": "2018-08-31",
    "description": "a shop",
    "parameters": {
        "password": {"type": "string", "hidden": True},
        "role": {"type": "string", "default": "front"},
        "image": {"type": "string"},
    },
    "resources": {
        "net": {"type": "OS::Neutron::Net", "properties": {"name": "shop"}},
        "subnet": {
            "type": "OS::Neutron::Subnet",
            "properties": {"network": {"get_resource": "net"}, "cidr": "10.7.0.0/24"},
        },
        "port": {
            "type": "OS::Neutron::Port",
            "properties": {"network": {"get_resource": "net"}},
            "depends_on": "subnet",
        },
        "front": {
            "type": "OS::Nova::Server",
            "properties": {
                "name": "web",
                "image": {"get_param": "image"},
                "metadata": {"role": {"get_param": "role"}, "password": {"get_param": "password"}},
                "networks": [{"port": {"get_resource": "port"}}],
            },
        },
        "pages": {"type": "OS::Cinder::Volume", "properties": {"name": "pages", "size": 1}},
        "pages_there": {
            "type": "OS::Cinder::VolumeAttachment",
            "properties": {"instance_uuid": {"get_resource": "front"}, "volume_id": {"get_resource": "pages"}},
        },
        "root": {
            "type": "OS::Cinder::Volume",
            "properties": {"name": "root", "size": 1, "image": {"get_param": "image"}},
        },
        "back": {
            "type": "OS::Nova::Server",
            "properties": {
                "name": "database",
                "block_device_mapping_v2": [{**BOOT, "volume_id": {"get_resource": "root"}}],
            },
        },
    },
}


class StackHouse(CloudHouse):
    """As there, but that a stack made it; a volume was attached by hand."""

    def _application(self):
        cloud = self.cloud
        self.tenant = cloud.open("alpha")
        self.stacks = HeatStacks(self.tenant)
        image = cloud.images.add("alpha", "base", b"as published", min_disk=1)
        self.launch("shop", TEMPLATE, image=image["id"], password=PASSWORD, role="first")
        named = {one["name"]: one for kind in ("server", "volume") for one in cloud.things[kind].values()}
        for name, data in (("web", b"root of web, as used"), ("pages", b"data of pages"), ("root", b"data of root")):
            cloud.contents[named[name]["id"]] = data
        cloud.volumes.add("alpha", "tables", b"data of tables", server=named["database"])
        self.servers = [named["web"]["id"], named["database"]["id"]]

    def launch(self, name, template, files=None, **parameters):
        launch = {"parameters": parameters, "files": files or {}}
        self.stacks.create(name, template, tags=(), timeout_minutes=5, launch=launch)
        assert self.stacks.find(name).status == "CREATE_COMPLETE", self.stacks.find(name)

    def disaster(self):
        """Nobody has the stack any more."""
        super().disaster()
        for kind in ("stack", "network", "subnet"):
            self.cloud.things[kind].clear()

    def rebuild(self, checkpoint, **options):
        given = {"rebuild_stacks": "yes", "stack_parameters": json.dumps({"shop": {"password": PASSWORD}}), **options}
        return self.restore_as_tenant(checkpoint.id, {"OS::Heat::Stack": given})

    def told(self, checkpoint, **options):
        """What a dry run says."""
        return plan_restore(
            self._parts.providers.get(PROVIDER),
            project_id=self.project,
            checkpoint_id=checkpoint.id,
            parameters={"OS::Heat::Stack": options},
            clock=Clock(),
            open_cloud=lambda: self.tenant,
        )

    def members(self, name):
        """What Heat manages under that name: ids by logical names."""
        return {one.name: one.physical_id for one in self.stacks.resources(self.stacks.find(name).id)}

    def kept(self, checkpoint):
        return self.vault.holder(self.project, "checkpoint", checkpoint.id).get_record("checkpoint", checkpoint.id)


@pytest.fixture(params=[VolumeDataProtection, VolumeSnapshotProtection], ids=lambda plugin: plugin.__name__)
def house(request, tmp_path):
    running = StackHouse(tmp_path, request.param)
    yield running
    running.close()


@pytest.fixture
def vault_house(tmp_path):
    running = StackHouse(tmp_path, VolumeDataProtection)
    yield running
    running.close()


def test_an_application_of_a_stack_comes_back_as_a_stack(house):
    checkpoint = protected(house)
    house.disaster()
    volumes = set(house.cloud.things["volume"])
    restore = house.rebuild(checkpoint)
    assert restore.status == "success", restore.resources_reason
    assert house.disks() == AS_IT_WAS
    members = house.members("shop")
    assert set(members) == set(TEMPLATE["resources"])
    web = house.cloud.things["server"][members["front"]]
    assert web["metadata"] == {"role": "first", "password": PASSWORD}
    assert house.cloud.contents[members["pages"]] == b"data of pages"
    left = set(house.cloud.things["volume"]) - volumes
    assert len(left) == 3 and {members["pages"], members["root"]} < left  # and the one that was attached by hand
    shown = {key.partition("#")[2] for key in restore.resources_status}
    assert {members["front"], members["back"], members["pages"], members["root"]} < shown
    assert set(restore.resources_status.values()) == {"available"}
    assert PASSWORD not in json.dumps(dict(restore.parameters))
    assert left <= shown and not (shown & (set(house.servers) | volumes))


def test_hidden_parameters_are_read_by_the_worker_alone_while_it_works_and_by_nobody_after(vault_house, caplog):
    house = vault_house
    caplog.set_level("DEBUG")
    checkpoint = protected(house)
    house.disaster()
    seen = []

    class Faults(dict):
        """Looked at for each resource while a stack is built."""

        def __contains__(self, name):
            seen.append(dump(house.database.engine))
            return super().__contains__(name)

    house.cloud.orchestration.faults = Faults(back=f"Parameter 'password' is invalid: {SECRET} is too long")
    restore = house.rebuild(checkpoint, stack_parameters=json.dumps({"shop": {"password": SECRET}}))
    assert restore.status == "fail" and "is invalid: ***" in json.dumps(dict(restore.resources_reason))
    seen.append(dump(house.database.engine))
    assert len(seen) > 1 and all(found(text, [SECRET]) == [] for text in seen)
    assert b"sealed:" in seen[0] and b"sealed:" not in seen[-1]
    assert SECRET not in caplog.text


def test_deleting_the_stack_takes_all_of_it_away(vault_house):
    house = vault_house
    checkpoint = protected(house)
    house.disaster()
    assert house.rebuild(checkpoint).status == "success"
    house.stacks.delete(house.stacks.find("shop").id)
    assert house.stacks.find("shop") is None
    assert not house.cloud.things["server"] and not house.cloud.things["network"]


def test_no_checkpoint_holds_a_hidden_value(vault_house):
    record = vault_house.kept(protected(vault_house))
    (stack,) = record["stacks"]
    assert (stack["name"], stack["hidden"]) == ("shop", ["password"])
    assert stack["parameters"]["role"] == "first" and "password" not in stack["parameters"]
    assert PASSWORD not in json.dumps(record["stacks"])


REFUSED = [
    ({"stack_parameters": ""}, "hidden parameter password"),
    ({"stack_parameters": '{"shop": {"password": "x", "colour": "red"}}'}, "no parameter colour"),
    ({"stack_parameters": '{"other": {}}'}, "other"),
    ({"stack_parameters": "[" * 100000}, "must be JSON"),
    ({"build": "no"}, "build is no"),
]


def test_what_cannot_be_made_again_is_refused_before_anything_is_built(vault_house):
    house = vault_house
    checkpoint = protected(house)
    house.disaster()
    before = {kind: set(things) for kind, things in house.cloud.things.items()}
    for options, told in REFUSED:
        restore = house.rebuild(checkpoint, **options)
        assert restore.status == "fail"
        assert told in json.dumps(dict(restore.resources_reason))
        assert {kind: set(things) for kind, things in house.cloud.things.items()} == before


def test_a_dry_run_tells_of_the_stack_and_of_what_is_built_beside_it(vault_house):
    house = vault_house
    checkpoint = protected(house)
    given = {"rebuild_stacks": "yes", "stack_parameters": '{"shop": {"password": "x"}}'}
    told = house.told(checkpoint, **given)
    assert [one["name"] for one in told["creates"] if one["type"] == "OS::Heat::Stack"] == ["shop-RESTORE_ID"]
    assert "another one is made beside it" in told["warnings"][-1]["reason"]
    house.disaster()
    told = house.told(checkpoint, **given)
    assert {"type": "OS::Heat::Stack", "name": "shop"}.items() <= told["creates"][-1].items()
    assert told["conflicts"] == []
    assert {one["type"] for one in told["template"]["resources"].values()} == {"OS::Cinder::VolumeAttachment"}
    (missing,) = house.told(checkpoint, rebuild_stacks="yes")["conflicts"]
    assert "password" in missing["reason"] and "stack_parameters" in missing["next_action"]


def test_stacks_of_which_nothing_is_restored_are_left_alone(vault_house):
    house = vault_house
    disk = {"type": "OS::Cinder::Volume", "properties": {"name": "else", "size": 1}}
    house.launch("other", {"heat_template_version": "2018-08-31", "resources": {"v": disk}})
    (other,) = house.members("other").values()
    plan = house.plan()
    plan["resources"].append({"type": "OS::Cinder::Volume", "id": other, "name": "else"})
    checkpoint = house.checkpoint(plan)
    assert {one["name"] for one in house.kept(checkpoint)["stacks"]} == {"shop", "other"}
    house.disaster()
    only = {"OS::Karbor::Restore": {"only": other}, "OS::Heat::Stack": {"rebuild_stacks": "yes"}}
    restore = house.restore_as_tenant(checkpoint.id, only)
    assert restore.status == "success", restore.resources_reason
    assert [one["stack_name"] for one in house.cloud.things["stack"].values()] == ["other"]
    assert not house.cloud.things["server"]


def test_where_the_name_is_taken_the_new_stack_has_another(vault_house):
    house = vault_house
    checkpoint = protected(house)
    restore = house.rebuild(checkpoint)
    assert restore.status == "success", restore.resources_reason
    assert set(house.members(f"shop-{restore.id}")) == set(TEMPLATE["resources"])
    assert set(house.members("shop")) == set(TEMPLATE["resources"])


def test_a_stack_that_cannot_be_built_is_taken_back_with_all_that_was_restored(vault_house):
    house = vault_house
    checkpoint = protected(house)
    house.disaster()
    before = {kind: set(things) for kind, things in house.cloud.things.items() if things}
    house.cloud.orchestration.faults["back"] = "No valid host was found."
    restore = house.rebuild(checkpoint)
    assert restore.status == "fail"
    assert "No valid host was found" in json.dumps(dict(restore.resources_reason))
    left = {kind: set(things) for kind, things in house.cloud.things.items() if things and kind != "stack"}
    assert left == {kind: ids for kind, ids in before.items() if kind != "stack"}
    assert {one["stack_status"] for one in house.cloud.things["stack"].values()} == {"DELETE_COMPLETE"}


def test_without_the_wish_no_stack_is_made_again(vault_house):
    house = vault_house
    checkpoint = protected(house)
    CloudHouse.disaster(house)
    house.cloud.things["stack"].clear()
    restore = house.restore_as_tenant(checkpoint.id)
    assert restore.status == "success", restore.resources_reason
    assert house.disks() == AS_IT_WAS
    assert [one["stack_name"] for one in house.cloud.things["stack"].values()] == [f"karbor-restore-{restore.id}"]
