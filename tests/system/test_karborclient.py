# SPDX-License-Identifier: Apache-2.0
"""Does the unmodified ``karbor`` command of python-karborclient 2.1.0 drive the service?"""

import json
import tempfile
import threading
from pathlib import Path

import pytest
from cheroot import wsgi

from karbor.virt.libvirt_names import disk_id
from tests.support.api import PROJECT, PROVIDER, SERVER, VOLUME, Api
from tests.support.karborclient import Karbor
from tests.support.qemu_writer import QCOW2, Guest, Host
from tests.support.service import Embedded

pytestmark = pytest.mark.system


class ApiAlone:
    """A service to be driven: the API over twins of the workers, on a port of its own.

    Whatever has these attributes and methods can take its place.
    """

    project = PROJECT
    provider_id = PROVIDER
    provider_name = "twin"
    resource = (SERVER, "OS::Nova::Server", "vm")
    dependent = ("OS::Cinder::Volume", VOLUME)
    restore = ()

    def __init__(self, path):
        self.api = Api(path)
        self.server = wsgi.Server(("127.0.0.1", 0), self.api.app, numthreads=4)
        self.server.prepare()
        self.thread = threading.Thread(target=self.server.serve, daemon=True)
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.server.bind_addr[1]}/v1/{PROJECT}"

    def wait_for_checkpoint(self, id_):
        """Return when the checkpoint is available."""
        with self.api.database.write() as rows:
            for job in rows.jobs.live_for(checkpoint_id=id_):
                rows.jobs.request_cancel(job.id)
            rows.checkpoints.transition(id_, "available", finished_at=self.api.clock.now())

    def wait_for_restore(self, id_):
        """Return when the restore has succeeded."""
        with self.api.database.write() as rows:
            for job in rows.jobs.live_for(restore_id=id_):
                rows.jobs.request_cancel(job.id)
            rows.restores.transition(id_, "success", finished_at=self.api.clock.now())

    def close(self):
        self.server.stop()
        self.thread.join(10)
        self.api.database.dispose()


class Whole:
    """karbor-all-in-one over a libvirt of the test's own, with one guest."""

    provider_name = "libvirt"

    def __init__(self, path):
        self.host = Host()
        self.guest = Guest(self.host, path, {"vda": QCOW2})
        self.guest.start()
        self.guest.write("vda", 0, 1 << 20, 7)
        self.directory = tempfile.TemporaryDirectory(prefix="kc-", dir="/tmp")
        self.embedded = Embedded(Path(self.directory.name) / "karbor", libvirt_uri=self.host.uri).start()
        self.rest, self.url = self.embedded.rest, self.embedded.rest.url
        self.project = self.url.rsplit("/", 1)[1]
        self.provider_id = self.rest.provider("Libvirt::Domain")
        self.resource = (self.guest.id, "Libvirt::Domain", self.guest.name)
        self.dependent = ("Libvirt::Disk", disk_id(self.guest.id, "vda"))
        self.restore = ["--parameters", f"resource_type=Libvirt::Domain,restore_name=back,directory={path}"]

    def wait_for_checkpoint(self, id_):
        path = f"/providers/{self.provider_id}/checkpoints/{id_}"
        assert self.rest.wait(path, "checkpoint", ("available", "error"))["status"] == "available"

    def wait_for_restore(self, id_):
        found = self.rest.wait(f"/restores/{id_}", "restore", ("success", "fail"))
        assert found["status"] == "success", found["resources_reason"]

    def close(self):
        self.embedded.stop()
        self.host.connection().lookupByName("back").undefine()
        self.guest.remove()
        self.host.stop()
        self.directory.cleanup()


@pytest.fixture(scope="module", params=[ApiAlone, pytest.param(Whole, marks=pytest.mark.libvirt)])
def service(request, tmp_path_factory):
    made = request.param(tmp_path_factory.mktemp("service"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def karbor(service):
    return Karbor(service.url, service.project)


@pytest.fixture(scope="module")
def plan(karbor, service):
    return karbor.show("plan-create", "nightly", service.provider_id, "=".join(service.resource))


@pytest.fixture(scope="module")
def checkpoint_id(karbor, service, plan):
    made = karbor.show("checkpoint-create", service.provider_id, plan["id"], "--extra_info", "ticket=4711")
    assert made["status"] == "protecting"
    service.wait_for_checkpoint(made["id"])
    return made["id"]


def test_providers_are_listed(karbor, service):
    (row,) = [row for row in karbor.list("provider-list") if row["Id"] == service.provider_id]
    assert row["Name"] == service.provider_name


def test_a_provider_is_shown(karbor, service):
    assert karbor.show("provider-show", service.provider_id)["name"] == service.provider_name


def test_types_are_listed(karbor, service):
    assert {"Protectable type": service.resource[1]} in karbor.list("protectable-list")


def test_a_type_is_shown(karbor, service):
    assert karbor.show("protectable-show", service.resource[1])["name"] == service.resource[1]


def test_instances_are_listed_with_their_dependents(karbor, service):
    rows = karbor.list("protectable-list-instances", service.resource[1])
    (row,) = [row for row in rows if row["Id"] == service.resource[0]]
    assert row["Name"] == service.resource[2]
    if service.dependent:
        assert service.dependent[1] in row["Dependent resources"]


def test_a_plan_is_made_shown_and_listed(karbor, service, plan):
    assert (plan["name"], plan["status"], plan["provider_id"]) == ("nightly", "suspended", service.provider_id)
    assert karbor.show("plan-show", plan["id"])["id"] == plan["id"]
    (row,) = [row for row in karbor.list("plan-list") if row["Id"] == plan["id"]]
    assert (row["Name"], row["Status"]) == ("nightly", "suspended")


def test_a_plan_is_changed_and_removed_by_its_name(karbor, service):
    made = karbor.show("plan-create", "short-lived", service.provider_id, "=".join(service.resource))
    changed = karbor.show("plan-update", made["id"], "--name", "shorter-lived", "--status", "started")
    assert (changed["name"], changed["status"]) == ("shorter-lived", "started")
    assert karbor.run("plan-delete", "shorter-lived")[0] == 0
    code, _out, err = karbor.run("plan-show", made["id"])
    assert code == 1
    assert "could not be found" in err


def test_a_resource_that_does_not_exist_is_told(karbor, service):
    unknown = "99999999-2222-4333-8444-555555555555"
    code, _out, err = karbor.run("plan-create", "p", service.provider_id, f"{unknown}={service.resource[1]}=vm")
    assert code == 1
    assert unknown in err


def test_a_checkpoint_is_shown(karbor, service, plan, checkpoint_id):
    shown = karbor.show("checkpoint-show", service.provider_id, checkpoint_id)
    assert (shown["id"], shown["status"]) == (checkpoint_id, "available")
    assert json.loads(shown["extra_info"]) == {"ticket": "4711", "created_by": "manual"}
    assert plan["id"] in shown["protection_plan"]


def test_checkpoints_are_listed(karbor, service, plan, checkpoint_id):
    rows = karbor.list("checkpoint-list", service.provider_id, "--plan_id", plan["id"])
    (row,) = [row for row in rows if row["Id"] == checkpoint_id]
    assert row["Status"] == "available"
    assert f"Name: {plan['name']}" in row["Protection plan"]
    assert plan["id"] in row["Protection plan"]
    assert row["Created at"][:2] == "20"


def test_a_restore_is_made_shown_and_listed(karbor, service, checkpoint_id):
    made = karbor.show("restore-create", service.provider_id, checkpoint_id, *service.restore)
    assert made["status"] == "in_progress"
    service.wait_for_restore(made["id"])
    shown = karbor.show("restore-show", made["id"])
    assert (shown["id"], shown["checkpoint_id"], shown["status"]) == (made["id"], checkpoint_id, "success")
    (row,) = [row for row in karbor.list("restore-list") if row["Id"] == made["id"]]
    assert row["Status"] == "success"


def test_what_was_done_is_listed(karbor, service, checkpoint_id):
    rows = karbor.list("operationlog-list")
    assert checkpoint_id in [row["Checkpoint id"] for row in rows]
    assert karbor.show("operationlog-show", rows[0]["Id"])["id"] == rows[0]["Id"]


def test_a_checkpoint_is_removed(karbor, service, plan):
    made = karbor.show("checkpoint-create", service.provider_id, plan["id"])
    service.wait_for_checkpoint(made["id"])
    assert karbor.run("checkpoint-delete", service.provider_id, made["id"])[0] == 0
    shown = karbor.show("checkpoint-show", service.provider_id, made["id"])
    assert shown["status"] in ("deleting", "deleted")


def test_a_target_that_would_be_ignored_is_refused(karbor, service, checkpoint_id):
    login = ["--restore_target", "http://x/v3", "--restore_username", "u", "--restore_password", "p"]
    code, _out, err = karbor.run("restore-create", service.provider_id, checkpoint_id, *login)
    assert code == 1
    assert "restore_target is not supported for this provider. (HTTP 400)" in err
