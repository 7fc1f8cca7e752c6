# SPDX-License-Identifier: Apache-2.0
"""Does every checkpoint end right, whenever kill -9 hits the service that makes it?

The embedded service over a libvirt of the test's own. A guest without an operating system is written to before, during
and after; each checkpoint is restored and compared byte by byte with what the disks held when it was asked for.
"""

import random
import tempfile
from pathlib import Path

import pytest

from tests.support.content import Content
from tests.support.qemu_writer import BASED, MIB, QCOW2, RAW, Guest, Host
from tests.support.rest import PAUSE
from tests.support.service import Embedded

pytestmark = [pytest.mark.libvirt, pytest.mark.timeout(600)]
SETTINGS = "[DEFAULT]\nreport_interval = 1\n[jobs]\nlease = 2\npoll = 0.2\ngrace = 2\n"
ROUNDS = 8


@pytest.fixture
def host():
    host = Host()
    yield host
    host.stop()


@pytest.fixture
def short():
    with tempfile.TemporaryDirectory(prefix="kx-", dir="/tmp") as path:
        yield Path(path)


def _scribble(machine, chance):
    """A few writes of every kind, flushed."""
    for target, content in machine.content.items():
        for _ in range(3):
            offset = chance.randrange(0, content.size - MIB, 4096)
            machine.write(target, offset, chance.choice((4096, 65536, MIB)), chance.randrange(1, 256))
        machine.zero(target, chance.randrange(0, content.size - MIB, 4096), 65536, unmap=True)
    machine.flush()


def _restored(service, checkpoint, directory, name):
    """The content of each disk of a checkpoint, as a restore writes it."""
    directory.mkdir()
    options = {"restore_name": name, "directory": str(directory), "disk_format": "raw"}
    restore = service.rest.restore(checkpoint, {"Libvirt::Domain": options})
    assert restore["status"] == "success", restore["resources_reason"]
    return {path.stem.rsplit("-", 1)[1]: path for path in directory.iterdir()}


def _differs(path, expected: Content):
    """Where a raw image holds anything else than ``expected``, in words; None where it does not."""
    found = Content(path.stat().st_size)
    with path.open("rb") as image:
        for at in range(0, found.size, MIB):
            found.put(at, image.read(MIB))
    return found.first_difference(expected)


def test_checkpoints_are_right_whenever_the_service_is_killed(host, short, tmp_path):
    chance = random.Random(20261121)
    machine = Guest(host, tmp_path, {"vda": QCOW2, "vdb": BASED, "vdc": RAW})
    machine.start()
    with Embedded(short / "karbor", libvirt_uri=host.uri, settings=SETTINGS) as service:
        resource = {"id": machine.id, "type": "Libvirt::Domain", "name": machine.name}
        plan = service.rest.plan(service.rest.provider("Libvirt::Domain"), [resource])
        made = []
        for _ in range(ROUNDS):
            _scribble(machine, chance)
            expected = machine.snapshot()
            asked = service.rest.start_checkpoint(plan)
            PAUSE.wait(chance.uniform(0.0, 1.2))  # any moment will do
            if chance.random() < 0.7:
                service.kill()
            else:
                assert service.stop() == 0
            service.start()
            checkpoint = service.rest.checkpoint(plan, asked)
            assert checkpoint["status"] == "available", checkpoint["reason"]
            made.append((checkpoint, expected))
        assert any(checkpoint["mode"] == "incremental" for checkpoint, _ in made)
        for number, (checkpoint, expected) in enumerate(made):
            name = f"{machine.name}-{number}"
            for target, path in _restored(service, checkpoint, tmp_path / f"r{number}", name).items():
                assert _differs(path, expected[target]) is None, (number, target, checkpoint["mode"])
            host.connection().lookupByName(name).undefine()
    machine.remove()


def test_a_restore_that_is_killed_is_gone_on_with(host, short, tmp_path):
    chance = random.Random(7)
    machine = Guest(host, tmp_path, {"vda": QCOW2, "vdc": RAW})
    machine.start()
    _scribble(machine, chance)
    with Embedded(short / "karbor", libvirt_uri=host.uri, settings=SETTINGS) as service:
        resource = {"id": machine.id, "type": "Libvirt::Domain", "name": machine.name}
        provider = service.rest.provider("Libvirt::Domain")
        checkpoint = service.rest.protect(service.rest.plan(provider, [resource]))
        for number in range(3):
            target = tmp_path / f"t{number}"
            target.mkdir()
            options = {"restore_name": f"{machine.name}-{number}", "directory": str(target), "disk_format": "raw"}
            body = {"provider_id": provider, "checkpoint_id": checkpoint["id"]}
            body["parameters"] = {"Libvirt::Domain": options}
            asked = service.rest.post("/restores", {"restore": body})["restore"]["id"]
            PAUSE.wait(chance.uniform(0.0, 0.5))
            service.kill()
            service.start()
            restore = service.rest.wait(f"/restores/{asked}", "restore", ("success", "fail"))
            assert restore["status"] == "success", restore["resources_reason"]
            images = sorted(path for path in target.iterdir())
            assert len(images) == 2, images
            for path in images:
                assert _differs(path, machine.content[path.stem.rsplit("-", 1)[1]]) is None
            host.connection().lookupByName(f"{machine.name}-{number}").undefine()
    machine.remove()
