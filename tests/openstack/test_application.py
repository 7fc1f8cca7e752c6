# SPDX-License-Identifier: Apache-2.0
"""Does an application of a tenant come back from nothing on a real cloud, file by file, by the karbor command alone?"""

import json
import time
import uuid

import pytest

from tests.openstack.application import Application, inventory
from tests.openstack.conftest import BACKUPS
from tests.openstack.guest import Guest
from tests.support.rest import PAUSE

SECONDS = 3600
NETWORKING = ("networks", "routers", "security_groups")


class Tenant:
    """Who protects and restores with the ``karbor`` command."""

    def __init__(self, command):
        self.command = command

    def plan(self, provider, resources, parameters):
        """The id of a new plan."""
        words = ",".join("=".join((one["id"], one["type"], one["name"])) for one in resources)
        name = f"plan-{uuid.uuid4().hex[:8]}"
        made = self.command.show("plan-create", name, provider, words, "--parameters-json", json.dumps(parameters))
        return made["Id"] if "Id" in made else made["id"]

    def protect(self, provider, plan):
        """The id of a new checkpoint that is available."""
        made = self.command.show("checkpoint-create", provider, plan)["id"]
        self._wait(("checkpoint-show", provider, made), "available", "error")
        return made

    def restore(self, provider, checkpoint, parameters, *login):
        """What ``restore-show`` says of a restore that ended well."""
        given = ("--parameters-json", json.dumps(parameters))
        made = self.command.show("restore-create", provider, checkpoint, *login, *given)["id"]
        return self._wait(("restore-show", made), "success", "fail")

    def delete(self, provider, checkpoint):
        """Delete a checkpoint and wait until it is."""
        self.command.well("checkpoint-delete", provider, checkpoint)
        self._wait(("checkpoint-show", provider, checkpoint), "deleted", "error-deleting")

    def _wait(self, words, good, bad):
        deadline = time.monotonic() + SECONDS
        while True:
            found = self.command.show(*words)
            if found["status"] == good:
                return found
            assert found["status"] != bad and time.monotonic() < deadline, found
            PAUSE.wait(3)


@pytest.fixture(scope="module")
def demo(karbor):
    return Tenant(karbor("demo"))


@pytest.fixture(scope="module")
def application(tenant, installation):
    found = Application(tenant("demo"), tenant("admin"), f"shop-{uuid.uuid4().hex[:6]}")
    try:
        yield found.make()
    finally:
        found.remove()


def test_a_deleted_application_comes_back_through_heat(application, demo, tenant):
    cloud = tenant("demo")
    parameters = {"OS::Cinder::Volume": {"backup_mode": "incremental"}}
    plan = demo.plan(BACKUPS, application.resources(), parameters)
    demo.protect(BACKUPS, plan)
    for name in ("web", "db"):
        application.write(name, "second", 4)
    second = demo.protect(BACKUPS, plan)
    expected, before = application.hashes(), _networking(cloud, application.prefix)
    application.remove()
    assert not _networking(cloud, application.prefix)["networks"]

    restored = demo.restore(BACKUPS, second, {})
    assert _hashes(tenant, application.prefix, "demo") == expected
    assert _networking(cloud, application.prefix) == before
    print(restored)


def _networking(cloud, prefix):
    """The names of the networking of the application, by kind."""
    found = inventory(cloud)
    return {kind: sorted(name for name in found[kind].values() if prefix in (name or "")) for kind in NETWORKING}


def _hashes(tenant, prefix, project):
    """{server: {path: SHA-256}} of the servers with the names of the application in a project."""
    servers = {
        name.removeprefix(f"{prefix}-"): Guest(tenant("admin"), id_)
        for id_, name in inventory(tenant(project))["servers"].items()
        if prefix in name
    }
    found = {}
    for name, guest in servers.items():
        guest.wait_until_up(["/mnt/vdb"])
        found[name] = guest.hashes("/data", "/mnt/vdb")
    return found
