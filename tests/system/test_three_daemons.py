# SPDX-License-Identifier: Apache-2.0
"""Do three daemons over RabbitMQ and MariaDB bring a running guest through kill -9 of the worker and of its QEMU?

And do jobs end right when the broker or the database is gone for a while? KARBOR_CRASH_POINTS=all: for 20 seconds each.
"""

import os
import signal
import time

import pytest

from tests.support import servers
from tests.support.cycle import Story
from tests.support.daemons import Installation
from tests.support.qemu_writer import QCOW2, Guest, Host
from tests.support.rest import PAUSE, Rest

pytestmark = [pytest.mark.system, pytest.mark.libvirt, pytest.mark.timeout(900)]
GONE = 20 if os.environ.get("KARBOR_CRASH_POINTS") == "all" else 3
PROJECT = "5f0c7a1e8a8b4a0e9d53a7a3c1d2e4f6"
PROVIDER = "3f0d4a5e-6c1b-4d0e-9b55-2b1f3a7c9e10"

SETTINGS = f"""[vault]
# Slow on purpose, so that the worker can be killed in the middle of a transfer.
compression_level = 15
threads = 1
[DEFAULT]
auth_strategy = noauth
enabled_hypervisors = libvirt
default_project = {PROJECT}
rpc_answer_timeout = 20
report_interval = 1
[jobs]
lease = 4
poll = 0.5
grace = 5
[libvirt]
uri = """
LIBVIRT_PROVIDER = f"""[provider]
name = kvm
id = {PROVIDER}
plugin = karbor-libvirt-domain-protection-plugin
plugin = karbor-libvirt-disk-protection-plugin
bank = karbor-fs-bank-plugin
enabled = True
[file_system_bank_plugin]
file_system_bank_path = {{root}}/bank
"""


@pytest.fixture(scope="module")
def lab():
    host = Host()
    yield host
    host.stop()


@pytest.fixture(scope="module")
def installation(lab, tmp_path_factory):
    with servers.rabbitmq_server() as broker, servers.mariadb_server() as database:
        root = tmp_path_factory.mktemp("inst") / "i"
        running = Installation(
            root,
            broker=broker.url,
            database=database.url,
            settings=f"{SETTINGS}{lab.uri}\n",
            providers={PROVIDER: LIBVIRT_PROVIDER},
        )
        running.broker, running.database = broker, database
        running.rest = Rest(f"{running.url}/v1/{PROJECT}")
        running.wait_for_provider(running.rest)
        yield running
        running.close()


def _kill_in_mid_transfer(installation, plan, checkpoint_id):
    """kill -9 the worker when it has read something but not everything."""
    path = f"/providers/{PROVIDER}/checkpoints/{checkpoint_id}"
    deadline = time.monotonic() + 120
    while True:
        found = installation.rest.get(path)["checkpoint"]
        progress = found["progress"]
        if 0 < progress["bytes_done"] < progress["bytes_total"] and progress["phase"] == "protect":
            break
        assert found["status"] == "protecting", found
        assert time.monotonic() < deadline, found
        PAUSE.wait(0.05)
    installation.worker.kill()
    assert installation.rest.get(path)["checkpoint"]["status"] == "protecting"
    return progress


def test_the_cycle_survives_a_killed_worker_and_a_killed_qemu(installation, lab, guest_dir, tmp_path):
    story = Story(lab.uri, guest_dir, tmp_path / "disks")
    rest = installation.rest
    plan = rest.plan(PROVIDER, [story.resource], {"Libvirt::Domain": {"quiesce": "required"}})
    try:
        expected = {}

        files = story.write("a", 8)
        first = rest.protect(plan, 300)
        assert first["mode"] == "full" and first["consistency"] == "filesystem"
        expected["first"] = (first, files)

        files = story.write("b", 24)
        checkpoint_id = rest.start_checkpoint(plan)
        _kill_in_mid_transfer(installation, plan, checkpoint_id)
        installation.worker.start()
        second = rest.checkpoint(plan, checkpoint_id, seconds=300)
        assert second["status"] == "available", second
        assert second["mode"] == "incremental" and second["consistency"] == "filesystem"
        expected["second"] = (second, files)

        files = story.write("c", 8)
        os.kill(lab.qemu(story.guest.name), signal.SIGKILL)
        _wait_until(lambda: not story.guest.domain.isActive())
        story.boot(story.guest)
        assert story.hashes(story.guest) == files
        third = rest.protect(plan, 300)
        assert third["consistency"] == "filesystem"
        expected["third"] = (third, files)

        fourth_files = story.write("d", 2)
        fourth = rest.protect(plan, 300)
        assert fourth["mode"] == "incremental"
        expected["fourth"] = (fourth, fourth_files)

        story.guest.destroy()
        for name in expected:
            checkpoint, files = expected[name]
            target = tmp_path / name
            target.mkdir()
            new_name = f"{story.guest.name}-{name}"
            parameters = {"Libvirt::Domain": {"restore_name": new_name, "directory": str(target)}}
            restore = rest.restore(checkpoint, parameters, 300)
            assert restore["status"] == "success", restore
            assert story.restored(new_name) == files
    finally:
        story.close()


@pytest.fixture
def machine(lab, tmp_path):
    machine = Guest(lab, tmp_path, {"vda": QCOW2})
    machine.start()
    yield machine
    machine.remove()


def _fill(machine, seed):
    for number in range(40):
        machine.write("vda", number * 262144, 262144, (seed + number) % 255 + 1)


def _begin(installation, plan):
    """Ask for a checkpoint, and return its id when a worker has it."""
    asked = installation.rest.start_checkpoint(plan)
    path = f"/providers/{PROVIDER}/checkpoints/{asked}"
    _wait_until(lambda: installation.rest.get(path)["checkpoint"]["progress"]["phase"], 120)
    return asked


def test_the_row_is_the_truth_while_the_broker_is_gone(installation, machine):
    rest = installation.rest
    resource = {"id": machine.id, "type": "Libvirt::Domain", "name": machine.name}
    plan = rest.plan(PROVIDER, [resource])
    _fill(machine, 1)
    first = _begin(installation, plan)
    installation.broker.stop()
    try:
        found = rest.checkpoint(plan, first, seconds=300)
        assert found["status"] == "available", found["reason"]
        begun = time.monotonic()
        second = rest.start_checkpoint(plan)  # nobody can be told of it
        print(f"a request without broker was answered after {time.monotonic() - begun:.1f} s")
        found = rest.checkpoint(plan, second, seconds=300)
        assert found["status"] == "available", found["reason"]
    finally:
        installation.broker.start()
    path = f"/protectables/Libvirt::Domain/instances/{machine.id}"
    _wait_until(lambda: _answers(rest, path), 300)  # a question to the workers has an answer again
    assert rest.protect(plan, 300)["mode"] == "incremental"


def test_a_job_outlives_its_database(installation, machine):
    rest = installation.rest
    resource = {"id": machine.id, "type": "Libvirt::Domain", "name": machine.name}
    plan = rest.plan(PROVIDER, [resource])
    _fill(machine, 2)
    asked = _begin(installation, plan)
    installation.database.stop()
    status, answer = rest.send("GET", f"/providers/{PROVIDER}/checkpoints/{asked}")
    assert status == 503, answer
    PAUSE.wait(GONE)  # the fault lasts that long; nothing is waited for
    installation.database.start()
    _wait_until(lambda: rest.send("GET", "/plans")[0] == 200)
    found = rest.checkpoint(plan, asked, seconds=300)
    assert found["status"] == "available", found
    assert rest.protect(plan, 300)["mode"] == "incremental"
    assert machine.domain.jobInfo()[0] == 0


def _answers(rest, path):
    """Whether the API answers well; on a slow machine a question asked too early may outlast the client."""
    try:
        return rest.send("GET", path)[0] == 200
    except OSError:
        return False


def _wait_until(holds, seconds=60):
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        PAUSE.wait(0.1)
