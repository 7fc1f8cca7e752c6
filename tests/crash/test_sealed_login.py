# SPDX-License-Identifier: Apache-2.0
"""Does a restore into another cloud go on with its sealed login when kill -9 hits its worker, and is that gone then?"""

import subprocess
import sys
import uuid
from datetime import UTC, datetime

import pytest

from karbor.clients.elsewhere import Login
from karbor.clients.openstack import CloudSettings
from karbor.clients.sealedlogins import LoginSeal
from karbor.model.checkpoint import Checkpoint
from karbor.model.operation import Job, OperationLog
from karbor.model.restore import Restore
from karbor.protection.clouds import Clouds
from karbor.sdk.testing.memorycloud import MemoryCloud
from tests.functional.test_cloud import TrustsOfMemory
from tests.functional.test_operations import PROVIDER
from tests.support.farsite import FarCloud, Site
from tests.support.keystone_twin import keystone_twin
from tests.support.markers import dump, found
from tests.support.rest import PAUSE

SECRET = "hunter-Kd8Zx3Vb6Nq1"
NETWORK = "OS::Neutron::Network"


def until(reached, what, seconds=300):
    """Wait for something that must come."""
    for _ in range(seconds * 10):
        seen = reached()
        if seen:
            return seen
        PAUSE.wait(0.1)
    raise AssertionError(f"it never came to this: {what}")


@pytest.fixture
def keystone():
    with keystone_twin() as twin:
        yield twin


@pytest.fixture
def there():
    """Another cloud, in which nothing comes to its end until somebody says so."""
    memory = MemoryCloud(latency=10**6)
    memory.project("far")
    far = FarCloud(memory)
    yield far
    far.close()


class Story:
    """Networks of a tenant here, and their restore there."""

    def __init__(self, root, keystone, there):
        self.root, self.there = root, there
        self.here = MemoryCloud()
        self.project = self.here.project("alpha")
        net = self.here.networks.add("alpha", "networks", name="inner")
        self.here.networks.add("alpha", "subnets", network_id=net["id"], cidr="10.1.0.0/24")
        LoginSeal.create(root / "login.key")
        (root / "karbor.conf").write_text(
            f"{keystone.settings()}[clients]\ncloud_resources = true\nlogin_key_file = {root}/login.key\n"
            f"restore_targets = {there.keystone}\n"
        )
        self.checkpoint_id, self.restore_id = str(uuid.uuid4()), str(uuid.uuid4())

    def site(self, clouds=None):
        return Site(self.root, clouds)

    def protect(self):
        site = self.site(Clouds(TrustsOfMemory(self.here), CloudSettings()))
        site.bank.initialise()
        site.database.upgrade()
        plan = {
            "id": str(uuid.uuid4()), "name": "nets", "provider_id": PROVIDER, "parameters": {},
            "resources": [{"type": NETWORK, "id": self.project, "name": "networks"}],
        }  # fmt: skip
        with site.database.write() as rows:
            now = datetime.now(UTC)
            rows.checkpoints.create(
                Checkpoint(self.checkpoint_id, self.project, PROVIDER, plan["id"], plan, created_at=now)
            )
            self._book(rows, "protect", trust_id="trust")
        site.work("before")
        until(lambda: self._checkpoint(site).status != "protecting", "the checkpoint is made")
        assert self._checkpoint(site).status == "available", self._checkpoint(site).reason
        site.close()

    def ask(self, site):
        """As karbor-api does: the login is kept sealed."""
        given = {"username": "bob", "user_domain_id": "default", "password": SECRET, "project_name": "far",
                 "project_domain_id": "default"}  # fmt: skip
        login = Login.parse(self.there.keystone, given)
        with site.database.write() as rows:
            restore = Restore(
                self.restore_id, self.project, PROVIDER, self.checkpoint_id, restore_target=self.there.keystone
            )
            rows.restores.create(restore)
            seal = LoginSeal.load(self.root / "login.key")
            rows.restores.keep_login(self.restore_id, seal.seal(self.restore_id, login.to_dict()))
            return self._book(rows, "restore", restore_id=self.restore_id)

    def _book(self, rows, operation, **more):
        job_id = str(uuid.uuid4())
        rows.operation_logs.create(OperationLog(job_id, self.project, operation))
        rows.jobs.create(Job(job_id, operation, self.project, PROVIDER, checkpoint_id=self.checkpoint_id, **more))
        return job_id

    def _checkpoint(self, site):
        with site.database.read() as rows:
            return rows.checkpoints.get(self.checkpoint_id)


def test_a_second_worker_goes_on_with_the_sealed_login_of_a_killed_one(tmp_path, keystone, there):
    story = Story(tmp_path, keystone, there)
    story.protect()
    site = story.site()
    job_id = story.ask(site)
    log = tmp_path / "first.log"
    with log.open("w") as written:
        first = subprocess.Popen([sys.executable, "-m", "tests.support.farsite", str(tmp_path)], stderr=written)
    until(lambda: there.memory.things["stack"] or first.poll() is not None, "the first worker builds")
    first.kill()
    assert first.wait(60) == -9, log.read_text()
    with site.database.read() as rows:
        assert rows.jobs.get(job_id).state == "running" and rows.restores.login(story.restore_id)
    before = len(there.logins)
    there.memory.settle()
    site.work("second")

    def ended():
        there.memory.settle()
        with site.database.read() as rows:
            return rows.jobs.get(job_id).state in ("done", "failed")

    until(ended, "the second worker ends the restore")
    with site.database.read() as rows:
        job, restore = rows.jobs.get(job_id), rows.restores.get(story.restore_id)
        assert rows.restores.login(story.restore_id) is None
    assert (job.state, restore.status, job.fence) == ("done", "success", 2), restore.resources_reason
    assert len(there.memory.things["stack"]) == 1
    assert [one["name"] for one in there.memory.things["network"].values()] == ["inner"]
    assert 0 < before < len(there.logins)
    assert {(one["name"], one["password"]) for one in there.logins} == {("bob", SECRET)}
    assert found(dump(site.database.engine), [SECRET]) == [] and SECRET not in log.read_text()
    site.close()
