# SPDX-License-Identifier: Apache-2.0
"""A running guest with three disks, known files in it, and their hashes inside the guest at any time."""

import subprocess
import uuid
from pathlib import Path

from tools.lab import guest

MIB = 1 << 20
LIST = "find /mnt -type f ! -path '*/lost+found/*' ! -name 'free-*' | sort | xargs sha256sum"


def _ext4(path, size, content=None):
    with path.open("wb") as image:
        image.truncate(size)
    extra = ["-d", str(content)] if content else []
    subprocess.run(["mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0", *extra, str(path)], check=True)


def _qcow2(raw, path):
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", str(raw), str(path)], check=True)
    raw.unlink()


def make_disks(root):
    """vda: qcow2 on a base image, vdb: qcow2, vdc: raw; each with an empty ext4."""
    root.mkdir(parents=True, exist_ok=True)
    for name, size in (("base", 128 * MIB), ("data", 256 * MIB), ("raw", 64 * MIB)):
        _ext4(root / f"{name}.img", size)
    _qcow2(root / "base.img", root / "base.qcow2")
    _qcow2(root / "data.img", root / "data.qcow2")
    overlay = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", str(root / "base.qcow2")]
    subprocess.run([*overlay, str(root / "root.qcow2")], check=True)
    return (
        guest.Disk("vda", str(root / "root.qcow2"), "qcow2"),
        guest.Disk("vdb", str(root / "data.qcow2"), "qcow2"),
        guest.Disk("vdc", str(root / "raw.img"), "raw"),
    )


class Story:
    """One guest and what was in it when."""

    def __init__(self, uri, guest_dir, root):
        self.connection = guest.connect(uri)
        self.guest_dir = str(guest_dir)
        self.root = Path(root)
        name = f"k-{uuid.uuid4().hex[:8]}"
        self.guest = guest.define(self.connection, guest.Machine(name, self.guest_dir, make_disks(self.root)))
        self.boot(self.guest)

    @property
    def resource(self):
        return {"id": self.guest.id, "type": "Libvirt::Domain", "name": self.guest.name}

    @staticmethod
    def boot(machine):
        machine.start()
        machine.wait_ready()

    def write(self, label, mib):
        """Write ``mib`` MiB of random bytes to each qcow2 disk and a little to the raw one; returns all hashes."""
        for disk, size in (("vda", mib), ("vdb", mib), ("vdc", 1)):
            self.guest.run(
                f"dd if=/dev/urandom of=/mnt/{disk}/{label} bs=64k count={size * 16} conv=fsync 2>/dev/null && sync"
            )
        return self.hashes(self.guest)

    @staticmethod
    def hashes(machine):
        """Every file's hash, by the path in the guest, as the guest itself sees it."""
        lines = machine.run(LIST, seconds=300).splitlines()
        return {path: digest for digest, path in (line.split(maxsplit=1) for line in lines)}

    def restored(self, name):
        """Boot a restored guest and return its hashes; the guest is removed afterwards."""
        machine = guest.find(self.connection, name)
        assert machine is not None, f"no guest {name}"
        self.boot(machine)
        try:
            return self.hashes(machine)
        finally:
            machine.destroy()
            machine.undefine()

    def close(self):
        self.guest.destroy()
        self.guest.undefine()
        self.connection.close()
