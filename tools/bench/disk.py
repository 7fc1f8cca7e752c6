#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""On which disk are backups compared? One that looks like that of a guest, made anew byte for byte by anybody.

    tools/bench/disk.py create DISK [--size 4096] [--data 2048] [--seed 1] [--source /usr]
    tools/bench/disk.py change DISK --part 0.05 [--seed 2]     # files are written anew: runs of 64 KiB to 1 MiB
    tools/bench/disk.py change DISK --writes 164 [--seed 3]    # a data base: pages of 4 KiB here and there

Half of the data are files of ``--source`` (programs and texts), a quarter is random (media, archives), a quarter
repeats files and blobs that lie elsewhere on the disk. Everything begins on a page of 4 KiB, as in ext4 or xfs; small
gaps and large holes lie between. The same arguments and the same ``--source`` give the same bytes.

``change`` writes in place and prints the ranges as JSON, a list of [offset, length]. Half of the new content of
``--part`` compresses, the other half and all of ``--writes`` does not.
"""

import argparse
import json
import os
import random
import stat
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

KIB, MIB = 1 << 10, 1 << 20
PAGE, BLOCK = 4 * KIB, 64 * KIB
#: Files that are smaller say nothing, larger ones too much.
SMALLEST, LARGEST = 2 * KIB, 32 * MIB


@dataclass(frozen=True)
class Item:
    """One run of content: a file, or random bytes that follow from ``seed``."""

    size: int
    path: Path | None = None
    seed: str = ""

    def content(self) -> bytes:
        if self.path is None:
            return random.Random(self.seed).randbytes(self.size)
        return self.path.read_bytes()[: self.size].ljust(self.size, b"\0")

    @property
    def room(self) -> int:
        return -(-self.size // PAGE) * PAGE


def files(source: Path) -> list[Item]:
    """The files below a directory that serve, in order of their names."""
    found = []
    for top, directories, names in os.walk(source):
        directories.sort()
        for name in sorted(names):
            path = Path(top, name)
            status = path.lstat()
            if stat.S_ISREG(status.st_mode) and SMALLEST <= status.st_size <= LARGEST:
                found.append(Item(status.st_size, path))
    return found


def items(data: int, seed: int, source: Path) -> list[Item]:
    """What a disk holds. Raises ValueError where ``source`` has too little."""
    rng = random.Random(f"items-{seed}")
    supply = files(source)
    rng.shuffle(supply)
    chosen = _until(data // 2, iter(supply))
    blobs = (Item(int(min(16 * MIB, 32 * KIB * 2 ** rng.uniform(0, 9))), seed=f"{seed}-{n}") for n in range(data))
    chosen += _until(data // 4, blobs)
    originals = list(chosen)
    return chosen + _until(data // 4, (rng.choice(originals) for _ in range(data)))


def create(path: Path, *, size: int, data: int, seed: int, source: Path) -> None:
    """Make a disk of ``size`` bytes with about ``data`` bytes in it. Raises ValueError where they do not fit."""
    content = items(data, seed, source)
    rng = random.Random(f"places-{seed}")
    rng.shuffle(content)
    room = size - sum(item.room for item in content) - size // 64
    if room < 0:
        raise ValueError("the disk is too small for its data")
    holes = {rng.randrange(len(content)) for _ in range(max(1, room // (24 * MIB)))}
    hole = room // len(holes) // PAGE * PAGE
    at = min(MIB, size // 256)
    with path.open("wb") as disk:
        disk.truncate(size)
        for number, item in enumerate(content):
            at += hole if number in holes else PAGE * rng.randrange(17) * (rng.random() < 0.05)
            if at + item.room > size:
                break
            disk.seek(at)
            disk.write(item.content())
            at += item.room


def data_ranges(path: Path) -> list[tuple[int, int]]:
    """(offset, length) of what is allocated, ascending."""
    found = []
    with path.open("rb") as disk:
        end, at = os.fstat(disk.fileno()).st_size, 0
        while at < end:
            try:
                start = os.lseek(disk.fileno(), at, os.SEEK_DATA)
            except OSError:  # nothing but a hole is left
                break
            at = os.lseek(disk.fileno(), start, os.SEEK_HOLE)
            found.append((start, at - start))
    return found


def rewrite_part(path: Path, part: float, *, seed: int, source: Path) -> list[tuple[int, int]]:
    """Overwrite a part of the allocated blocks of 64 KiB in runs; returns the changed ranges."""
    rng = random.Random(f"part-{seed}")
    blocks = _units(path, BLOCK)
    chosen: set[int] = set()
    while len(chosen) < int(len(blocks) * part):
        start = rng.randrange(len(blocks))
        chosen.update(blocks[start : start + min(16, 1 + int(rng.expovariate(1 / 4)))])
    supply = files(source)
    rng.shuffle(supply)
    texts = _blocks_of(supply, rng)
    with path.open("r+b") as disk:
        for block in sorted(chosen):
            disk.seek(block * BLOCK)
            disk.write(rng.randbytes(BLOCK) if rng.random() < 0.5 else next(texts))
    return _ranges(sorted(chosen), BLOCK)


def write_pages(path: Path, count: int, *, seed: int) -> list[tuple[int, int]]:
    """Overwrite that many pages of data at random; returns the changed ranges."""
    rng = random.Random(f"pages-{seed}")
    pages = sorted(rng.sample(_units(path, PAGE), count))
    with path.open("r+b") as disk:
        for page in pages:
            disk.seek(page * PAGE)
            disk.write(rng.randbytes(PAGE))
    return _ranges(pages, PAGE)


def granules(ranges: Sequence[tuple[int, int]], size: int, granule: int = BLOCK) -> list[tuple[int, int]]:
    """The same ranges as a dirty bitmap with this granule reports them."""
    touched = {unit for offset, length in ranges for unit in range(offset // granule, -(-(offset + length) // granule))}
    return [(offset, min(length, size - offset)) for offset, length in _ranges(sorted(touched), granule)]


def _until(total: int, supply: Iterator[Item]) -> list[Item]:
    chosen: list[Item] = []
    got = 0
    while got < total:
        item = next(supply, None)
        if item is None:
            raise ValueError("the source holds too little data")
        chosen.append(item)
        got += item.size
    return chosen


def _blocks_of(supply: Sequence[Item], rng: random.Random) -> Iterator[bytes]:
    """Blocks of files, none like what is on the disk."""
    text = b""
    while True:
        while len(text) < BLOCK:
            text += supply[rng.randrange(len(supply))].content()[: 256 * KIB] + b"%d" % rng.getrandbits(64)
        yield text[:BLOCK]
        text = text[BLOCK:]


def _units(path: Path, size: int) -> list[int]:
    """Numbers of the units of ``size`` bytes that hold data and lie on the disk as a whole."""
    whole = path.stat().st_size // size
    touched = {
        unit for offset, length in data_ranges(path) for unit in range(offset // size, -(-(offset + length) // size))
    }
    return sorted(unit for unit in touched if unit < whole)


def _ranges(units: Sequence[int], size: int) -> list[tuple[int, int]]:
    """Neighbouring units joined to (offset, length)."""
    found: list[tuple[int, int]] = []
    for unit in units:
        if found and sum(found[-1]) == unit * size:
            found[-1] = (found[-1][0], found[-1][1] + size)
        else:
            found.append((unit * size, size))
    return found


def main() -> None:
    """See the module text."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=("create", "change"))
    parser.add_argument("disk", type=Path)
    parser.add_argument("--size", type=int, default=4096, help="MiB")
    parser.add_argument("--data", type=int, default=2048, help="MiB")
    parser.add_argument("--part", type=float)
    parser.add_argument("--writes", type=int)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--source", type=Path, default=Path("/usr"))
    given = parser.parse_args()
    if given.verb == "create":
        create(given.disk, size=given.size * MIB, data=given.data * MIB, seed=given.seed, source=given.source)
        changed = data_ranges(given.disk)
    elif given.part is not None:
        changed = rewrite_part(given.disk, given.part, seed=given.seed, source=given.source)
    elif given.writes is not None:
        changed = write_pages(given.disk, given.writes, seed=given.seed)
    else:
        parser.error("change needs --part or --writes")
    json.dump(changed, sys.stdout)


if __name__ == "__main__":
    main()
