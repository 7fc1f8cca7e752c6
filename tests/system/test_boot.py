# SPDX-License-Identifier: Apache-2.0
"""Does a guest run from a checkpoint at once, survive the death of what serves it, and become independent? And does a
verification tell whether one comes up?"""

import hashlib
import json
import os
import random
import signal
import subprocess
import time
import uuid

import pytest

from karbor.model.checkpoint import SavedResource
from karbor.model.graph import Node, ResourceGraph
from karbor.model.operation import Job, OperationLog
from karbor.model.resource import Resource, ResourceKey
from karbor.model.verification import Verification
from tests.support import guestlab, servers
from tests.support import rows as make
from tests.support.guestlab import MIB
from tests.support.readinghouse import CHECKPOINT, PROVIDER, ReadingHouse
from tests.support.service import BIN, Daemon
from tools.lab import guest, libvirtd

pytestmark = [pytest.mark.libvirt, pytest.mark.timeout(900)]
DOMAIN, NAME, PATIENCE = str(uuid.UUID(int=7)), "restored", 400
WORKER = """[DEFAULT]
transport_url = kombu+memory:///
enabled_hypervisors = libvirt
[libvirt]
uri = {uri}
[jobs]
poll = 0.2
grace = 2
"""
NOISE = random.Random(1).randbytes(12 * MIB)


@pytest.fixture(scope="module")
def house():
    with servers.directory() as root:
        files = guestlab.guest_files(root / "guest")
        image = root / "disk.img"
        with image.open("wb") as disk:
            disk.truncate(64 * MIB)
        content = root / "content"
        content.mkdir()
        (content / "noise").write_bytes(NOISE)
        subprocess.run(["mke2fs", "-q", "-F", "-t", "ext4", "-d", str(content), str(image)], check=True)
        disk_key = ResourceKey("Libvirt::Disk", str(uuid.UUID(int=8)), DOMAIN)
        domain_key = ResourceKey("Libvirt::Domain", DOMAIN)
        graph = ResourceGraph(
            [
                Node(disk_key, Resource(disk_key.type, disk_key.id, "web/vda", {"target": "vda"}, per_parent=True)),
                Node(domain_key, Resource(domain_key.type, DOMAIN, "web"), (disk_key,)),
            ]
        )
        disk = guest.Disk("vda", str(image), "raw")
        machine = guest.Machine("web", files, (disk,), uuid=DOMAIN, kernel_arguments="ignore_loglevel")
        kept = {"definition": machine.xml(), "name": "web", "method": "offline"}
        kept["disks"] = json.dumps([{"target": "vda", "format": "raw", "size": 64 * MIB, "tracked": False}])
        saved = SavedResource(domain_key.text, "plug-in", kept, {})
        made = ReadingHouse(root, [(disk_key.text, image.read_bytes())], others=[saved], graph=graph.to_dict())
        made.uri = guestlab.start_libvirt(root / "lab")
        yield made
        libvirtd.stop(root / "lab")
        made.close()


def boot(house, *arguments):
    command = [str(BIN / "karbor-manage"), "--config-file", str(house.settings), "checkpoint", "boot", "--json"]
    command += ["--checkpoint", CHECKPOINT, "--name", NAME, "--directory", str(house.root / "disks")]
    return subprocess.Popen([*command, "--uri", house.uri, *arguments], stdout=subprocess.PIPE, text=True)


def test_a_guest_runs_at_once_and_goes_on_after_both_its_helpers_were_killed(house):
    begun = [first := boot(house, "--bandwidth", "1")]
    try:
        told = json.loads(first.stdout.readline())
        json.loads(first.stdout.readline())  # the copy was begun
        first.kill()
        first.wait()
        os.kill(int((house.root / "boots" / told["domain"] / "pid").read_text()), signal.SIGKILL)
        begun.append(second := boot(house))
        connection = guest.connect(house.uri)
        restored = guest.find(connection, NAME)
        assert restored.id == told["domain"] != DOMAIN
        out, _ = second.communicate(timeout=PATIENCE)
        ended = json.loads(out[out.rindex('{\n "domain"') :])
        assert (second.returncode, ended["domain"]) == (0, told["domain"])
        assert not (house.root / "boots" / told["domain"]).exists()
        restored.wait_ready(PATIENCE)
        digest = restored.run("sha256sum /mnt/vda/noise", seconds=PATIENCE).split()[0]
        assert digest == hashlib.sha256(NOISE).hexdigest()
        assert not restored.run("dmesg | grep -i 'I/O error' || true", seconds=PATIENCE).strip()
        xml = restored.domain.XMLDesc()
        assert "nbd" not in xml and xml.count("error_policy='stop'") == 2
        restored.destroy()
        connection.close()
    finally:
        for process in begun:
            process.kill()
            process.wait()
            process.stdout.close()
        wait_for(lambda: not any(house.root.glob("boots/*/nbd.sock")))


@pytest.fixture(scope="module")
def worker(house):
    """karbor-protection on that installation."""
    with house.database.write() as rows:
        rows.checkpoints.transition(CHECKPOINT, "available")
    settings = house.root / "worker.conf"
    settings.write_text(WORKER.format(uri=house.uri))
    daemon = Daemon("karbor-protection", house.settings, house.root / "worker.log", settings).start()
    yield daemon
    daemon.stop()


def verified(house, **options):
    """What came of a verification of the guest with these options."""
    parameters = {"Libvirt::Domain": {"level": "boot", **options}}
    ids = {"project_id": make.PROJECT, "provider_id": PROVIDER, "checkpoint_id": CHECKPOINT}
    with house.database.write() as rows:
        asked = rows.verifications.create(Verification(id=str(uuid.uuid4()), parameters=parameters, **ids))
        job = Job(str(uuid.uuid4()), "verify", verification_id=asked.id, **ids)
        rows.operation_logs.create(OperationLog(job.id, make.PROJECT, "verify"))
        rows.jobs.create(job)

    def found():
        with house.database.read() as rows:
            return rows.verifications.get(asked.id)

    wait_for(lambda: found().status != "in_progress")
    return found()


def test_a_verification_boots_a_copy_of_the_guest_and_leaves_nothing_of_it(house, worker):
    found = verified(house, boot_sign="agent", boot_seconds=PATIENCE)
    assert found.status == "success", (found.resources_reason, found.report)
    assert found.report["level"] == "boot"
    assert found.report["details"][f"Libvirt::Domain#{DOMAIN}"]["came_up"] == "agent"
    assert_nothing_is_left(house)


def test_a_guest_that_gives_no_sign_fails_its_verification_and_not_its_checkpoint(house, worker):
    found = verified(house, boot_sign="console", boot_text="never said", boot_seconds=3)
    assert (found.status, found.report["level"]) == ("fail", "data")
    failed = found.report["failed"][f"Libvirt::Domain#{DOMAIN}"]
    assert "no sign of life within 3 seconds" in failed["reason"]
    assert isinstance(failed["detail"], str)
    with house.database.read() as rows:
        assert rows.checkpoints.get(CHECKPOINT).status == "available"
    assert_nothing_is_left(house)


def test_what_a_guest_says_on_its_console_may_be_the_sign(house, worker):
    found = verified(house, boot_sign="console", boot_text="Linux version", boot_seconds=PATIENCE)
    assert found.status == "success", (found.resources_reason, found.report)
    assert found.report["details"][f"Libvirt::Domain#{DOMAIN}"]["came_up"] == "console"


def assert_nothing_is_left(house):
    connection = guest.connect(house.uri)
    assert not [domain.name() for domain in connection.listAllDomains() if "trial" in domain.name()]
    connection.close()
    for place in ("lent", "libvirt/trials"):
        assert list((house.root / place).iterdir()) == []


def wait_for(done):
    deadline = time.monotonic() + PATIENCE
    while not done():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.1)
