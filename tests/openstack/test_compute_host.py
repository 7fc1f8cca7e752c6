# SPDX-License-Identifier: Apache-2.0
"""Is a server of a real cloud frozen and read on its compute host when the job belongs to a worker elsewhere?

Three daemons on a control host, none of which has a hypervisor, and one more karbor-protection on the compute host,
which takes no jobs. The plan insists on what only the compute host can do.
"""

import time

import pytest
from keystoneauth1.session import Session

from karbor.plugins.resources.cloudtypes import IMAGE, VOLUME
from tests.openstack import account
from tests.openstack.application import SECONDS, remove_server, remove_stack, remove_volume
from tests.openstack.conftest import BACKUPS, DATA
from tests.openstack.test_freeze import _URI, SERVER, Ground
from tests.support.rest import PAUSE, Rest
from tests.support.service import Daemon

_SETTINGS = """[DEFAULT]
host = {host}
state_path = {root}/state
enabled_hypervisors = libvirt
max_concurrent_operations = 0
[vault]
cache_dir = {root}/cache
[libvirt]
uri = {uri}
hold_seconds = 120
"""


class TwoHosts(Ground):
    """A server with a root disk, an ephemeral disk and two volumes, and a worker that has its host."""

    provider = BACKUPS

    def __init__(self, tenant, installation, root):
        self._installation = installation
        super().__init__(tenant, root)

    def _service(self):
        (host,) = {
            one["host"]
            for one in self.admin.compute.get("/os-services").json()["services"]
            if one["binary"] == "nova-compute"
        }
        for name in ("state", "cache"):
            (self.root / name).mkdir()
        extra = self.root / "compute.conf"
        extra.write_text(_SETTINGS.format(host=host, root=self.root, uri=_URI))
        found = Daemon("karbor-protection", self._installation.settings, self.root / "compute.log", extra)
        return found.start()

    def served(self):
        """A client of the service on the control host."""
        token = account.login("demo").get_token(Session())
        return Rest(f"{self._installation.url}/v1/{self.cloud.project_id}", {"X-Auth-Token": token})

    def plan(self, rest, **server):
        """Insists on the host."""
        resource = {"id": self.server, "type": SERVER, "name": self.name}
        wanted = {"quiesce": "required", "ephemeral_disks": "required", **server}
        return rest.plan(BACKUPS, [resource], {SERVER: wanted, "OS::Glance::Image": {"root_disk": "host"}})

    def take_away(self, name):
        """A volume that a restore has attached, and the stack that did it. The guest, which uses it, begins anew."""
        listed = self.cloud.block_storage.get("/volumes/detail").json()["volumes"]
        (volume,) = [one["id"] for one in listed if one["name"] == name]
        for stack in self.cloud.orchestration.get("/stacks").json()["stacks"]:
            path = f"/stacks/{stack['stack_name']}/{stack['id']}/resources"
            parts = self.cloud.orchestration.get(path).json()["resources"]
            if volume in {part["physical_resource_id"] for part in parts}:
                remove_stack(self.cloud, stack["stack_name"])
        remove_volume(self.cloud, volume)
        self.reboot_hard()

    def log(self):
        """What the worker on the compute host has written."""
        return (self.root / "compute.log").read_text()


@pytest.fixture(scope="module")
def ground(tenant, installation, tmp_path_factory):
    found = TwoHosts(tenant, installation, tmp_path_factory.mktemp("compute"))
    try:
        yield found.make()
    finally:
        found.remove()


def test_volumes_in_use_are_read_on_the_host_and_nothing_is_made_in_the_cloud(ground):
    """They lie in Ceph: QEMU reads them, as the guest does."""
    rest, guest, (volume, _other) = ground.served(), ground.guest, ground.volumes
    guest.write("/mnt/vdd", "data", 8)
    before = guest.hashes("/mnt/vdd")
    made = [ground.cloud.block_storage.get(f"/{kind}").json()[kind] for kind in ("volumes", "snapshots")]
    resource = {"id": ground.server, "type": SERVER, "name": ground.name}
    parameters = {SERVER: {"quiesce": "required"}, IMAGE: {"root_disk": "host"}, VOLUME: {"read": "host"}}
    done = rest.protect(rest.plan(DATA, [resource], parameters), SECONDS)
    told = {one["id"]: one["told"] for one in done["resources"]}
    assert (done["consistency"], told[ground.server]["skew"], told[volume]["why_glance"]) == ("filesystem", 0.0, "")
    now = [ground.cloud.block_storage.get(f"/{kind}").json()[kind] for kind in ("volumes", "snapshots")]
    assert [{one["id"] for one in kind} for kind in now] == [{one["id"] for one in kind} for kind in made]

    name = f"{ground.name}-again"
    wanted = {"OS::Karbor::Restore": {"only": volume}, VOLUME: {"attach_to": ground.server, "restore_name": name}}
    restored = rest.restore(done, wanted, SECONDS)
    assert restored["status"] == "success", restored
    guest.wait_until_up(["/mnt/vdf"])
    assert {path.replace("vdf", "vdd"): digest for path, digest in guest.hashes("/mnt/vdf").items()} == before
    ground.take_away(name)
    rest.send("DELETE", f"/providers/{DATA}/checkpoints/{done['id']}")


def test_a_server_is_frozen_and_read_by_the_worker_on_its_host(ground):
    rest = ground.served()
    ground.guest.write("/data", "first", 8)
    before = ground.guest.hashes("/data")
    plan = ground.plan(rest)
    first = rest.protect(plan, SECONDS)
    ground.checkpoints.append(first["id"])
    assert (first["consistency"], first["mode"]) == ("filesystem", "full"), first
    assert "step taken" in ground.log() and "job taken" not in ground.log()

    ground.guest.write("/data", "second", 1)
    second = rest.protect(plan, SECONDS)
    ground.checkpoints.append(second["id"])
    assert (second["consistency"], second["mode"]) == ("filesystem", "incremental"), second

    remove_server(ground.cloud, ground.server)
    restored = rest.restore(first, {}, SECONDS)
    assert restored["status"] == "success", restored
    made = (key.split("#") for key in restored["resources_status"])
    ground.images += [id_ for type_, id_ in made if type_ == "OS::Glance::Image"]
    guest = ground.restored()
    guest.wait_until_up()
    assert guest.hashes("/data") == before


def test_a_worker_that_dies_in_the_middle_of_a_read_goes_on_after_its_start(ground):
    """The server of the test before is gone; the one that came back is protected now."""
    rest = ground.served()
    ground.servers.append(ground.restored().id)
    ground.servers.reverse()
    plan = ground.plan(rest, ephemeral_disks="try")
    deadline, reads = time.monotonic() + SECONDS, ground.log().count("phase=protect")
    asked = rest.start_checkpoint(plan)
    ground.checkpoints.append(asked)
    while ground.log().count("phase=protect") == reads:
        assert time.monotonic() < deadline, ground.log()[-3000:]
        PAUSE.wait(0.05)
    ground.service.kill()
    ground.service.start()
    found = rest.checkpoint(plan, asked, seconds=SECONDS)
    assert found["status"] == "available", found
    ground.guest.run("true")
    assert ground.checkpoints_in_libvirt() == []
