# SPDX-License-Identifier: Apache-2.0
"""Do real NBD clients read an exported checkpoint as it was protected, and does a guest run from it?

One checkpoint of a small ext4 disk, served by ``karbor-manage checkpoint serve``, serves all tests.
"""

import contextlib
import hashlib
import json
import random
import shutil
import signal
import subprocess
import time

import pytest

from karbor.common.clock import Clock
from karbor.db.database import Database
from karbor.model.checkpoint import CheckpointRecord, SavedResource
from karbor.plugins.banks.filesystem import FilesystemBank
from karbor.vault.keys import MasterKey
from karbor.vault.vault import Vault
from tests.support import guestlab, servers
from tests.support import rows as make
from tests.support.guestlab import MIB, BytesReader
from tests.support.readinghouse import CHECKPOINT, PROVIDER, PROVIDER_FILE, SETTINGS
from tests.support.service import BIN
from tools.lab import guest, libvirtd

pytestmark = [pytest.mark.libvirt, pytest.mark.timeout(600)]
KEY = "OS::Libvirt::Disk#vda@guest"
PATIENCE = 300


class Place:
    """An installation with one checkpoint of one disk. ``image`` is the disk as it was, ``files`` what lies on it."""

    def __init__(self, root):
        self.root = root
        (root / "providers.d").mkdir()
        (root / "providers.d" / "kvm.conf").write_text(PROVIDER_FILE.format(root=root, id=PROVIDER))
        (root / "karbor.conf").write_text(SETTINGS.format(root=root))
        self.image, self.files = root / "disk.img", {}
        self._make_disk()
        self._protect()

    def _make_disk(self):
        content = self.root / "content"
        content.mkdir()
        for name, data in (("noise", random.Random(1).randbytes(5 * MIB)), ("text", b"written before\n" * 90_000)):
            (content / name).write_bytes(data)
            self.files[name] = hashlib.sha256(data).hexdigest()
        with self.image.open("wb") as image:
            image.truncate(64 * MIB)
        subprocess.run(["mke2fs", "-q", "-F", "-t", "ext4", "-d", str(content), str(self.image)], check=True)

    def _protect(self):
        bank = FilesystemBank(FilesystemBank.Settings(file_system_bank_path=str(self.root / "bank")))
        bank.initialise()
        key = MasterKey.create(self.root / "master.key")
        vault = Vault(bank, master_key=key, cache_dir=self.root / "writer", clock=Clock())
        domain = vault.domain(make.PROJECT)
        stream = domain.write_stream(BytesReader(self.image.read_bytes()), advance=lambda _: None)
        saved = SavedResource(KEY, "plug-in", {}, {"disk": stream.id})
        record = CheckpointRecord(CHECKPOINT, make.PROJECT, PROVIDER, {}, {}, (saved,), "2024-01-01T00:00:00")
        domain.put_record("checkpoint", CHECKPOINT, record.to_dict())
        vault.close()
        database = Database(f"sqlite:///{self.root}/karbor.sqlite", clock=Clock())
        database.upgrade()
        with database.write() as rows:
            rows.plans.create(make.plan())
            rows.checkpoints.create(make.checkpoint(id=CHECKPOINT, provider_id=PROVIDER))
        database.dispose()

    @contextlib.contextmanager
    def served(self, *arguments):
        """Run the command; what it says of the one stream. It has ended, as told, when the block is left."""
        command = [str(BIN / "karbor-manage"), "--json", "--config-file", str(self.root / "karbor.conf")]
        command += ["checkpoint", "serve", "--checkpoint", CHECKPOINT, *arguments]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            yield json.loads(process.stdout.readline())
            process.send_signal(signal.SIGTERM)
            ended, _ = process.communicate(timeout=PATIENCE)
            assert (process.returncode, json.loads(ended)) == (0, {"ended": "as told"})
        finally:
            process.kill()
            process.communicate()


@pytest.fixture(scope="module")
def place():
    with servers.directory() as root:
        yield Place(root)


@pytest.fixture(scope="module")
def uri(place):
    with place.served("--resource", KEY, "--stream", "disk", "--socket", str(place.root / "nbd.sock")) as entry:
        assert (entry["resource"], entry["stream"], entry["size"]) == (KEY, "disk", 64 * MIB)
        yield entry["uri"]
    assert not (place.root / "nbd.sock").exists()


def output_of(*command):
    return subprocess.run([*map(str, command)], check=True, capture_output=True, text=True, timeout=PATIENCE).stdout


def test_qemu_img_reads_what_was_protected_and_only_what_is_no_hole(place, uri):
    output_of("qemu-img", "compare", "-f", "raw", "-F", "raw", uri, place.image)
    target = place.root / "converted.qcow2"
    output_of("qemu-img", "convert", "-f", "raw", "-O", "qcow2", uri, target)
    output_of("qemu-img", "compare", "-f", "raw", "-F", "qcow2", uri, target)
    told = json.loads(output_of("qemu-img", "map", "--output=json", "-f", "raw", uri))
    data = sum(entry["length"] for entry in told if entry["data"])
    assert 5 * MIB < data < 16 * MIB
    assert sum(entry["length"] for entry in told) == 64 * MIB


@pytest.mark.skipif(not shutil.which("nbdcopy"), reason="libnbd-bin is not installed")
def test_libnbd_reads_what_was_protected_over_several_connections(place, uri):
    told = json.loads(output_of("nbdinfo", "--json", uri))["exports"][0]
    assert (told["is_read_only"], told["can_multi_conn"], told["export-size"]) == (True, True, 64 * MIB)
    target = place.root / "copied.img"
    output_of("nbdcopy", "--connections=4", uri, target)
    assert target.read_bytes() == place.image.read_bytes()
    assert target.stat().st_blocks * 512 < 32 * MIB


def test_a_guest_runs_from_a_checkpoint_and_becomes_independent_of_it_while_it_runs(place, uri):
    overlay = place.root / "overlay.qcow2"
    output_of("qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", uri, overlay)
    files = guestlab.guest_files(place.root / "guest")
    address = guestlab.start_libvirt(place.root / "lab")
    try:
        connection = guest.connect(address)
        demo = guest.define(connection, guest.Machine("restored", files, (guest.Disk("vda", str(overlay), "qcow2"),)))
        demo.start()
        demo.wait_ready(PATIENCE)
        for name, digest in place.files.items():
            assert demo.run(f"sha256sum /mnt/vda/{name}", seconds=PATIENCE).split()[0] == digest
        demo.run("echo local > /mnt/vda/new; sync", seconds=PATIENCE)
        demo.domain.blockPull("vda", 0, 0)
        wait_for(lambda: not demo.domain.blockJobInfo("vda", 0))
        told = json.loads(output_of("qemu-img", "info", "--force-share", "--output=json", overlay))
        assert "backing-filename" not in told
        demo.run("echo 3 > /proc/sys/vm/drop_caches; grep -q local /mnt/vda/new", seconds=PATIENCE)
        assert demo.run("sha256sum /mnt/vda/noise", seconds=PATIENCE).split()[0] == place.files["noise"]
        demo.destroy()
        connection.close()
    finally:
        libvirtd.stop(place.root / "lab")
    # The guest wrote beside the checkpoint, not into it.
    output_of("qemu-img", "compare", "-f", "raw", "-F", "raw", uri, place.image)


def test_an_export_ends_after_its_time_on_a_port(place):
    command = [str(BIN / "karbor-manage"), "--config-file", str(place.root / "karbor.conf"), "checkpoint", "serve"]
    said = output_of(*command, "--checkpoint", CHECKPOINT, "--port", "0", "--timeout", "0.1")
    assert "uri: nbd://127.0.0.1:" in said
    assert said.endswith("ended: after its time\n")


def wait_for(done):
    deadline = time.monotonic() + PATIENCE
    while not done():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.1)
