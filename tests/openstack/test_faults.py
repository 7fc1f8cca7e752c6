# SPDX-License-Identifier: Apache-2.0
"""Do jobs end right, with a reason and without leftovers, when parts of a real cloud are killed, or tokens expire?"""

import contextlib
import json
import time
import uuid

import pytest

from tests.openstack import outage
from tests.openstack.application import SECONDS, inventory, remove_stack, remove_volume, wait_volume
from tests.openstack.conftest import BACKUPS, DATA
from tests.openstack.user import User
from tests.support.networking import Networking

#: keystoneauth takes no token that is good for less than two minutes: it asks for another one after ten seconds.
TOKEN_SECONDS = 130


class Ground:
    """A volume with data and the networks of a tenant, with what a user does to them."""

    def __init__(self, tenant, karbor, external):
        self.cloud, self.user = tenant("other"), User(karbor("other"))
        self.name = f"ground-{uuid.uuid4().hex[:6]}"
        images = self.cloud.image.get("/images").json()["images"]
        image = next(one["id"] for one in images if one["name"] == "ministack-fast")
        body = {"volume": {"size": 1, "name": self.name, "imageRef": image}}
        self.volume = self.cloud.block_storage.post("/volumes", json=body).json()["volume"]["id"]
        wait_volume(self.cloud, self.volume, "available")
        self.networking = Networking(self.cloud, external, self.name)

    def plan(self, provider):
        resource = {"id": self.volume, "type": "OS::Cinder::Volume", "name": self.name}
        return self.user.plan(provider, [resource], {})

    def network_plan(self):
        resource = {"id": self.cloud.project_id, "type": "OS::Neutron::Network", "name": "Network Topology"}
        return self.user.plan(BACKUPS, [resource], {})

    def until(self, look, what):
        """Wait until ``look`` finds something; that."""
        return self.cloud.wait(look, bool, what=what, deadline=SECONDS)

    def backup_in_the_making(self):
        found = self.cloud.block_storage.get("/backups/detail").json()["backups"]
        return [one for one in found if one["volume_id"] == self.volume and one["status"] == "creating"]

    def stack_in_the_making(self):
        found = self.cloud.orchestration.get("/stacks").json()["stacks"]
        return [one["stack_name"] for one in found if one["stack_status"] == "CREATE_IN_PROGRESS"]

    def free_snapshots(self, admin):
        """What the administrator has to do: Cinder never ends what its killed service had begun with a snapshot."""
        for one in self.cloud.block_storage.get("/snapshots/detail").json()["snapshots"]:
            if one["status"] == "backing-up":
                body = {"os-reset_status": {"status": "available"}}
                admin.block_storage.post(f"/snapshots/{one['id']}/action", json=body)

    def made_since(self, before):
        """{kind: names} of what there is now and was not before."""
        now = inventory(self.cloud)
        new = {kind: sorted(map(str, (now[kind][id_] for id_ in set(now[kind]) - set(before[kind])))) for kind in now}
        return {kind: names for kind, names in new.items() if names}

    def remove(self):
        self.networking.remove()
        remove_volume(self.cloud, self.volume)


@pytest.fixture(scope="module")
def ground(tenant, karbor, installation):
    admin, name = tenant("admin"), f"outside-{uuid.uuid4().hex[:6]}"
    body = {"network": {"name": name, "router:external": True}}
    external = admin.network.post("/networks", json=body).json()["network"]["id"]
    subnet = {"network_id": external, "cidr": "203.0.113.0/24", "ip_version": 4, "enable_dhcp": False}
    with contextlib.ExitStack() as undo:
        undo.callback(admin.network.delete, f"/networks/{external}")
        admin.network.post("/subnets", json={"subnet": subnet})
        found = Ground(tenant, karbor, external)
        undo.callback(found.remove)
        yield found


def test_a_worker_that_is_killed_during_a_backup_goes_on_with_it(ground, installation):
    before = inventory(ground.cloud)
    checkpoint = ground.user.begin(BACKUPS, ground.plan(BACKUPS))
    ground.until(ground.backup_in_the_making, "a backup begins")
    installation.worker.kill()
    installation.worker.start()
    found = ground.user.ended(BACKUPS, checkpoint)
    assert found["status"] == "available", found
    made = ground.made_since(before)
    assert len(made.pop("backups")) == 1 and set(made) == {"objects"}
    ground.user.delete(BACKUPS, checkpoint)
    assert not ground.made_since(before)


def test_a_backup_whose_service_is_killed_is_told_and_what_it_leaves_can_be_removed(ground, installation, tenant):
    before = inventory(ground.cloud)
    checkpoint = ground.user.begin(BACKUPS, ground.plan(BACKUPS))
    ground.until(ground.backup_in_the_making, "a backup begins")
    outage.kill("cinder-backup")
    outage.up("cinder")
    found = ground.user.ended(BACKUPS, checkpoint)
    if found["status"] == "error":
        assert "backup" in found["reason"].lower(), found
    ground.user.delete(BACKUPS, checkpoint)
    ground.free_snapshots(tenant("admin"))
    installation.manage("cloud", "leftovers", "--remove", OS_USERNAME="other", OS_PROJECT_NAME="other")
    ground.until(lambda: not ground.made_since(before), "what was left is removed")


def test_a_stack_whose_engine_is_killed_is_told_and_taken_back(ground):
    ground.networking.make()
    checkpoint = ground.user.protect(BACKUPS, ground.network_plan())
    ground.networking.remove()
    before = inventory(ground.cloud)
    # What an engine was at when it died, no other engine takes up: Heat leaves the stack as it is until it times out.
    restore = ground.user.begin_restore(BACKUPS, checkpoint, {"OS::Heat::Stack": {"timeout_minutes": 3}})
    ground.until(ground.stack_in_the_making, "a stack begins")
    outage.kill("heat-engine")
    outage.up("heat")
    found = ground.user.restored(restore)
    if found["status"] == "success":  # the engine had handed out all its work
        remove_stack(ground.cloud, f"karbor-restore-{restore}")
    else:
        assert "heat" in json.dumps(found).lower(), found
    assert not ground.made_since(before)
    ground.user.delete(BACKUPS, checkpoint)


def test_a_job_goes_on_with_new_tokens(ground):
    before = inventory(ground.cloud)
    plan = ground.plan(DATA)
    outage.restart("keystone", MINISTACK_TOKEN_SECONDS=str(TOKEN_SECONDS))
    try:
        begun = time.monotonic()
        checkpoint = ground.user.protect(DATA, plan)
        assert time.monotonic() - begun > 10
    finally:
        outage.restart("keystone")
    assert not ground.made_since(before)
    ground.user.delete(DATA, checkpoint)
