#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What does it cost to save the disk of a running guest: the whole service beside virtnbdbackup?

    tools/bench/vault_guest.py DIR [--size 4096] [--data 2048] [--rounds 1]

Starts a libvirt and a service of its own below DIR, and defines for each tool a domain without an operating system on a
qcow2 disk with the content of ``disk.py``. The states of the disk are those of ``vault.py``; the guest's writes go
through QEMU's own block layer, so that the dirty bitmaps see them. The tools take turns.

Prints wall seconds, CPU seconds of the tool and of QEMU, the largest resident memory of the tool and bytes stored.
The service encrypts, finds equal content, reads back what it stored, and keeps a catalog; virtnbdbackup does not. The
memory of the service is the largest since it was started.
"""

import argparse
import shutil
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import libvirt

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from tools.bench import disk as disks
from tools.bench.increment import DEVICE, DOMAIN, HMP, libvirt_qemu, protect
from tools.bench.measure import Cost, Watch, cpu_seconds, measured, stored_bytes
from tools.bench.vault import MIB, Row, Rows, report, states
from tools.lab import libvirtd
from tools.quickstart.client import Client
from tools.quickstart.service import Service


class Guest:
    """A domain whose disk is written through QEMU's monitor."""

    def __init__(self, connection: libvirt.virConnect, original: Path, path: Path) -> None:
        subprocess.run(["qemu-img", "convert", "-O", "qcow2", str(original), str(path)], check=True)
        self.domain = connection.defineXML(DOMAIN.format(name=path.stem, path=path))
        self.domain.create()

    def write(self, content: Path, ranges: Sequence[tuple[int, int]], scratch: Path) -> None:
        """Write these ranges of ``content``."""
        with content.open("rb") as source:
            for offset, length in ranges:
                for at in range(offset, offset + length, MIB):
                    size = min(MIB, offset + length - at)
                    source.seek(at)
                    scratch.write_bytes(source.read(size))
                    command = f'qemu-io -d {DEVICE} "write -s {scratch} {at} {size}"'
                    answer = libvirt_qemu.qemuMonitorCommand(self.domain, command, HMP)
                    if answer.strip():
                        sys.exit(f"the write was refused: {answer.strip()}")

    def remove(self) -> None:
        self.domain.destroy()
        self.domain.undefineFlags(libvirt.VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA)


class Tool(ABC):
    """One tool and its guest."""

    def __init__(self, name: str, guest: Guest) -> None:
        self.name = name
        self.guest = guest

    @abstractmethod
    def backup(self, *, full: bool) -> Cost: ...

    @abstractmethod
    def stored(self) -> int: ...


class VirtNbdBackup(Tool):
    def __init__(self, name: str, guest: Guest, uri: str, place: Path, options: Sequence[str]) -> None:
        super().__init__(name, guest)
        self._place, self._uri, self._options = place, uri, options

    def backup(self, *, full: bool) -> Cost:
        level = "full" if full else "inc"
        uri = self._uri.replace("qemu+unix:", "qemu:")  # it takes the other for a remote one
        command = ["virtnbdbackup", "-U", uri, "-d", self.guest.domain.name(), "-l", level, "-o", self._place]
        return measured([*command, *self._options])

    def stored(self) -> int:
        return stored_bytes(self._place) if self._place.exists() else 0


class Karbor(Tool):
    def __init__(self, name: str, guest: Guest, client: Client, pid: int, bank: Path) -> None:
        super().__init__(name, guest)
        self._client, self._pid, self._bank = client, pid, bank
        provider = next(
            found["id"]
            for found in client.get("/providers")["providers"]
            if "Libvirt::Domain" in found["extended_info_schema"]["options_schema"] and found["name"] != "noop"
        )
        resource = {"id": guest.domain.UUIDString(), "type": "Libvirt::Domain", "name": guest.domain.name()}
        body = {"name": "bench", "provider_id": provider, "resources": [resource], "parameters": {}}
        self._plan: dict[str, Any] = client.post("/plans", {"plan": body})["plan"]

    def backup(self, *, full: bool) -> Cost:
        watch = Watch(self._pid)
        watch.start()
        begun, spent = time.monotonic(), cpu_seconds(self._pid)
        protect(self._client, self._plan)
        wall, cpu = time.monotonic() - begun, cpu_seconds(self._pid) - spent
        return Cost(wall, cpu, watch.end())

    def stored(self) -> int:
        return stored_bytes(self._bank)


def one_round(place: Path, original: Path, rows: Rows, given: argparse.Namespace) -> None:
    """Every tool, every state, in turns."""
    lab = place / "lab"
    uri = libvirtd.start(lab)
    with ExitStack() as stack:
        stack.callback(libvirtd.stop, lab)
        connection = libvirt.open(uri)
        (place / "log").mkdir()
        service = Service(place)
        client = Client(service.start(port=0, libvirt_uri=uri))
        stack.callback(service.stop)
        guests = [Guest(connection, original, place / f"guest{number}.qcow2") for number in range(3)]
        for guest in guests:
            stack.callback(guest.remove)
        tools = [
            Karbor("karbor", guests[0], client, service.running() or 0, place / "karbor" / "bank"),
            VirtNbdBackup("virtnbdbackup", guests[1], uri, place / "plain", []),
            VirtNbdBackup("virtnbdbackup, lz4", guests[2], uri, place / "lz4", ["-z"]),
        ]
        disk = place / "disk.raw"
        subprocess.run(["cp", "--sparse=always", original, disk], check=True)
        for state, ranges in states(disk, given):
            for tool in tools:
                tool.guest.write(disk, ranges or [], place / "scratch")
                qemu = libvirtd.qemu_processes(lab)[tool.guest.domain.name()]
                before, spent = tool.stored(), cpu_seconds(qemu)
                cost = tool.backup(full=ranges is None)
                emulator = cpu_seconds(qemu) - spent
                for name, figure in ((tool.name, cost), (f"{tool.name}: QEMU", Cost(cost.wall, emulator))):
                    row = rows.setdefault((state, name), Row())
                    row.costs.append(figure)
                    row.stored += [tool.stored() - before] if figure is cost else []


def main() -> None:
    """See the module text."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--size", type=int, default=4096, help="MiB")
    parser.add_argument("--data", type=int, default=2048, help="MiB")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--source", type=Path, default=Path("/usr"), help="files to fill the disk with")
    given = parser.parse_args()
    place = given.directory.resolve() / "guest-bench"
    rows: Rows = {}
    for _ in range(given.rounds):
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        original = place / "original.raw"
        disks.create(original, size=given.size * MIB, data=given.data * MIB, seed=1, source=given.source)
        read = sum(length for _, length in disks.data_ranges(original))
        try:
            one_round(place, original, rows, given)
        finally:
            shutil.rmtree(place)
    report(rows, read)


if __name__ == "__main__":
    main()
