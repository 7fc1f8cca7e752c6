# SPDX-License-Identifier: Apache-2.0
"""Does an application of a tenant come back from nothing on a real cloud, file by file, by the karbor command alone?"""

import contextlib
import os
import time
import uuid
from pathlib import Path

import pytest

from tests.openstack.application import Application, inventory, remove_stack, remove_volume
from tests.openstack.conftest import BACKUPS, DATA
from tests.openstack.guest import Guest
from tests.openstack.user import User

NETWORKING = ("networks", "subnets", "routers", "security_groups")


def _cpu_seconds(pid):
    """What a process has used, with its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Story:
    """What happens to one application, in the order of the tests."""

    def __init__(self, tenant, karbor, installation):
        self.tenant, self._worker = tenant, installation.worker
        self.cloud, self.other = tenant("demo"), tenant("other")
        self.user = User(karbor("demo"))
        self.prefix = f"shop-{uuid.uuid4().hex[:6]}"
        self.before = {project: inventory(tenant(project)) for project in ("demo", "other")}
        self.application = Application(self.cloud, tenant("admin"), self.prefix)
        self.checkpoints, self.restores = [], []

    def protect(self, provider, plan):
        with self._told("protect"):
            self.checkpoints.append((provider, self.user.protect(provider, plan)))
        return self.checkpoints[-1][1]

    def restore(self, *words):
        with self._told("restore"):
            self.restores.append(self.user.restore(*words))
        return self.restores[-1]

    @contextlib.contextmanager
    def _told(self, what):
        """Say how long it took, and how much of that our worker worked; the rest it waited for the cloud."""
        begun, before = time.monotonic(), _cpu_seconds(self._worker.process.pid)
        yield
        used = _cpu_seconds(self._worker.process.pid) - before
        print(f"{what}: {time.monotonic() - begun:.1f} s, CPU time of the worker {used:.1f} s")

    def guests(self, project):
        """The servers of the application in a project, by the name they had."""
        return {
            name.rpartition("-")[2]: Guest(self.tenant("admin"), id_)
            for id_, name in inventory(self.tenant(project))["servers"].items()
            if self.prefix in name
        }

    def hashes(self, project):
        """{server: {path: SHA-256}} of every file on every disk."""
        found = {}
        for name, guest in self.guests(project).items():
            guest.wait_until_up(["/mnt/vdb"])
            found[name] = guest.hashes("/data", "/mnt/vdb")
        return found

    def networking(self, project):
        """The names of the networking of the application, by kind."""
        found = inventory(self.tenant(project))
        return {
            kind: sorted(name for name in found[kind].values() if self.prefix in (name or "")) for kind in NETWORKING
        }

    def give_back(self):
        """Delete what the restores made, and nothing else; with the checkpoints, for they belong to the tenant."""
        for restore in self.restores:
            for cloud in (self.cloud, self.other):
                stack = f"karbor-restore-{restore['id']}"
                if stack in inventory(cloud)["stacks"].values():
                    remove_stack(cloud, stack)
        for provider, checkpoint in self.checkpoints:
            self.user.delete(provider, checkpoint)
        for restore in self.restores:
            for shown in restore["resources_status"]:
                type_, _, id_ = shown.partition("#")
                for cloud in (self.cloud, self.other):
                    if type_ == "OS::Cinder::Volume" and id_ in inventory(cloud)["volumes"]:
                        remove_volume(cloud, id_)
                    elif type_ == "OS::Glance::Image" and id_ in inventory(cloud)["images"]:
                        cloud.image.delete(f"/images/{id_}")


@pytest.fixture(scope="module")
def story(tenant, karbor, installation):
    found = Story(tenant, karbor, installation)
    try:
        found.application.make()
        yield found
    finally:
        found.application.remove()


@pytest.fixture(scope="module")
def lost(story):
    """Protected in full and incrementally, changed in between; then deleted entirely."""
    parameters = {"OS::Cinder::Volume": {"backup_mode": "incremental"}}
    plan = story.user.plan(BACKUPS, story.application.resources(), parameters)
    story.first = story.application.hashes()
    story.protect(BACKUPS, plan)
    for name in ("web", "db"):
        story.application.write(name, "second", 4)
    story.protect(BACKUPS, plan)
    story.expected, story.nets = story.application.hashes(), story.networking("demo")
    story.web_data = story.application.ids["web-data"]
    assert story.first != story.expected and all(story.nets.values())
    story.application.remove()
    assert not any(story.networking("demo").values()) and not story.guests("demo")
    return story


@pytest.fixture(scope="module")
def returned(lost):
    """Restored through Heat where it was."""
    lost.restore(BACKUPS, lost.checkpoints[1][1], {})
    return lost


def test_a_deleted_application_comes_back_with_every_file(returned):
    assert returned.hashes("demo") == returned.expected
    assert returned.networking("demo") == returned.nets


def test_one_volume_of_an_earlier_checkpoint_gets_into_a_server_that_runs(returned):
    web = returned.guests("demo")["web"]
    parameters = {
        "OS::Karbor::Restore": {"only": returned.web_data},
        "OS::Cinder::Volume": {"attach_to": web.id, "restore_name": f"{returned.prefix}-earlier"},
    }
    returned.restore(BACKUPS, returned.checkpoints[0][1], parameters)
    web.wait_until_up(["/mnt/vdc"])
    earlier = {path.replace("vdc", "vdb"): digest for path, digest in web.hashes("/mnt/vdc").items()}
    assert earlier == {path: digest for path, digest in returned.first["web"].items() if "vdb" in path}


def test_it_comes_back_in_another_project_as_the_mapping_says(returned):
    servers = [
        {"id": guest.id, "type": "OS::Nova::Server", "name": name} for name, guest in returned.guests("demo").items()
    ]
    network = {"id": returned.cloud.project_id, "type": "OS::Neutron::Network", "name": "Network Topology"}
    plan = returned.user.plan(DATA, [*servers, network], {})
    checkpoint = returned.protect(DATA, plan)
    mapping = {"flavor": {"m1.micro": "m1.tiny"}, "volume_type": {"*": "nfs"}}
    login = ("--restore_target", os.environ["OS_AUTH_URL"], "--restore_username", "other")
    login = (*login, "--restore_password", os.environ["OS_PASSWORD"])
    returned.restore(DATA, checkpoint, {"OS::Karbor::Mapping": mapping}, *login)
    found = returned.hashes("other")
    earlier = {path: digest for path, digest in found["web"].items() if "vdc" not in path}
    assert {**found, "web": earlier} == returned.expected
    assert returned.networking("other") == returned.nets
    for guest in returned.guests("other").values():
        server = returned.other.compute.get(f"/servers/{guest.id}").json()["server"]
        assert server["flavor"]["original_name"] == "m1.tiny"
        for one in server["os-extended-volumes:volumes_attached"]:
            volume = returned.other.block_storage.get(f"/volumes/{one['id']}").json()["volume"]
            assert volume["volume_type"] == "nfs"


def test_nothing_is_left_of_checkpoints_and_restores_that_were_given_back(returned):
    returned.give_back()
    for project, before in returned.before.items():
        assert inventory(returned.tenant(project)) == before
