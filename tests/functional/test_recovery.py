# SPDX-License-Identifier: Apache-2.0
"""Does an operator get everything back with the commands at hand: a lost database, a lost bank?

The real programs, with two providers of the noop plug-in and a directory bank each.
"""

import json
import subprocess
import uuid

import pytest

from karbor.plugins.banks.filesystem import FilesystemBank
from tests.support.service import BIN, Embedded

RESOURCE = {"id": str(uuid.uuid4()), "type": "OS::Nova::Server", "name": "vm"}
NOOP = "b766f37c-d011-4026-8228-28730d734a3f"
SECOND = "0d9f6a52-3c1b-4f6e-8a77-10a2b3c4d5e6"
QUICK = "[DEFAULT]\nreport_interval = 1\n[jobs]\nlease = 2\npoll = 0.2\ngrace = 2\n"
FILE = """[provider]
name = second
id = {id}
plugin = karbor-noop-protection-plugin
bank = karbor-fs-bank-plugin
enabled = True

[file_system_bank_plugin]
file_system_bank_path = {bank}
"""


class Site(Embedded):
    """The service with a second provider."""

    def begin(self):
        bank = self.state_dir / "bank" / "second"
        bank.mkdir(parents=True)
        FilesystemBank(FilesystemBank.Settings(file_system_bank_path=str(bank))).initialise()
        (self.state_dir / "providers.d").mkdir()
        (self.state_dir / "providers.d" / "second.conf").write_text(FILE.format(id=SECOND, bank=bank))
        return self.start()

    def manage(self, *words):
        command = [str(BIN / "karbor-manage"), "--config-file", str(self.state_dir / "karbor.conf"), *words, "--json"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def lose_the_database(self):
        self.stop()
        for path in self.state_dir.glob("karbor.sqlite*"):
            path.unlink()
        self.start()


@pytest.fixture
def site(tmp_path):
    found = Site(tmp_path / "karbor", libvirt_uri="test:///default", settings=QUICK)
    try:
        yield found.begin()
    finally:
        found.__exit__()


def test_lists_plans_and_restores_come_back_from_a_copy_after_bank_and_database_are_lost(site):
    plan = site.rest.plan(NOOP, [RESOURCE])
    source = site.rest.protect(plan)
    body = {"copy": {"plan_id": plan["id"], "target_provider_id": SECOND}}
    status, answer = site.rest.send("POST", f"/providers/{NOOP}/checkpoints/action", body)
    assert status == 200, answer
    (pair,) = answer["copy"]["checkpoint_id"]
    assert pair["checkpoint_protect_id"] == source["id"]
    path = f"/providers/{SECOND}/checkpoints/{pair['checkpoint_copy_id']}"
    copy = site.rest.wait(path, "checkpoint", ("available", "error"))
    assert copy["status"] == "available" and json.loads(copy["extra_info"])["copy_status"] == "finished"

    site.lose_the_database()
    for file in sorted((site.state_dir / "bank" / "noop").rglob("*"), reverse=True):
        file.unlink() if file.is_file() else file.rmdir()
    assert site.rest.get("/plans")["plans"] == [] == site.rest.get(f"/providers/{SECOND}/checkpoints")["checkpoints"]
    told = site.manage("catalog", "rebuild", "--provider", SECOND, "--dry-run")
    assert told["counts"] == {"checkpoints restored": 1, "plans restored": 1}
    assert site.rest.get("/plans")["plans"] == []
    assert site.manage("catalog", "rebuild", "--provider", SECOND) == told
    assert [found["id"] for found in site.rest.get("/plans")["plans"]] == [plan["id"]]
    (found,) = site.rest.get(f"/providers/{SECOND}/checkpoints")["checkpoints"]
    assert json.loads(found["extra_info"]) == json.loads(copy["extra_info"])
    same = ("id", "status", "protection_plan", "resource_graph", "created_at", "sizes")
    assert {name: found[name] for name in same} == {name: copy[name] for name in same}

    wanted = {"restore": {"provider_id": SECOND, "checkpoint_id": copy["id"], "dry_run": True}}
    status, answer = site.rest.send("POST", "/restores", wanted)
    assert status == 200 and answer["restore_plan"]["keeps"][0]["id"] == RESOURCE["id"], answer
    assert site.rest.get("/restores")["restores"] == []
    restore = site.rest.post("/restores", {"restore": {**wanted["restore"], "dry_run": False}})["restore"]
    assert site.rest.wait(f"/restores/{restore['id']}", "restore", ("success", "fail"))["status"] == "success"
    assert site.manage("job", "list") == []
