# SPDX-License-Identifier: Apache-2.0
"""Does a guest run from a checkpoint at once, survive the death of what serves it, and become independent?"""

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
from karbor.model.resource import Resource, ResourceKey
from tests.support import guestlab, servers
from tests.support.guestlab import MIB
from tests.support.readinghouse import CHECKPOINT, ReadingHouse
from tests.support.service import BIN
from tools.lab import guest, libvirtd

pytestmark = [pytest.mark.libvirt, pytest.mark.timeout(900)]
DOMAIN, NAME, PATIENCE = str(uuid.UUID(int=7)), "restored", 400
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
        machine = guest.Machine("web", files, (guest.Disk("vda", str(image), "raw"),), uuid=DOMAIN)
        saved = SavedResource(domain_key.text, "plug-in", {"definition": machine.xml(), "name": "web"}, {})
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


def wait_for(done):
    deadline = time.monotonic() + PATIENCE
    while not done():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.1)
