#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What memory does the whole service hold while it saves and restores several disks at once?

    tools/bench/vault_memory.py DIR [--size 1024] [--data 900] [--disks 2] [--together]

Starts a libvirt and a service (``karbor-all-in-one``: API, engine and worker in one process) of its own below DIR, and
defines domains without an operating system, each on a qcow2 disk with content of ``disk.py``. All are saved at the same
time, twice, with 5 % changed in between, and restored at the same time. ``--together``: one domain with all the disks.

Prints for each step the most memory (MiB) that the process had resident in it: the kernel's own figure (VmHWM), begun
anew before the step; and what was resident when it had ended.
"""

import argparse
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import libvirt

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from tools.bench import disk as disks
from tools.bench.increment import HMP, libvirt_qemu, protect
from tools.bench.vault import MIB
from tools.lab import libvirtd
from tools.quickstart.client import Client
from tools.quickstart.service import Service

DOMAIN = """<domain type='qemu'><name>{name}</name><memory unit='MiB'>64</memory><vcpu>1</vcpu>
<os><type arch='x86_64' machine='pc'>hvm</type></os><devices>{disks}
<controller type='usb' model='none'/><memballoon model='none'/></devices></domain>"""
DISK = """<disk type='file' device='disk'><driver name='qemu' type='qcow2' cache='writeback' discard='unmap'/>
<source file='{path}'/><target dev='{target}' bus='virtio'/><alias name='ua-{target}'/></disk>"""


class Machine:
    """A running domain with disks, and what was last written to each."""

    def __init__(self, connection: libvirt.virConnect, name: str, originals: Sequence[Path]) -> None:
        self.originals = dict(zip((f"vd{letter}" for letter in "abcdefgh"), originals, strict=False))
        parts = []
        for target, original in self.originals.items():
            path = original.with_name(f"{name}-{target}.qcow2")
            subprocess.run(["qemu-img", "convert", "-O", "qcow2", original, path], check=True)
            parts.append(DISK.format(path=path, target=target))
        self.domain = connection.defineXML(DOMAIN.format(name=name, disks="".join(parts)))
        self.domain.create()

    def change(self, source: Path) -> None:
        """Let the guest write 5 % of each disk anew."""
        for target, original in self.originals.items():
            scratch = original.with_suffix(".scratch")
            for offset, length in disks.rewrite_part(original, 0.05, seed=2, source=source):
                with original.open("rb") as content:
                    content.seek(offset)
                    scratch.write_bytes(content.read(length))
                device = f"/machine/peripheral/ua-{target}/virtio-backend"
                command = f'qemu-io -d {device} "write -s {scratch} {offset} {length}"'
                answer = libvirt_qemu.qemuMonitorCommand(self.domain, command, HMP)
                if answer.strip():
                    sys.exit(f"the write was refused: {answer.strip()}")


def restore(client: Client, checkpoint: dict[str, Any], name: str, target: Path) -> None:
    """Restore a checkpoint to another name, to its end."""
    target.mkdir()
    options = {"Libvirt::Domain": {"restore_name": name, "directory": str(target)}}
    plan = checkpoint["protection_plan"]
    body = {"provider_id": plan["provider_id"], "checkpoint_id": checkpoint["id"], "parameters": options}
    asked = client.post("/restores", {"restore": body})["restore"]["id"]
    while (found := client.get(f"/restores/{asked}")["restore"])["status"] != "success":
        if found["status"] == "fail":
            sys.exit(f"the restore failed: {found['resources_reason']}")
        time.sleep(0.1)


def resident(pid: int, word: str) -> float:
    """MiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(word)) / 1024


def watched(pid: int, name: str, calls: Sequence[Callable[[], Any]]) -> list[Any]:
    """Do things at the same time; print what memory the process held meanwhile."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")  # the kernel begins its highest figure anew
    begun = time.monotonic()
    with ThreadPoolExecutor(max(1, len(calls))) as pool:
        found = [asked.result() for asked in [pool.submit(call) for call in calls]]
    wall = time.monotonic() - begun
    print(f"{name:<12} {resident(pid, 'VmHWM'):>8.0f} {resident(pid, 'VmRSS'):>10.0f} {wall:>8.1f}", flush=True)
    return found


def bench(place: Path, given: argparse.Namespace, stack: ExitStack) -> None:
    """Every step."""
    originals = [place / f"original{number}.raw" for number in range(given.disks)]
    for number, original in enumerate(originals):
        disks.create(original, size=given.size * MIB, data=given.data * MIB, seed=number + 1, source=given.source)
    uri = libvirtd.start(place / "lab")
    stack.callback(libvirtd.stop, place / "lab")
    connection = libvirt.open(uri)
    (place / "log").mkdir()
    service = Service(place)
    client = Client(service.start(port=0, libvirt_uri=uri))
    stack.callback(service.stop)
    pid = service.running() or 0
    groups = [originals] if given.together else [[original] for original in originals]
    machines = [Machine(connection, f"guest{number}", group) for number, group in enumerate(groups)]
    for machine in machines:
        stack.callback(machine.domain.destroy)
    provider = next(found["id"] for found in client.get("/providers")["providers"] if found["name"] == "libvirt")
    plans = []
    for machine in machines:
        resource = {"id": machine.domain.UUIDString(), "type": "Libvirt::Domain", "name": machine.domain.name()}
        body = {"name": "bench", "provider_id": provider, "resources": [resource], "parameters": {}}
        plans.append(client.post("/plans", {"plan": body})["plan"])
    print(f"{'step':<12} {'peak MiB':>8} {'then MiB':>10} {'wall s':>8}")
    watched(pid, "idle", [lambda: time.sleep(2)])
    saves: list[Callable[[], Any]] = [lambda plan=plan: protect(client, plan) for plan in plans]
    watched(pid, "full", saves)
    for machine in machines:
        machine.change(given.source)
    made = watched(pid, "5 % changed", saves)
    watched(pid, "restore", [
        lambda found=found, number=number: restore(client, found, f"again{number}", place / f"again{number}")
        for number, found in enumerate(made)
    ])  # fmt: skip


def main() -> None:
    """See the module text."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--size", type=int, default=1024, help="MiB")
    parser.add_argument("--data", type=int, default=900, help="MiB")
    parser.add_argument("--disks", type=int, default=2, choices=range(1, 9))
    parser.add_argument("--together", action="store_true", help="all disks are those of one domain")
    parser.add_argument("--source", type=Path, default=Path("/usr"), help="files to fill the disks with")
    given = parser.parse_args()
    place = given.directory.resolve() / "memory-bench"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    try:
        with ExitStack() as stack:
            bench(place, given, stack)
    finally:
        shutil.rmtree(place)


if __name__ == "__main__":
    main()
