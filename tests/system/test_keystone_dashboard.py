# SPDX-License-Identifier: Apache-2.0
"""Do the calls that karbor-dashboard 1.5.1 makes through its library get what its pages show?"""

import pytest

from tests.support.alone import ApiAlone
from tests.support.api import PROVIDER, SERVER, VOLUME
from tests.support.karborclient import Clients, Library

# Installing Keystone and the clients, once on each machine, may take long on a slow one.
pytestmark = [pytest.mark.system, pytest.mark.timeout(1800)]

RULE = "BEGIN:VEVENT\r\nRRULE:FREQ=DAILY;BYHOUR=2;BYMINUTE=0\r\nEND:VEVENT\r\n"


@pytest.fixture(scope="module")
def service(keystone, tmp_path_factory):
    path = tmp_path_factory.mktemp("service")
    settings = path / "karbor.conf"
    settings.write_text(keystone.settings())
    made = ApiAlone(path, [settings], keystone.ids["alpha"])
    made.api.workers.add(
        made.project, "OS::Keystone::Project", made.project, below=[("OS::Nova::Server", SERVER, "vm")]
    )
    yield made
    made.close()


@pytest.fixture(scope="module")
def call(keystone, service):
    where = {"endpoint": service.url, "auth_url": keystone.url, "project_id": service.project}
    with Clients() as clients:
        yield Library(clients, token=keystone.token("ann"), **where)


@pytest.fixture(scope="module")
def plan(call):
    """What the dialog sends: every property of the schemas, null where it has no default."""
    resources = [{"id": SERVER, "type": "OS::Nova::Server", "name": "vm"}]
    parameters = {"OS::Nova::Server": {"k": None, "a": True}, f"OS::Nova::Server#{SERVER}": {"k": "v"}}
    return call("plans.create", "web", PROVIDER, resources, parameters, description=None)


@pytest.fixture(scope="module")
def checkpoint(call, service, plan):
    made = call("checkpoints.create", PROVIDER, plan["id"])
    service.wait_for_checkpoint(made["id"])
    return made


def test_the_tree_of_resources(call, service):
    (top,) = call("protectables.list_instances", "OS::Keystone::Project")
    assert top["dependent_resources"][0]["id"] == SERVER
    server = call("protectables.get_instance", "OS::Nova::Server", SERVER)
    assert [below["id"] for below in server["dependent_resources"]] == [VOLUME]
    assert call("protectables.get_instance", "OS::Cinder::Volume", VOLUME)["dependent_resources"] == []


def test_the_pages_of_plans_forwards_and_backwards(call, plan):
    page = {"limit": 21, "sort_key": "name", "sort_dir": "asc"}
    assert [found["id"] for found in call("plans.list", **page)] == [plan["id"]]
    assert call("plans.list", marker=plan["id"], **page) == []
    assert call("plans.list", marker=plan["id"], **{**page, "sort_dir": "desc"}) == []
    assert call("providers.list", limit=21, sort_key="name", sort_dir="asc")[0]["id"] == PROVIDER


def test_a_plan_is_edited_as_the_form_sends_it(call, plan):
    changes = {"status": "suspended", "name": "shop", "resources": plan["resources"]}
    assert call("plans.update", plan["id"], changes)["name"] == "shop"
    assert call("plans.get", plan["id"])["name"] == "shop"


def test_the_pages_of_checkpoints(call, plan, checkpoint):
    page = {"limit": 21, "sort_key": "id", "sort_dir": "asc"}
    wanted = {"plan_id": plan["id"], "start_date": "2026-01-01", "end_date": "2026-01-08"}
    (row,) = call("checkpoints.list", PROVIDER, search_opts=wanted, **page)
    assert (row["id"], row["status"], row["protection_plan"]["id"]) == (checkpoint["id"], "available", plan["id"])
    assert call("checkpoints.list", PROVIDER, search_opts=wanted, marker=checkpoint["id"], **page) == []
    assert call("providers.get", PROVIDER)["id"] == PROVIDER
    assert call("checkpoints.get", PROVIDER, checkpoint["id"])["id"] == checkpoint["id"]


def test_a_restore_for_the_current_session(call, checkpoint):
    login = {"type": "password", "username": None, "password": None}
    made = call(
        "restores.create", PROVIDER, checkpoint["id"], None, {"OS::Nova::Server": {"restore_name": None}}, login
    )
    assert made["status"] == "in_progress"
    (row,) = call("restores.list", limit=21, sort_key="id", sort_dir="asc")
    assert row["id"] == made["id"]


def test_a_schedule_is_made_shown_and_removed(call, plan):
    trigger = call("triggers.create", "daily", "time", {"format": "calendar", "pattern": RULE})
    what = {"provider_id": PROVIDER, "plan_id": plan["id"]}
    made = call("scheduled_operations.create", "nightly", "protect", trigger["id"], what)
    page = {"limit": 21, "sort_key": "name", "sort_dir": "asc"}
    (row,) = call("scheduled_operations.list", **page)
    assert (row["id"], row["trigger_id"], row["operation_definition"]["plan_id"]) == (
        made["id"],
        trigger["id"],
        plan["id"],
    )
    assert [found["id"] for found in call("triggers.list", **page)] == [trigger["id"]]
    assert "HTTP 409" in call("plans.delete", plan["id"])
    assert call("scheduled_operations.delete", made["id"]) is None
    assert call("triggers.delete", trigger["id"]) is None


def test_what_is_gone_is_told_in_words(call):
    assert "HTTP 404" in call("plans.get", "99999999-2222-4333-8444-555555555555")
    assert "HTTP 400" in call("plans.get", "nonsense")
