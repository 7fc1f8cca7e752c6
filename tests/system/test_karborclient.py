# SPDX-License-Identifier: Apache-2.0
"""Do the unmodified commands of python-karborclient 2.1.0 drive the service: every one, by what it prints?

Both programs, ``karbor`` and the plug-in of ``openstack``; without Keystone and with one; with the last libraries that
all their lists can be printed with, and with today's.
"""

import json
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from karbor.virt.libvirt_names import disk_id
from tests.support.alone import ApiAlone
from tests.support.karborclient import Clients, Command, password_login, without_keystone
from tests.support.qemu_writer import QCOW2, Guest, Host
from tests.support.service import Embedded

# Installing Keystone and the clients, once on each machine, may take long on a slow one.
pytestmark = [pytest.mark.system, pytest.mark.timeout(1800)]

#: command of karbor -> words after "openstack data protection"
COMMANDS = {
    "plan-create": "plan create",
    "plan-delete": "plan delete",
    "plan-list": "plan list",
    "plan-show": "plan show",
    "plan-update": "plan update",
    "restore-create": "restore create",
    "restore-list": "restore list",
    "restore-show": "restore show",
    "verification-create": "verification create",
    "verification-list": "verification list",
    "verification-show": "verification show",
    "protectable-list": "protectable list",
    "protectable-list-instances": "protectable instance list",
    "protectable-show": "protectable show",
    "protectable-show-instance": "protectable instance show",
    "provider-list": "provider list",
    "provider-show": "provider show",
    "checkpoint-create": "checkpoint create",
    "checkpoint-delete": "checkpoint delete",
    "checkpoint-list": "checkpoint list",
    "checkpoint-reset-state": "checkpoint reset state",
    "checkpoint-show": "checkpoint show",
    "trigger-create": "trigger create",
    "trigger-delete": "trigger delete",
    "trigger-list": "trigger list",
    "trigger-show": "trigger show",
    "trigger-update": "trigger update",
    "scheduledoperation-create": "scheduledoperation create",
    "scheduledoperation-delete": "scheduledoperation delete",
    "scheduledoperation-list": "scheduledoperation list",
    "scheduledoperation-show": "scheduledoperation show",
    "operationlog-list": "operationlog list",
    "operationlog-show": "operationlog show",
    "service-disable": "service disable",
    "service-enable": "service enable",
    "service-list": "service list",
    "quota-defaults": "quotas default",
    "quota-show": "quotas show",
    "quota-update": "quotas update",
    "quota-class-show": "quotaclass show",
    "quota-class-update": "quotaclass update",
}
#: Lists that the plug-in cannot print with osc-lib 4 and later, whatever the service answers.
UNPRINTABLE = {
    "restore-list",
    "verification-list",
    "checkpoint-list",
    "scheduledoperation-list",
    "protectable-list-instances",
}
PATTERN = "BEGIN:VEVENT\\nRRULE:FREQ=DAILY;INTERVAL=1\\nEND:VEVENT"


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

    def wait_for_verification(self, id_):
        found = self.rest.wait(f"/verifications/{id_}", "verification", ("success", "fail"))
        assert found["status"] == "success", found["resources_reason"]

    def close(self):
        self.embedded.stop()
        self.host.connection().lookupByName("back").undefine()
        self.guest.remove()
        self.host.stop()
        self.directory.cleanup()


@dataclass
class Seat:
    """Somebody who types commands: which program, where, and with which login."""

    service: object
    command: Command
    program: str
    new: bool = False
    keystone: bool = False
    used: set = field(default_factory=set)

    def words(self, name, arguments):
        self.used.add(name)
        if self.program == "karbor":
            return [name, *arguments]
        return ["data", "protection", *COMMANDS[name].split(), *arguments]

    def well(self, name, *arguments):
        return self.command.well(*self.words(name, arguments))

    def show(self, name, *arguments):
        return self.command.show(*self.words(name, arguments))

    def refused(self, name, *arguments):
        return self.command.refused(*self.words(name, arguments))

    def row(self, name, *arguments, key="Id", **cells):
        """The one row of a list with these cells. None where the client itself cannot print it, and says so."""
        words = self.words(name, arguments)
        if self.new and name in UNPRINTABLE:
            assert "Invalid formatter provided" in self.command.refused(*words)
            return None
        found = self.command.list(*words)
        rows = [row for row in found if all(row[column] == value for column, value in cells.items())]
        assert len(rows) == 1, (words, cells, found)
        return rows[0]

    def ids(self, name, *arguments):
        """The first column of a list; an empty list prints no table."""
        out = self.command.well(*self.words(name, arguments))
        return [row.split("|")[1].strip() for row in out.splitlines() if row.startswith("|")][1:]


def alone(path, clients, program):
    service = ApiAlone(path)
    url, project = service.url, service.project
    if program == "karbor":
        login = without_keystone(url, project)
    else:
        login = ["--os-auth-type", "admin_token", "--os-endpoint", url, "--os-token", f"tester:{project}"]
    return Seat(service, Command(clients, program, login), program)


def in_cloud(path, clients, program, keystone):
    settings = path / "karbor.conf"
    settings.write_text(keystone.settings())
    service = ApiAlone(path, [settings], keystone.ids["admin"])
    keystone.publish(service.root)
    login = password_login(keystone, "admin", "admin")
    service.token = keystone.token("admin")
    return Seat(service, Command(clients, program, variables=login), program, keystone=True)


def whole(path, clients, program):
    service = Whole(path)
    return Seat(service, Command(clients, program, without_keystone(service.url, service.project)), program)


SEATS = {
    "karbor": (alone, "client-old", "karbor"),
    "openstack": (alone, "client-old", "openstack"),
    "karbor-keystone": (in_cloud, "client-old", "karbor"),
    "openstack-keystone": (in_cloud, "client-old", "openstack"),
    "openstack-new-keystone": (in_cloud, "client-new", "openstack"),
    "karbor-libvirt": (whole, "client-old", "karbor"),
}
_MARKS = {"karbor-libvirt": pytest.mark.libvirt}


@pytest.fixture(scope="module", params=[pytest.param(name, marks=_MARKS.get(name, ())) for name in SEATS])
def seat(request, tmp_path_factory):
    make, environment, program = SEATS[request.param]
    cloud = [request.getfixturevalue("keystone")] if make is in_cloud else []
    with Clients(environment) as clients:
        made = make(tmp_path_factory.mktemp("service"), clients, program, *cloud)
        made.new = environment == "client-new"
        yield made
        made.service.close()


@pytest.fixture(scope="module")
def service(seat):
    return seat.service


@pytest.fixture(scope="module")
def plan(seat, service):
    return seat.show("plan-create", "nightly", service.provider_id, "=".join(service.resource), "--description", "d")


@pytest.fixture(scope="module")
def checkpoint_id(seat, service, plan):
    made = seat.show("checkpoint-create", service.provider_id, plan["id"], "--extra_info", "ticket=4711")
    assert made["status"] == "protecting"
    service.wait_for_checkpoint(made["id"])
    return made["id"]


def test_providers(seat, service):
    row = seat.row("provider-list", Id=service.provider_id)
    assert row["Name"] == service.provider_name
    assert seat.ids("provider-list", "--name", "nobody") == []
    assert seat.show("provider-show", service.provider_id)["name"] == service.provider_name


def test_types_and_what_there_is(seat, service):
    id_, type_, name = service.resource
    seat.row("protectable-list", **{"Protectable type": type_})
    shown = seat.show("protectable-show", type_)
    assert shown["name"] == type_
    assert service.dependent[0] in shown["dependent_types"]
    row = seat.row("protectable-list-instances", type_, Id=id_)
    assert row is None or (row["Name"] == name and service.dependent[1] in row["Dependent resources"])
    shown = seat.show("protectable-show-instance", type_, id_)
    assert (shown["id"], shown["name"]) == (id_, name)
    assert service.dependent[1] in shown["dependent_resources"]


def test_a_plan_is_made_shown_and_listed(seat, service, plan):
    assert (plan["name"], plan["status"], plan["provider_id"]) == ("nightly", "suspended", service.provider_id)
    shown = seat.show("plan-show", plan["id"])
    assert (shown["id"], shown["description"]) == (plan["id"], "d")
    assert service.resource[0] in shown["resources"]
    row = seat.row("plan-list", Id=plan["id"])
    assert (row["Name"], row["Status"]) == ("nightly", "suspended")
    assert seat.ids("plan-list", "--name", "nobody") == []
    assert seat.ids("plan-list", "--name", "night", "--status", "suspended", "--sort", "name:asc") == [plan["id"]]
    everybody = "--all-tenants" if seat.program == "karbor" else "--all-projects"
    assert plan["id"] in seat.ids("plan-list", everybody)


def test_a_plan_is_changed_and_removed_by_its_name(seat, service):
    made = seat.show("plan-create", "short-lived", service.provider_id, "=".join(service.resource))
    changed = seat.show("plan-update", made["id"], "--name", "shorter-lived", "--status", "started")
    assert (changed["name"], changed["status"]) == ("shorter-lived", "started")
    if seat.program == "openstack":
        assert seat.show("plan-show", "shorter-lived")["id"] == made["id"]
    seat.well("plan-delete", "shorter-lived")
    assert made["id"] in seat.refused("plan-show", made["id"])
    assert made["id"] not in seat.ids("plan-list")


def test_a_resource_that_does_not_exist_is_told(seat, service):
    unknown = "99999999-2222-4333-8444-555555555555"
    assert unknown in seat.refused("plan-create", "p", service.provider_id, f"{unknown}={service.resource[1]}=vm")


def test_a_checkpoint_is_shown_and_listed(seat, service, plan, checkpoint_id):
    shown = seat.show("checkpoint-show", service.provider_id, checkpoint_id)
    assert (shown["id"], shown["status"]) == (checkpoint_id, "available")
    assert json.loads(shown["extra_info"]) == {"ticket": "4711", "created_by": "manual"}
    assert plan["id"] in shown["protection_plan"]
    row = seat.row("checkpoint-list", service.provider_id, "--plan_id", plan["id"], Id=checkpoint_id)
    if row is not None:
        assert row["Status"] == "available"
        assert f"Name: {plan['name']}" in row["Protection plan"]
        assert plan["id"] in row["Protection plan"]
        assert row["Created at"][:2] == "20"
        past = ["--start_date", "2001-01-01", "--end_date", "2001-02-01"]
        assert seat.ids("checkpoint-list", service.provider_id, *past) == []


def test_a_restore_is_made_shown_and_listed(seat, service, checkpoint_id):
    made = seat.show("restore-create", service.provider_id, checkpoint_id, *service.restore)
    assert made["status"] == "in_progress"
    service.wait_for_restore(made["id"])
    shown = seat.show("restore-show", made["id"])
    assert (shown["id"], shown["checkpoint_id"], shown["status"]) == (made["id"], checkpoint_id, "success")
    row = seat.row("restore-list", Id=made["id"])
    assert row is None or (row["Status"], row["Checkpoint id"]) == ("success", checkpoint_id)


def test_a_verification_is_made_shown_and_listed(seat, service, checkpoint_id):
    made = seat.show("verification-create", service.provider_id, checkpoint_id)
    assert (made["status"], made["checkpoint_id"]) == ("in_progress", checkpoint_id)
    service.wait_for_verification(made["id"])
    shown = seat.show("verification-show", made["id"])
    assert (shown["id"], shown["checkpoint_id"], shown["status"]) == (made["id"], checkpoint_id, "success")
    row = seat.row("verification-list", Id=made["id"])
    assert row is None or (row["Status"], row["Checkpoint id"]) == ("success", checkpoint_id)


def test_what_was_done_is_listed(seat, checkpoint_id):
    row = seat.row("operationlog-list", **{"Checkpoint id": checkpoint_id, "Operation Type": "protect"})
    shown = seat.show("operationlog-show", row["Id"])
    assert (shown["id"], shown["checkpoint_id"], shown["operation_type"]) == (row["Id"], checkpoint_id, "protect")
    assert seat.ids("operationlog-list", "--status", "nonsense") == []


def test_a_state_is_reset_and_the_checkpoint_removed(seat, service, plan):
    made = seat.show("checkpoint-create", service.provider_id, plan["id"])
    service.wait_for_checkpoint(made["id"])
    for arguments, state in (((), "error"), (("--available",), "available")):
        seat.well("checkpoint-reset-state", service.provider_id, made["id"], *arguments)
        assert seat.show("checkpoint-show", service.provider_id, made["id"])["status"] == state
    nobody = "99999999-2222-4333-8444-555555555555"
    assert "Unable to find or reset" in seat.refused("checkpoint-reset-state", service.provider_id, nobody)
    seat.well("checkpoint-delete", service.provider_id, made["id"])
    assert seat.show("checkpoint-show", service.provider_id, made["id"])["status"] in ("deleting", "deleted")


def test_a_target_that_would_be_ignored_is_refused(seat, service, checkpoint_id):
    login = ["--restore_target", "http://x/v3", "--restore_username", "u", "--restore_password", "p"]
    told = seat.refused("restore-create", service.provider_id, checkpoint_id, *login)
    assert "restore_target is not supported for this provider. (HTTP 400)" in told


def trigger(seat, name):
    """The properties of a new trigger. The plug-in's own command is broken: it sends nothing."""
    properties = f"format=calendar,pattern={PATTERN},window=1800"
    if seat.program == "karbor":
        return seat.show("trigger-create", name, "time", properties)
    assert "'str' object has no attribute 'get'" in seat.refused("trigger-create", name, "time", properties)
    wanted = {"format": "calendar", "pattern": PATTERN, "window": 1800}
    body = {"trigger_info": {"name": name, "type": "time", "properties": wanted}}
    headers = {"X-Auth-Token": seat.service.token} if seat.keystone else None
    api, project = seat.service.api, seat.service.project
    return api.post("/triggers", body, project=project, headers=headers)["trigger_info"]


def test_triggers(seat):
    made = trigger(seat, "every day")
    row = seat.row("trigger-list", Id=made["id"])
    assert (row["Name"], row["Type"]) == ("every day", "time")
    assert "1800" in row["Properties"]
    assert seat.ids("trigger-list", "--name", "nobody") == []
    shown = seat.show("trigger-show", made["id"])
    assert (shown["id"], shown["name"], shown["type"]) == (made["id"], "every day", "time")
    assert "FREQ=DAILY" in shown["properties"]
    if seat.program == "karbor":
        assert seat.show("trigger-update", made["id"], "--name", "daily")["name"] == "daily"
    else:
        assert "properties" in seat.refused("trigger-update", made["id"], "--name", "daily")  # the client's own fault
    changed = seat.show("trigger-update", made["id"], "--name", "daily", "--properties", "window=900")
    assert changed["name"] == "daily"
    assert "900" in changed["properties"]
    assert "FREQ=DAILY" in changed["properties"]
    seat.well("trigger-delete", made["id"])
    assert made["id"] not in seat.ids("trigger-list")


def test_scheduled_operations(seat, service, plan):
    when = trigger(seat, "nightly")
    what = f"plan_id={plan['id']},provider_id={service.provider_id},max_backups=3"
    made = seat.show("scheduledoperation-create", "keep three", "retention_protect", when["id"], what)
    assert (made["name"], made["operation_type"], made["trigger_id"]) == ("keep three", "retention_protect", when["id"])
    shown = seat.show("scheduledoperation-show", made["id"])
    assert (shown["id"], shown["enabled"]) == (made["id"], "True")
    assert plan["id"] in shown["operation_definition"]
    row = seat.row("scheduledoperation-list", Id=made["id"])
    assert row is None or row["Name"] == "keep three"
    assert "is used by a scheduled operation" in seat.refused("trigger-delete", when["id"])
    seat.well("scheduledoperation-delete", made["id"])
    if not seat.new:
        assert made["id"] not in seat.ids("scheduledoperation-list")
    seat.well("trigger-delete", when["id"])


def test_services(seat):
    row = seat.row("service-list", "--binary", "karbor-operationengine", Binary="karbor-operationengine")
    assert row["Status"] == "enabled"
    for name, more, status, reason in (
        ("service-disable", ["--reason", "moving"], "disabled", "moving"),
        ("service-enable", [], "enabled", None),
    ):
        arguments = (row["Id"], *more)
        if seat.program == "karbor":
            changed = seat.row(name, *arguments, Id=row["Id"])
            assert (changed["Status"], reason is None or changed["Disabled Reason"]) == (status, reason or True)
        else:
            changed = seat.show(name, *arguments)
            assert (changed["status"], reason is None or changed["disabled_reason"]) == (status, reason or True)
        assert seat.row("service-list", Id=row["Id"])["Status"] == status
    assert seat.ids("service-list", "--host", "nobody") == []


def test_quotas(seat, service, plan):
    mine = ["--tenant", service.project]
    assert seat.show("quota-show", *mine)["plans"] == "50"
    assert seat.show("quota-defaults", *mine)["plans"] == "50"
    if seat.keystone:  # without it, the clients do not know the project
        assert seat.show("quota-show")["plans"] == "50"
        assert seat.show("quota-defaults")["id"] == service.project
    assert seat.show("quota-update", service.project, "--plans", "7")["plans"] == "7"
    detail = seat.show("quota-show", *mine, "--detail")["plans"].splitlines()
    assert {"limit = 7", "reserved = 0"} < set(detail)
    assert "in_use = 0" not in detail
    assert seat.show("quota-class-show", "default")["plans"] == "50"
    assert seat.show("quota-class-update", "default", "--plans", "9")["plans"] == "9"
    assert seat.show("quota-defaults", *mine)["plans"] == "9"
    assert seat.show("quota-update", service.project, "--plans", "50")["plans"] == "50"


def test_the_table_of_commands_is_complete_and_was_used(seat):
    """Last in this file: by then each command was run."""
    assert seat.used == set(COMMANDS)
    if seat.program == "karbor":
        known = {word for word in seat.command.well("bash-completion").split() if not word.startswith("-")}
        assert known - {"bash-completion", "help"} == set(COMMANDS)
    else:
        printed = seat.command.well("command", "list", "--group", "openstack.data_protection.v1", "-f", "json")
        (group,) = json.loads(printed)
        known = group["Commands"] if isinstance(group["Commands"], list) else group["Commands"].splitlines()
        assert set(known) == {f"data protection {words}" for words in COMMANDS.values()}
