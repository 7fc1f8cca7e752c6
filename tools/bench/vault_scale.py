#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What do a disk of 1 TiB and a vault of 10^8 chunks cost: does anything follow their size?

    tools/bench/vault_scale.py disks DIR [--sizes 16 1024] [--data 1024] [--changed 64]
    tools/bench/vault_scale.py index DIR [--entries 0 10000000]

``disks``: sparse disks of several sizes (GiB) with the same amount of data and of change (MiB), spread evenly over the
disk: full, unchanged, changed, restore. ``index``: a vault with one real disk of 1 GiB, and index objects that list so
many chunks more, all different: what a host needs to learn them from the bank, to open the vault again, to look chunks
up, to store a disk that is known and one that is new, and to restore.

Every step is a process of its own; wall and CPU seconds are those of the work in it with the proof that it can be read
back, without the start of Python. ``peak`` is the most memory that was resident in it. The bank is a directory in DIR;
10^8 entries need 12 GB there. What was made stays in DIR and can be deleted.
"""

import argparse
import json
import os
import random
import resource
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from karbor.sdk.streams import Extent, Kind
from karbor.vault import format
from karbor.vault.pack import Directory, Entry
from karbor.vault.vault import Vault
from karbor.virt.diskwriter import write_image
from tools.bench.measure import measured
from tools.bench.vault_child import PROJECT, vault_of

MIB, GIB = 1 << 20, 1 << 30
RUN, CHANGED_RUN = MIB, 256 << 10
PER_PACK, PER_OBJECT = 328, 65536
LOOKUPS = 65536


class SpreadDisk:
    """A sparse disk: runs of content, spread evenly over it; all else is ``rest``. The same arguments give the same
    bytes."""

    def __init__(self, size: int, data: int, *, run: int = RUN, rest: Kind = Kind.ZERO, seed: str = "disk") -> None:
        self.size = size
        self._run, self._rest, self._seed = run, rest, seed
        self._step = size // max(1, data // run) // RUN * RUN if data else 0
        self._count = data // run

    def extents(self) -> Iterator[Extent]:
        end = 0
        for number in range(self._count):
            start = number * self._step
            if start > end:
                yield Extent(end, start - end, self._rest)
            yield Extent(start, self._run, Kind.DATA)
            end = start + self._run
        if end < self.size:
            yield Extent(end, self.size - end, self._rest)

    def read(self, offset: int, length: int) -> bytes:
        out = bytearray()
        while len(out) < length:
            number, within = divmod(offset + len(out), self._step)
            content = random.Random(f"{self._seed}-{number}").randbytes(self._run // 2)
            out += (content + bytes(range(256)) * (self._run // 512))[within : within + length - len(out)]
        return bytes(out)


def backup(vault: Vault, disk: SpreadDisk, base: str | None = None) -> dict[str, Any]:
    """Store a disk and read it back."""
    domain = vault.domain(PROJECT)
    info = domain.write_stream(disk, base_id=base, advance=lambda _: None)
    domain.read_back([info], lambda _: None)
    return {"stream": info.id, "read": info.bytes_read, "stored": info.bytes_stored}


def restore(vault: Vault, stream: str, target: Path) -> dict[str, Any]:
    """Write a disk image and remove it."""
    write_image(
        str(target.absolute()), "raw", vault.domain(PROJECT).open_stream(stream), lambda _: None, socket_dir="/tmp"
    )
    target.unlink()
    return {}


def fill(vault: Vault, entries: int) -> dict[str, Any]:
    """Put index objects that list so many chunks, all different, in packs that nobody ever reads."""
    store = vault.domain(PROJECT)._for_writing().store  # what no user of a vault may do
    shape = Directory(bytes(16), [Entry(bytes(16), 1, 0, 45000 + at, 70000 + at) for at in range(PER_PACK)]).encode()
    shape = shape[: -PER_PACK * format.ID_SIZE]
    packs = PER_OBJECT // PER_PACK
    for number in range(-(-entries // (packs * PER_PACK))):
        out = bytearray()
        format.put_varint(out, format.VERSION)
        format.put_varint(out, packs)
        for _ in range(packs):
            out += os.urandom(format.ID_SIZE) + shape + os.urandom(PER_PACK * format.ID_SIZE)
        name = format.index_name(f"{number:032x}")
        store.bank.put_own(store.prefix + name, store.codec.seal_object(name, bytes(out)))
        marker = format.proof_name(name)
        store.bank.put_own(store.prefix + marker, store.codec.seal_object(marker, b""))
    return {}


def learn(vault: Vault) -> dict[str, Any]:
    """Bring the index of this host up to the bank."""
    store = vault.domain(PROJECT)._for_writing().store
    store.follow()
    store.index.close()
    return {"index": sum(path.stat().st_size for path in store.index.path.parent.glob("*.index*"))}


def look_up(vault: Vault) -> dict[str, Any]:
    """Microseconds for one of many chunks: unknown ones, and known ones, with the file in memory and not."""
    index = vault.domain(PROJECT)._for_writing().store.index
    unknown = [os.urandom(16) for _ in range(LOOKUPS)]
    connection = index.connect()
    known = []
    while len(known) < LOOKUPS:
        query = "SELECT id FROM chunk WHERE id > ? LIMIT 16"
        found = connection.execute(query, (os.urandom(16),)).fetchall()
        known += [one for (one,) in found] or [os.urandom(16)]
    connection.close()
    random.shuffle(known)
    told = {}
    for what, ids in (("unknown", unknown), ("known", known)):
        for state in ("cold", "warm"):
            if state == "cold":
                forget(index.path)
            begun = time.monotonic()
            for at in range(0, LOOKUPS, 64):
                index.known(ids[at : at + 64])
            told[f"{what} {state}"] = round((time.monotonic() - begun) / LOOKUPS * 1e6, 1)
    return told


def forget(path: Path) -> None:
    """Have the kernel give up the pages of a file."""
    with path.open("rb") as file:
        os.fdatasync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def step(given: argparse.Namespace) -> dict[str, Any]:
    """One step, in this process."""
    vault = vault_of(given.directory / "bank", 2)
    begun, spent = time.monotonic(), time.process_time()
    match given.name:
        case "fill":
            found = fill(vault, given.data)
        case "learn":
            found = learn(vault)
        case "look up":
            found = look_up(vault)
        case "restore":
            found = restore(vault, given.base, given.directory / "restored")
        case "unchanged":
            found = backup(vault, SpreadDisk(given.size, 0, rest=Kind.SAME), given.base)
        case "changed":
            disk = SpreadDisk(given.size, given.data, run=CHANGED_RUN, rest=Kind.SAME, seed=given.seed)
            found = backup(vault, disk, given.base)
        case _:
            found = backup(vault, SpreadDisk(given.size, given.data, seed=given.seed))
    found |= {"wall": time.monotonic() - begun, "cpu": time.process_time() - spent}
    vault.close()
    return {**found, "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10}


def run(directory: Path, name: str, size: int = 0, data: int = 0, base: str = "", seed: str = "disk") -> dict[str, Any]:
    """One step, in a process of its own; prints a line."""
    words = ["step", directory, "--name", name, "--size", size, "--data", data, "--seed", seed]
    words += ["--base", base] if base else []
    cost = measured([sys.executable, __file__, *map(str, words)])
    found: dict[str, Any] = json.loads(cost.output.splitlines()[-1])
    shown = {key: value for key, value in found.items() if key not in ("wall", "cpu", "peak", "stream")}
    load = os.getloadavg()[0]
    print(
        f"{name + (' ' + seed if seed != 'disk' else ''):14} wall {found['wall']:8.2f}  cpu {found['cpu']:8.2f}  "
        f"peak {found['peak'] / MIB:5.0f} MiB  load {load:4.1f}  {json.dumps(shown)}",
        flush=True,
    )
    return found


def disks(directory: Path, sizes: Sequence[int], data: int, changed: int) -> None:
    """The same data and the same change on disks of several sizes."""
    for gib in sizes:
        place = fresh(directory / f"disk-{gib}")
        print(f"{gib} GiB")
        base = run(place, "full", gib * GIB, data * MIB)["stream"]
        run(place, "unchanged", gib * GIB, base=base)
        for seed in ("one", "two", "three"):
            last = run(place, "changed", gib * GIB, changed * MIB, base, seed)["stream"]
        run(place, "restore", base=last)


def index(directory: Path, numbers: Sequence[int]) -> None:
    """The same work in vaults of several sizes."""
    for entries in numbers:
        place = fresh(directory / f"index-{entries}")
        print(f"{entries} entries")
        base = run(place, "full", 16 * GIB, GIB)["stream"]
        run(place, "fill", data=entries)
        shutil.rmtree(place / "cache")
        for name in ("learn", "learn", "look up"):
            run(place, name)
        run(place, "unchanged", 16 * GIB, base=base)
        run(place, "full", 16 * GIB, GIB)
        run(place, "full", 16 * GIB, GIB, seed="new")
        run(place, "restore", base=base)


def fresh(directory: Path) -> Path:
    """An empty directory."""
    if directory.exists():
        shutil.rmtree(directory)
    directory.mkdir(parents=True)
    return directory


def main() -> None:
    """See the module text."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=("disks", "index", "step"))
    parser.add_argument("directory", type=Path)
    parser.add_argument("--sizes", type=int, nargs="+", default=[16, 1024])
    parser.add_argument("--data", type=int, default=1024)
    parser.add_argument("--changed", type=int, default=64)
    parser.add_argument("--entries", type=int, nargs="+", default=[0, 10_000_000])
    for name, kind, default in (("name", str, ""), ("size", int, 0), ("base", str, None), ("seed", str, "disk")):
        parser.add_argument(f"--{name}", type=kind, default=default, help=argparse.SUPPRESS)
    given = parser.parse_args()
    match given.verb:
        case "step":
            print(json.dumps(step(given)))
        case "disks":
            disks(given.directory, given.sizes, given.data, given.changed)
        case _:
            index(given.directory, given.entries)


if __name__ == "__main__":
    main()
