# SPDX-License-Identifier: Apache-2.0
"""Does the embedded service start from nothing, refuse what is wrong, and go on where it stopped?

Each test runs the real program with the noop provider; no guest and no libvirt are needed.
"""

import json
import shutil
import subprocess
import uuid

import pytest

from tests.support.service import BIN, Embedded

RESOURCE = {"id": str(uuid.uuid4()), "type": "OS::Nova::Server", "name": "vm"}
NOOP = "b766f37c-d011-4026-8228-28730d734a3f"
QUICK = "[DEFAULT]\nreport_interval = 1\n[jobs]\nlease = 2\npoll = 0.2\ngrace = 2\n"


@pytest.fixture
def service(tmp_path):
    with Embedded(tmp_path / "karbor", libvirt_uri="test:///default", settings=QUICK) as running:
        yield running


@pytest.fixture(scope="module")
def lasting(tmp_path_factory):
    """One service for all tests that change nothing."""
    root = tmp_path_factory.mktemp("lasting")
    with Embedded(root / "karbor", libvirt_uri="test:///default", settings=QUICK) as running:
        yield running


def _plan(rest):
    return rest.plan(NOOP, [RESOURCE])


def _message(answer):
    status, body = answer
    return status, next(iter(body.values()))["message"]


def test_protect_restore_and_delete_with_the_noop_provider(service):
    plan = _plan(service.rest)
    checkpoint = service.rest.protect(plan)
    assert checkpoint["protection_plan"]["id"] == plan["id"]
    assert service.rest.restore(checkpoint, {})["status"] == "success"
    path = f"/providers/{NOOP}/checkpoints"
    assert [found["id"] for found in service.rest.get(path)["checkpoints"]] == [checkpoint["id"]]
    assert service.rest.send("DELETE", f"{path}/{checkpoint['id']}")[0] in (200, 202, 204)
    service.rest.wait(f"{path}/{checkpoint['id']}", "checkpoint", ("deleted", "error-deleting"))
    assert service.rest.get(path)["checkpoints"] == []
    command = [BIN / "karbor-manage", "--config-file", service.state_dir / "karbor.conf", "bank", "clean", "--provider"]
    cleaned = subprocess.run([*command, NOOP, "--json", "--grace", "0"], capture_output=True, text=True, timeout=120)
    assert cleaned.returncode == 0, cleaned.stderr
    found = json.loads(cleaned.stdout)
    assert (found["entries"], found["counts"]["domains"], found["counts"]["leases"]) == ([], 1, 0)
    logs = service.rest.get("/operation_logs")["operation_logs"]
    assert sorted(log["operation_type"] for log in logs) == ["delete", "protect", "restore"]
    assert all(log["ended_at"] for log in logs)
    service.stop()
    ended = "\n".join(line for line in service.log().splitlines() if "job ended" in line)
    assert all(f" {log['request_id']} " in ended for log in logs)  # whoever has the id of a request finds its work


def test_a_checkpoint_is_verified_and_damage_is_found_by_tenant_and_operator(service):
    checkpoint = service.rest.protect(_plan(service.rest))
    path = f"/providers/{NOOP}/checkpoints/{checkpoint['id']}"
    assert service.rest.verify(checkpoint, {"OS::Nova::Server": {"level": "quick"}})["status"] == "success"
    shown = service.rest.get(path)["checkpoint"]
    assert shown["verified_at"] and (shown["verified_level"], shown["status"]) == ("quick", "available")

    def check():
        settings = str(service.state_dir / "karbor.conf")
        command = [
            BIN / "karbor-manage",
            "--config-file",
            settings,
            "bank",
            "check",
            "--provider",
            NOOP,
            "--level",
            "data",
        ]
        return subprocess.run([*map(str, command), "--json"], capture_output=True, text=True, timeout=120)

    sound = check()
    assert sound.returncode == 0 and json.loads(sound.stdout)["sound"], sound.stdout + sound.stderr
    (record,) = (service.state_dir / "bank" / "noop").glob(f"*/d/*/record/checkpoint/{checkpoint['id']}")
    data = record.read_bytes()
    record.chmod(0o600)
    record.write_bytes(data[:99] + bytes([data[99] ^ 1]) + data[100:])
    damaged = check()
    assert damaged.returncode == 1 and checkpoint["id"] in damaged.stdout
    assert service.rest.verify(checkpoint, {})["status"] == "fail"
    shown = service.rest.get(path)["checkpoint"]
    assert shown["status"] == "error" and "record" in shown["reason"]["cause"]


def test_a_second_start_goes_on_where_the_first_stopped(service):
    checkpoint = service.rest.protect(_plan(service.rest))
    first = service.rest.url.rsplit("/", 1)[1]
    assert service.stop() == 0
    service.start()
    assert service.rest.url.rsplit("/", 1)[1] == first
    listed = service.rest.get(f"/providers/{NOOP}/checkpoints")["checkpoints"]
    assert [found["id"] for found in listed] == [checkpoint["id"]]
    assert service.rest.restore(checkpoint, {})["status"] == "success"


def test_a_service_whose_directory_was_removed_ends_when_it_is_told_to(service):
    shutil.rmtree(service.state_dir)  # nothing can be logged any more
    service.stop()


def test_a_killed_service_finishes_what_was_asked_for(service):
    plan = _plan(service.rest)
    asked = [service.rest.start_checkpoint(plan) for _ in range(5)]
    service.kill()
    service.start()
    assert {service.rest.checkpoint(plan, one)["status"] for one in asked} == {"available"}


def test_a_second_service_on_the_same_directory_is_refused(service):
    other = subprocess.run(service.arguments, capture_output=True, text=True, timeout=60)
    assert other.returncode != 0
    assert "Another karbor-all-in-one uses" in other.stderr


def test_a_missing_bank_is_shown_and_never_made_anew(service):
    plan = _plan(service.rest)
    service.stop()
    bank = service.state_dir / "bank" / "noop"
    shutil.move(bank, bank.with_suffix(".away"))
    service.start()
    status, message = _message(service.rest.send("GET", f"/providers/{NOOP}/checkpoints"))
    assert status == 503 and "bank" in message.lower()
    body = {"checkpoint": {"plan_id": plan["id"]}}
    assert service.rest.send("POST", f"/providers/{NOOP}/checkpoints", body)[0] == 503
    assert not bank.exists()
    shutil.move(bank.with_suffix(".away"), bank)
    service.stop()
    service.start()
    assert service.rest.protect(plan)["status"] == "available"


def test_another_bank_in_the_place_of_the_old_one_is_refused(service):
    plan = _plan(service.rest)
    service.rest.protect(plan)
    service.stop()
    root = service.state_dir
    shutil.rmtree(root / "bank" / "noop")
    shutil.copytree(root / "bank" / "libvirt", root / "bank" / "noop")
    service.start()
    status, message = _message(
        service.rest.send("POST", f"/providers/{NOOP}/checkpoints", {"checkpoint": {"plan_id": plan["id"]}})
    )
    assert status == 503 and "not the one" in message


def test_a_missing_key_is_shown_and_never_made_anew(service):
    plan = _plan(service.rest)
    service.stop()
    key = service.state_dir / "master.key"
    away = key.rename(key.with_suffix(".away"))
    service.start()
    body = {"checkpoint": {"plan_id": plan["id"]}}
    status, message = _message(service.rest.send("POST", f"/providers/{NOOP}/checkpoints", body))
    assert status == 503 and "key" in message.lower()
    assert not key.exists()
    assert service.rest.get(f"/providers/{NOOP}")["provider"]["name"] == "noop"
    away.rename(key)


def test_a_key_that_others_may_read_is_refused(service):
    plan = _plan(service.rest)
    service.stop()
    (service.state_dir / "master.key").chmod(0o644)
    service.start()
    body = {"checkpoint": {"plan_id": plan["id"]}}
    status, message = _message(service.rest.send("POST", f"/providers/{NOOP}/checkpoints", body))
    assert status == 503 and "open to others" in message


def test_noauth_refuses_to_listen_beyond_loopback(tmp_path):
    outside = Embedded(tmp_path / "karbor", settings=QUICK + "[DEFAULT]\nosapi_karbor_listen = 0.0.0.0\n")
    ended = subprocess.run(outside.arguments, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1
    assert "may not listen on 0.0.0.0" in ended.stderr and "osapi_karbor_listen = 127.0.0.1" in ended.stderr


def test_a_broken_provider_file_leaves_the_others_at_work(service):
    service.stop()
    (service.state_dir / "providers.d" / "broken.conf").write_text("[provider]\nname = x\nenabled = True\n")
    service.start()
    assert {found["name"] for found in service.rest.get("/providers")["providers"]} == {"libvirt", "noop"}
    assert "broken.conf" in service.log()


def _wrong(**changes):
    """The body of a plan that differs from a right one."""
    return {"plan": {"name": "p", "provider_id": NOOP, "resources": [RESOURCE], "parameters": {}, **changes}}


WRONG_PLANS = {
    "empty": (None, b"", 400),
    "not-json": (None, b"{", 400),
    "10-MB": (None, b'{"plan": ' + b" " * 10_000_000 + b"{}}", 413),
    "unknown-field": (_wrong(more=1), None, 400),
    "no-resources": (_wrong(resources=[]), None, 400),
    "unknown-provider": (_wrong(provider_id=str(uuid.uuid4())), None, 400),
    "dotdot-id": (_wrong(resources=[{**RESOURCE, "id": "../../etc"}]), None, 400),
    "unknown-domain": (_wrong(resources=[{**RESOURCE, "type": "Libvirt::Domain"}]), None, 400),
}


@pytest.mark.parametrize(("body", "raw", "status"), WRONG_PLANS.values(), ids=WRONG_PLANS.keys())
def test_a_wrong_plan_is_refused_and_leaves_nothing(lasting, body, raw, status):
    got, answer = lasting.rest.send("POST", "/plans", body, raw=raw)
    assert got == status, answer
    assert next(iter(answer.values()))["code"] == status
    assert lasting.rest.get("/plans")["plans"] == []


def test_the_commands_for_operators_work_on_the_embedded_settings(service):
    service.rest.protect(_plan(service.rest))
    settings = str(service.state_dir / "karbor.conf")

    def manage(*words):
        command = [str(BIN / "karbor-manage"), "--config-file", settings, *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=60)

    assert "karbor-protection" in manage("service", "list").stdout
    assert manage("db", "sync").returncode == 0
    refused = manage("key", "create")
    assert refused.returncode != 0 and "exists already" in refused.stderr
    check = subprocess.run(
        [str(BIN / "karbor-status"), "--config-file", settings, "upgrade", "check"], capture_output=True, text=True
    )
    assert check.returncode == 0, check.stdout + check.stderr
