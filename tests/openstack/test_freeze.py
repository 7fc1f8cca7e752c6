# SPDX-License-Identifier: Apache-2.0
"""Do all disks of a server on a real cloud show one instant while it writes to them, and does it always go on?

A writer in the guest appends a number to a file on each disk in turn, and leaves it to the freeze to bring that to the
disks. So at every instant the files are as long as each other, or one longer in the order of the writing.
"""

import os
import subprocess
import time
import uuid

import pytest
from keystoneauth1.session import Session

from karbor.common.loading import plugin_class
from tests.openstack import account
from tests.openstack.application import (
    SECONDS,
    remove_server,
    remove_stack,
    remove_volume,
    wait_server,
    wait_volume,
)
from tests.openstack.guest import Guest
from tests.support.rest import PAUSE
from tests.support.service import Embedded

PROVIDER = "6c1a0d5e-3b0f-4a52-9a0e-1d1e0b7c2a03"
SERVER = "OS::Nova::Server"
#: Root disk, ephemeral disk, two volumes; the swap of the flavor is /dev/vdc. Then where the disks are that came back:
#: of the new server the ephemeral disk is empty, and the data of the old one is on a volume behind the others.
PLACES = ("/data", "/mnt/vdb", "/mnt/vdd", "/mnt/vde")
RESTORED = ("/mnt/vdd", "/mnt/vde", "/mnt/vdf")
_URI = "qemu+unix:///system?socket={}/run/libvirt/libvirt-sock".format(
    os.environ.get("MINISTACK_DIR", "/var/lib/ministack")
)
_SETTINGS = """[jobs]
lease = 10
poll = 1
[libvirt]
hold_seconds = 120
"""
_PROVIDER = """[provider]
name = frozen
id = {id}
plugin = karbor-server-protection-plugin
plugin = karbor-image-protection-plugin
plugin = karbor-volume-snapshot-plugin
bank = karbor-fs-bank-plugin
enabled = True
[file_system_bank_plugin]
file_system_bank_path = {root}/bank
"""
_WRITER = """
touch /tmp/stop; sleep 2; rm -f /tmp/stop
for p in {places}; do mkdir -p $p; : > $p/numbers; echo $p > $p/place; done; sync
(n=0; while [ ! -e /tmp/stop ]; do n=$((n+1)); for p in {places}; do echo $n >> $p/numbers; done; done) \\
>/dev/null 2>&1 </dev/null & echo begun
"""


class Ground:
    """A server of an image with an ephemeral disk and two volumes, and a worker of ours on its compute host."""

    provider = PROVIDER

    def __init__(self, tenant, root):
        self.cloud, self.admin, self.name = tenant("demo"), tenant("admin"), f"freeze-{uuid.uuid4().hex[:6]}"
        self.root, self.volumes, self.servers, self.images, self.checkpoints = root, [], [], [], []
        self.flavors = []
        self.service = self._service()

    def _service(self):
        account.register()
        found = Embedded(self.root / "karbor", libvirt_uri=_URI, settings=_SETTINGS + account.settings())
        (self.root / "karbor" / "providers.d").mkdir(parents=True)
        provider = _PROVIDER.format(id=PROVIDER, root=self.root)
        (self.root / "karbor" / "providers.d" / "frozen.conf").write_text(provider)
        bank_class = plugin_class("karbor.protections", "karbor-fs-bank-plugin")
        (self.root / "bank").mkdir()
        bank_class(bank_class.Settings(file_system_bank_path=str(self.root / "bank"))).initialise()
        return found

    def served(self):
        """A client of the service, which is started where it does not run."""
        process = self.service.process
        if process is None or process.poll() is not None:
            self._start()
        return self.service.rest

    def _start(self):
        self.service.start(seconds=300)
        rest = self.service.rest
        rest.url = rest.url.rsplit("/", 1)[0] + f"/{self.cloud.project_id}"
        rest.headers["X-Auth-Token"] = account.login("demo").get_token(Session())
        rest.wait_for(lambda: rest.get(f"/providers/{PROVIDER}")["provider"]["available"], SECONDS)

    def make(self):
        image = self._named("image", "/images", "images", "ministack-fast")
        net = self._named("network", "/networks", "networks", "private")
        given = {"name": self.name, "ram": 128, "vcpus": 1, "disk": 1, "OS-FLV-EXT-DATA:ephemeral": 1, "swap": 16}
        flavor = self.admin.compute.post("/flavors", json={"flavor": given}).json()["flavor"]["id"]
        self.flavors.append(flavor)
        for number in (1, 2):
            body = {"volume": {"size": 1, "name": f"{self.name}-{number}"}}
            made = self.cloud.block_storage.post("/volumes", json=body).json()["volume"]["id"]
            self.volumes.append(made)
        body = {"name": self.name, "flavorRef": flavor, "networks": [{"uuid": net}], "imageRef": image}
        self.servers.append(self.cloud.compute.post("/servers", json={"server": body}).json()["server"]["id"])
        wait_server(self.cloud, self.server, "ACTIVE")
        for volume, device in zip(self.volumes, ("vdd", "vde"), strict=True):
            wait_volume(self.cloud, volume, "available")
            attachment = {"volumeAttachment": {"volumeId": volume, "device": f"/dev/{device}"}}
            self.cloud.compute.post(f"/servers/{self.server}/os-volume_attachments", json=attachment)
            wait_volume(self.cloud, volume, "in-use")
        self.guest.wait_until_up()
        for place in PLACES[2:]:
            self.guest.format(place.removeprefix("/mnt/"))
        self.guest.wait_until_up(PLACES[1:])  # Nova itself has made a file system on the ephemeral disk
        return self

    @property
    def server(self):
        return self.servers[0]

    @property
    def guest(self):
        return Guest(self.admin, self.server)

    def reboot_hard(self):
        """Nova destroys the domain, undefines it and makes it anew."""
        self.cloud.compute.post(f"/servers/{self.server}/action", json={"reboot": {"type": "HARD"}})
        wait_server(self.cloud, self.server, "ACTIVE")
        self.guest.wait_until_up(PLACES[1:])

    def write(self):
        """Let the writer begin."""
        self.guest.run(_WRITER.format(places=" ".join(PLACES)))

    def held(self):
        """Whether a guest is frozen just now."""
        return bool(list(self.root.rglob("karbor-*.held")))

    def plan(self, rest, **server):
        resource = {"id": self.server, "type": SERVER, "name": self.name}
        return rest.plan(PROVIDER, [resource], {SERVER: server, "OS::Glance::Image": {"root_disk": "host"}})

    def restored(self):
        """The guest that a stack has made."""
        (found,) = [
            one["id"]
            for one in self.cloud.compute.get("/servers").json()["servers"]
            if one["name"] == self.name and one["id"] != self.server
        ]
        return Guest(self.admin, found)

    def stacks(self):
        """Names of stacks with a server of ours."""
        found = []
        for one in self.cloud.orchestration.get("/stacks").json()["stacks"]:
            path = f"/stacks/{one['stack_name']}/{one['id']}/resources"
            parts = self.cloud.orchestration.get(path).json()["resources"]
            ids = {part["physical_resource_id"] for part in parts}
            servers = self.cloud.compute.get("/servers").json()["servers"]
            if any(server["id"] in ids and server["name"] == self.name for server in servers):
                found.append(one["stack_name"])
        return found

    def checkpoints_in_libvirt(self):
        words = ["virsh", "-q", "-c", _URI, "checkpoint-list", self.guest.domain, "--name"]
        return subprocess.run(words, check=True, capture_output=True, text=True).stdout.split()

    def remove(self):
        for stack in self.stacks():
            remove_stack(self.cloud, stack)
        for server in self.servers:
            remove_server(self.cloud, server)
        for image in self.images:
            self.cloud.image.delete(f"/images/{image}")
        rest = self.served()
        for checkpoint in self.checkpoints:
            path = f"/providers/{self.provider}/checkpoints/{checkpoint}"
            rest.send("DELETE", path)
            rest.wait(path, "checkpoint", ("deleted", "error-deleting"), SECONDS)
        self.service.kill()
        for volume in [*self.volumes, *self.of_ephemeral_disks(), *self.of_backups()]:
            remove_volume(self.cloud, volume)
        for flavor in self.flavors:
            self.admin.compute.delete(f"/flavors/{flavor}")

    def of_ephemeral_disks(self):
        """The volumes on which ephemeral disks came back."""
        listed = self.cloud.block_storage.get("/volumes").json()["volumes"]
        return [one["id"] for one in listed if one["name"] == f"{self.name}-eph0"]

    def of_backups(self):
        """The volumes that came back from backups: they stay when the stack goes, to which they were given."""
        listed = self.cloud.block_storage.get("/volumes").json()["volumes"]
        return [one["id"] for one in listed if (one["name"] or "").partition("@")[0] in self.checkpoints]

    def _named(self, service, path, key, name):
        (found,) = [one for one in getattr(self.cloud, service).get(path).json()[key] if one["name"] == name]
        return found["id"]


@pytest.fixture(scope="module")
def ground(tenant, tmp_path_factory):
    found = Ground(tenant, tmp_path_factory.mktemp("freeze"))
    try:
        yield found.make()
    finally:
        found.remove()


def numbers(guest):
    """The numbers in the file on each disk, in the order of the writing: by hard reboots and restores a disk may get
    another device, so each says where it was."""
    places = guest.run('for p in /data /mnt/*; do [ -e $p/place ] && echo "$(cat $p/place) $p"; done; true')
    now = dict(line.split() for line in places.splitlines())
    return [guest.run(f"cat {now[place]}/numbers").splitlines() for place in PLACES]


def test_a_guest_whose_worker_is_killed_while_it_is_frozen_goes_on(ground):
    rest = ground.served()
    ground.write()
    plan = ground.plan(rest, quiesce="try")
    ground.checkpoints.append(rest.start_checkpoint(plan))
    deadline = time.monotonic() + SECONDS
    while not ground.held():
        assert time.monotonic() < deadline, ground.service.log()[-3000:]
        PAUSE.wait(0.01)
    ground.service.kill()
    seen = [ground.guest.run("tail -n 1 /data/numbers") for _ in range(2)]  # a frozen guest answers nobody
    assert int(seen[0]) < int(seen[1])

    rest = ground.served()
    assert not ground.held()
    found = rest.checkpoint(plan, ground.checkpoints[-1], seconds=SECONDS)
    assert found["status"] == "available", found
    ground.guest.run("true")


def test_all_disks_of_a_restored_server_show_one_instant(ground):
    rest = ground.served()
    ground.write()
    plan = ground.plan(rest, quiesce="required")
    first = rest.protect(plan, SECONDS)
    ground.reboot_hard()
    ground.write()
    second = rest.protect(plan, SECONDS)
    ground.checkpoints += [first["id"], second["id"]]
    assert [one["consistency"] for one in (first, second)] == ["filesystem", "filesystem"]
    assert second["mode"] == "incremental" and second["sizes"]["read"] < second["sizes"]["logical"] / 50
    assert ground.checkpoints_in_libvirt() == []
    told = {one["type"]: one["told"] for one in second["resources"]}
    assert (told[SERVER]["not_kept"], told[SERVER]["not_frozen"]) == ("", "")
    remove_server(ground.cloud, ground.server)

    restored = rest.restore(second, {}, SECONDS)
    assert restored["status"] == "success", restored
    made = (key.split("#") for key in restored["resources_status"])
    ground.images += [id_ for type_, id_ in made if type_ == "OS::Glance::Image"]
    guest = ground.restored()
    guest.wait_until_up(RESTORED)
    files = numbers(guest)
    assert all(lines == [str(number + 1) for number in range(len(lines))] for lines in files)
    root, *others, last = map(len, files)
    assert [root, *others, last] == sorted([root, *others, last], reverse=True) and last >= root - 1 > 0, files
    assert len(ground.of_ephemeral_disks()) == 1
