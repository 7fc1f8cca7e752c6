#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What does an increment cost: does it follow the change, or the disk?

    tools/bench/increment.py DIR [--sizes 16 256] [--changes 3 64] [--data 256]

Starts a libvirt and a service of its own below DIR, defines a domain without an operating system on a sparse qcow2
disk of each size (GiB), writes ``--data`` MiB of random bytes at places spread over the disk, makes a full checkpoint,
then one increment for each of ``--changes`` (MiB, in runs of 256 KiB spread over the disk) and one with no change. The
guest's writes go through QEMU's own block layer, so the dirty bitmaps see them as they see those of a guest.

Prints one line for each checkpoint: bytes read and stored, seconds of the job, and the peak resident set (VmHWM) of
the service process after it, with the CPU seconds it took.
"""

import argparse
import os
import random
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import libvirt
import libvirt_qemu

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from tools.lab import libvirtd
from tools.quickstart.client import Client
from tools.quickstart.service import Service

MIB, RUN = 1 << 20, 256 << 10
DEVICE = "/machine/peripheral/ua-vda/virtio-backend"
HMP = libvirt_qemu.VIR_DOMAIN_QEMU_MONITOR_COMMAND_HMP
DOMAIN = """<domain type='qemu'><name>{name}</name><memory unit='MiB'>64</memory><vcpu>1</vcpu>
<os><type arch='x86_64' machine='pc'>hvm</type></os><devices>
<disk type='file' device='disk'><driver name='qemu' type='qcow2' cache='writeback' discard='unmap'/>
<source file='{path}'/><target dev='vda' bus='virtio'/><alias name='ua-vda'/></disk>
<controller type='usb' model='none'/><memballoon model='none'/></devices></domain>"""


class Machine:
    """A domain whose disk is written through QEMU's monitor."""

    def __init__(self, connection: Any, path: Path, gib: int) -> None:
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(path), f"{gib}G"], check=True)
        self.size = gib << 30
        self.domain = connection.defineXML(DOMAIN.format(name=path.stem, path=path))
        self.domain.create()
        self.random = random.Random(gib)
        self.source = path.with_suffix(".bytes")

    def write(self, mib: int) -> None:
        """Random bytes, in runs of 256 KiB at places spread evenly over the disk."""
        count = mib * MIB // RUN
        step = self.size // max(1, count)
        for place in range(count):
            offset = place * step + self.random.randrange(0, step - RUN, 4096)
            self.source.write_bytes(self.random.randbytes(RUN))
            command = f'qemu-io -d {DEVICE} "write -s {self.source} {offset} {RUN}"'
            answer = libvirt_qemu.qemuMonitorCommand(self.domain, command, HMP)
            if answer.strip():
                sys.exit(f"the write was refused: {answer.strip()}")

    def remove(self) -> None:
        self.domain.destroy()
        self.domain.undefineFlags(libvirt.VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA)


def measured(pid: int) -> tuple[float, float]:
    """(peak resident MiB, CPU seconds) of a process so far."""
    status = Path(f"/proc/{pid}/status").read_text()
    peak = int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return peak / 1024, (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def protect(client: Client, plan: dict[str, Any]) -> dict[str, Any]:
    """One checkpoint, to its end."""
    path = f"/providers/{plan['provider_id']}/checkpoints"
    asked = client.post(path, {"checkpoint": {"plan_id": plan["id"]}})["checkpoint"]["id"]
    while True:
        found: dict[str, Any] = client.get(f"{path}/{asked}")["checkpoint"]
        if found["status"] == "available":
            return found
        if found["status"] != "protecting":
            sys.exit(f"the checkpoint failed: {found['reason']}")
        time.sleep(0.1)


def seconds(checkpoint: dict[str, Any]) -> float:
    """How long the job took by the service's own times."""
    begin, end = (datetime.fromisoformat(checkpoint[name]) for name in ("created_at", "finished_at"))
    return (end - begin).total_seconds()


def bench(client: Client, pid: int, connection: Any, given: argparse.Namespace, gib: int) -> None:
    """All checkpoints of one disk size."""
    machine = Machine(connection, given.directory / f"disk{gib}.qcow2", gib)
    try:
        machine.write(given.data)
        provider = next(
            found["id"]
            for found in client.get("/providers")["providers"]
            if "Libvirt::Domain" in found["extended_info_schema"]["options_schema"] and found["name"] != "noop"
        )
        resource = {"id": machine.domain.UUIDString(), "type": "Libvirt::Domain", "name": machine.domain.name()}
        body = {"name": "bench", "provider_id": provider, "resources": [resource], "parameters": {}}
        plan = client.post("/plans", {"plan": body})["plan"]
        for change in (None, *given.changes, 0):
            if change:
                machine.write(change)
            before = measured(pid)[1]
            found = protect(client, plan)
            peak, cpu = measured(pid)
            label = f"full, {given.data} MiB of data" if change is None else f"{change} MiB changed"
            sizes = found["sizes"]
            print(
                f"{gib:>5} GiB  {label:<24} {found['mode']:<12} read {sizes['read'] / MIB:9.2f} MiB  "
                f"stored {sizes['stored'] / MIB:9.3f} MiB  {seconds(found):6.2f} s  CPU {cpu - before:6.2f} s  "
                f"peak RSS {peak:6.1f} MiB",
                flush=True,
            )
    finally:
        machine.remove()


def main() -> None:
    """See the module text."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--sizes", type=int, nargs="+", default=[16, 256], help="sizes of disks in GiB")
    parser.add_argument("--changes", type=int, nargs="+", default=[3, 64], help="changes in MiB")
    parser.add_argument("--data", type=int, default=256, help="MiB of data before the full checkpoint")
    given = parser.parse_args()
    given.directory = given.directory.resolve()
    given.directory.mkdir(parents=True, exist_ok=True)
    uri = libvirtd.start(given.directory / "lab")
    try:
        connection = libvirt.open(uri)
        (given.directory / "log").mkdir(exist_ok=True)
        service = Service(given.directory)
        client = Client(service.start(port=0, libvirt_uri=uri))
        try:
            for gib in given.sizes:
                bench(client, service.running() or 0, connection, given, gib)
        finally:
            service.stop()
    finally:
        libvirtd.stop(given.directory / "lab")


if __name__ == "__main__":
    main()
