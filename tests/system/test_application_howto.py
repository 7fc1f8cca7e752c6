# SPDX-License-Identifier: Apache-2.0
"""Are the commands of the how-to for applications in a cloud what the published client and our API understand?

The shell reads them as they stand in the page; the client sends them to the API with the real options of the plug-ins.
"""

import json
import re
import subprocess
from pathlib import Path

import pytest

from karbor.heat.options import STACK_TYPE, StackOptions
from karbor.model.mapping import MAPPING_TYPE
from karbor.plugins.resources.network_protection import NetworkProtection
from karbor.plugins.resources.server_protection import ServerProtection
from karbor.plugins.resources.volume_data import VolumeDataProtection
from karbor.protection.restorescope import SCOPE_TYPE, ScopeOptions
from karbor.sdk.mapping import WorldMap
from tests.support.alone import ApiAlone
from tests.support.api import SERVER, VOLUME, provider_info
from tests.support.karborclient import Clients, Command, without_keystone

# Installing the client, once on each machine, may take long on a slow one.
pytestmark = [pytest.mark.system, pytest.mark.timeout(1800)]

PAGE = Path(__file__).parents[2] / "doc" / "source" / "user" / "application.rst"
DB = "77777777-2222-4333-8444-555555555555"
PLUGINS = (ServerProtection, VolumeDataProtection, NetworkProtection)


def commands(name):
    """Each call of that command in the page as the shell has it, in order."""
    text = PAGE.read_text()
    for block in re.findall(r"^\.\. code-block:: (?:console|text)\n\n((?:   .*\n|\n)+)", text, re.MULTILINE):
        for command in re.split(r"^   \$ ", block, flags=re.MULTILINE)[1:]:
            if command.startswith(f"{name} "):
                yield command.strip()


def spoken(command, variables):
    """The words of a command, as the shell makes them."""
    mapping = re.search(r"\$ (MAPPING='.*?')\n", PAGE.read_text(), re.DOTALL)[1]
    say = "{ printf '%s\\0' \"$@\" >&3; }"
    script = f"exec 3>&1\nkarbor() {say}\nask() {say}\njq() {{ cat > /dev/null; }}\n{mapping}\n{command}\n"
    done = subprocess.run(
        ["bash", "-eu", "-c", script], env={"PATH": "/usr/bin:/bin", **variables}, capture_output=True, check=True
    )
    return done.stdout.decode().split("\0")[:-1]


def provider():
    """One with the plug-ins of a cloud."""
    by_type = {type_: plugin for plugin in PLUGINS for type_ in plugin.resource_types}
    whole = {STACK_TYPE: StackOptions, MAPPING_TYPE: WorldMap, SCOPE_TYPE: ScopeOptions}
    schemas = {
        **provider_info().schemas,
        "options_schema": {type_: plugin.Protect.schema() for type_, plugin in by_type.items()},
        "restore_schema": {
            **{type_: plugin.Restore.schema() for type_, plugin in by_type.items()},
            **{type_: options.schema() for type_, options in whole.items()},
        },
        "saved_info_schema": {type_: plugin.Saved.schema() for type_, plugin in by_type.items()},
        "verify_schema": {type_: plugin.Verify.schema() for type_, plugin in by_type.items()},
    }
    return {"schemas": schemas}


@pytest.fixture
def service(tmp_path):
    found = ApiAlone(tmp_path)
    found.api.set_provider(**provider())
    found.api.workers.add(found.project, "OS::Nova::Server", DB, name="db")
    found.api.workers.types["OS::Neutron::Network"] = []
    found.api.workers.add(found.project, "OS::Neutron::Network", found.project, name="networks")
    yield found
    found.close()


def test_every_command_of_the_page_works_in_its_order(service):
    known = {
        "PROVIDER": service.provider_id, "WEB": SERVER, "DB": DB, "VOLUME": VOLUME, "PROJECT": service.project,
        "THERE": "secret",
    }  # fmt: skip
    made = {
        "plan-create": "PLAN", "checkpoint-create": "CHECKPOINT", "trigger-create": "TRIGGER",
        "scheduledoperation-create": "SCHEDULE", "restore-create": "RESTORE", "verification-create": "VERIFICATION",
    }  # fmt: skip
    wait = {
        "checkpoint-create": service.wait_for_checkpoint,
        "restore-create": service.wait_for_restore,
        "verification-create": service.wait_for_verification,
    }
    used = []
    with Clients() as clients:
        karbor = Command(clients, "karbor", without_keystone(service.url, service.project))
        for command in commands("karbor"):
            words = spoken(command, known)
            used.append(words[0])
            if "--restore_target" in words:  # this API has no cloud: it gets as far as it can
                assert "restore_target is not supported for this provider. (HTTP 400)" in karbor.refused(*words)
                continue
            if words[0] not in made:
                out = karbor.well(*words)
                if words[0] == "checkpoint-show":
                    assert all(f"| {name} " in out for name in ("consistency", "resources", "chosen", "cost"))
                continue
            id_ = karbor.show(*words)["id"]
            known[made[words[0]]] = id_
            wait.get(words[0], lambda _id: None)(id_)
    assert {"plan-create", "checkpoint-create", "restore-create", "restore-show", "verification-create"} <= set(used)
    assert used.count("restore-create") == 3 and used[-1] == "plan-delete"


def test_every_request_that_the_page_makes_by_hand_is_taken(service):
    api = service.api
    plan = api.plan()
    known = {
        "PROVIDER": service.provider_id,
        "PLAN": plan["id"],
        "KARBOR": "",
        "CHECKPOINT": api.checkpoint(plan)["id"],
    }
    asked = list(commands("ask"))
    for command in asked:
        path, option, body = spoken(command, known)
        assert option == "-d"
        assert api.post(path, json.loads(body))
    assert len(asked) == 3
