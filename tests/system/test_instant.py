# SPDX-License-Identifier: Apache-2.0
"""Does a restored guest run before its disks are here, whoever of its helpers dies, and is nothing left of one that was
cancelled?

The guest has no operating system: what counts is that QEMU runs (as a user of its own), and what its disks hold. Slow
copies give the test time to kill; that they are slow proves nothing.
"""

import json
import os
import signal
import subprocess
import tempfile
from pathlib import Path

import pytest

from karbor.virt import qemuimg
from tests.support.content import Content
from tests.support.qemu_writer import MIB, QCOW2, RAW, Guest, Host
from tests.support.service import Embedded

pytestmark = [pytest.mark.libvirt, pytest.mark.timeout(600)]
SETTINGS = "[DEFAULT]\nreport_interval = 1\n[jobs]\nlease = 2\npoll = 0.2\ngrace = 2\n"
PATIENCE = 300


class Trial:
    """A service with one checkpoint of a guest with two disks."""

    def __init__(self, root):
        self.root = root
        self.host = Host()
        self.machine = Guest(self.host, root, {"vda": QCOW2, "vdc": RAW})
        for path in self.machine.paths.values():
            Path(path).chmod(0o600)
        self.machine.start()
        for at in range(4):
            self.machine.write("vda", 2 * at * MIB, MIB, at + 1)
        self.machine.write("vdc", 0, 2 * MIB, 9)
        self.service = Embedded(root / "karbor", libvirt_uri=self.host.uri, settings=SETTINGS).start()
        self.provider = self.service.rest.provider("Libvirt::Domain")
        resource = {"id": self.machine.id, "type": "Libvirt::Domain", "name": self.machine.name}
        self.checkpoint = self.service.rest.protect(self.service.rest.plan(self.provider, [resource]))

    def close(self):
        self.service.kill()
        self.host.stop()

    def begin(self, name, **options):
        """Ask for an instant restore; (its path, the id of its guest) when that runs."""
        target = self.root / name
        target.mkdir()
        given = {"restore_name": name, "directory": str(target), "instant": True, **options}
        body = {"provider_id": self.provider, "checkpoint_id": self.checkpoint["id"]}
        asked = self.service.rest.post("/restores", {"restore": {**body, "parameters": {"Libvirt::Domain": given}}})
        path = f"/restores/{asked['restore']['id']}"
        self.service.rest.wait_for(lambda: self.shown(path) is not None, PATIENCE)
        return path, self.shown(path).partition("#")[2]

    def shown(self, path):
        """The resource that is shown as being restored; None so far. A restore that fails says why."""
        found = self.service.rest.get(path)["restore"]
        assert found["status"] != "fail", found["resources_reason"]
        return next((key for key, status in found["resources_status"].items() if status == "restoring"), None)

    def ended(self, path):
        return self.service.rest.wait(path, "restore", ("success", "fail"), PATIENCE)

    def lent(self):
        return sorted((self.root / "karbor" / "lent").iterdir())

    def content(self, path):
        """What a disk image holds, and that it needs no other."""
        assert qemuimg.info(str(path), "qcow2").backing is None
        raw = path.with_suffix(".raw")
        subprocess.run(["qemu-img", "convert", "-U", "-f", "qcow2", "-O", "raw", path, raw], check=True)
        found = Content(raw.stat().st_size)
        with raw.open("rb") as image:
            for at in range(0, found.size, MIB):
                found.put(at, image.read(MIB))
        return found


@pytest.fixture(scope="module")
def trial():
    with tempfile.TemporaryDirectory(prefix="kq-", dir="/tmp") as path:
        Path(path).chmod(0o711)
        made = Trial(Path(path))
        yield made
        made.close()


def test_a_guest_runs_at_once_and_its_restore_survives_the_death_of_worker_and_lender(trial):
    path, guest = trial.begin("one", bandwidth=1)
    pid = trial.host.qemu("one")
    assert "needs the checkpoint" in json.dumps(trial.service.rest.get(path)["restore"]["resources_reason"])
    trial.service.kill()
    os.kill(int((trial.lent()[0] / "pid").read_text()), signal.SIGKILL)
    trial.service.start()
    restore = trial.ended(path)
    assert restore["status"] == "success", restore["resources_reason"]
    progress = restore["progress"]  # of the last worker, which may have found nothing left to copy
    assert progress["bytes_done"] == progress["bytes_total"] and progress["bytes_total"] in (0, 18 * MIB)
    assert restore["resources_status"][f"Libvirt::Domain#{guest}"] == "available"
    assert (trial.host.qemu("one"), trial.lent()) == (pid, [])
    for target, expected in trial.machine.content.items():
        assert trial.content(trial.root / "one" / f"one-{target}.qcow2").first_difference(expected) is None
    trial.host.connection().lookupByUUIDString(guest).destroy()


def test_of_an_instant_restore_that_is_cancelled_nothing_is_left(trial):
    path, guest = trial.begin("two", bandwidth=1)
    trial.service.rest.post(f"{path}/action", {"cancel": {}})
    restore = trial.ended(path)
    assert restore["status"] == "fail" and "cancelled" in json.dumps(restore["resources_reason"])
    assert guest not in [domain.UUIDString() for domain in trial.host.connection().listAllDomains()]
    assert (list((trial.root / "two").iterdir()), trial.lent()) == ([], [])
