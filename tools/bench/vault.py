#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What does it cost to save one disk, here and with restic and borg? (``vault_guest.py``: that of a running guest.)

    tools/bench/vault.py DIR [--size 4096] [--data 2048] [--rounds 3] [--only karbor restic borg]
    tools/bench/vault.py DIR --size 256 --data 128 --rounds 1      # half a minute, to compare two trees

In each round every tool gets a new repository below DIR and the same disk, and they take turns: full backup, the same
disk again, 5 % rewritten, 164 and then 5,243 random writes of 4 KiB, and a restore. See ``disk.py`` for the disk and
``contestants.py`` for the settings. Ours is told the changed ranges as the dirty bitmap of QEMU tells them (64 KiB),
where the name does not say otherwise; the others look for themselves. Its figures are those of the whole process with
encryption, compression and reading back all that was stored; "write" and "read back" are parts of it. Restored disks
are compared with the original, outside of the measured time.

Prints medians over the rounds: wall and CPU seconds, the largest resident memory of all processes together, bytes by
which the repository grew; ratios to ours; and what one core of this machine can do at most.
"""

import argparse
import dataclasses
import filecmp
import json
import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from tools.bench import disk as disks
from tools.bench.contestants import ENTRIES, Contestant
from tools.bench.limits import limits, together
from tools.bench.measure import Cost

MIB = 1 << 20
FULL, UNCHANGED, PART, FEW, MANY, RESTORE = "full", "unchanged", "5 % changed", "164 writes", "5,243 writes", "restore"


@dataclass
class Row:
    """All rounds of one operation of one contestant."""

    costs: list[Cost] = field(default_factory=list)
    stored: list[int] = field(default_factory=list)

    @property
    def wall(self) -> float:
        return statistics.median(cost.wall for cost in self.costs)

    @property
    def cpu(self) -> float:
        return statistics.median(cost.cpu for cost in self.costs)

    @property
    def resident(self) -> int:
        return max(cost.resident for cost in self.costs)


Rows = dict[tuple[str, str], Row]


def keep(rows: Rows, given: argparse.Namespace, key: tuple[str, str], cost: Cost, stored: int | None) -> None:
    """Add a figure to its row, and to the file of results where there is one."""
    row = rows.setdefault(key, Row())
    row.costs.append(cost)
    row.stored += [] if stored is None else [stored]
    if given.results:
        with given.results.open("a") as file:
            cost = dataclasses.replace(cost, output="")
            file.write(json.dumps([*key, dataclasses.asdict(cost), stored, os.getloadavg()[0]]) + "\n")


def kept(path: Path | None) -> Rows:
    """What earlier runs found."""
    rows: Rows = {}
    for line in path.read_text().splitlines() if path and path.exists() else ():
        operation, name, cost, stored, _ = json.loads(line)
        row = rows.setdefault((operation, name), Row())
        row.costs.append(Cost(**cost))
        row.stored += [] if stored is None else [stored]
    return rows


def states(disk: Path, given: argparse.Namespace) -> Iterator[tuple[str, list[tuple[int, int]] | None]]:
    """Bring the disk from state to state: the name of the state, and what changed."""
    yield FULL, None
    yield UNCHANGED, []
    yield PART, disks.rewrite_part(disk, 0.05, seed=2, source=given.source)
    yield FEW, disks.write_pages(disk, 164, seed=3)
    yield MANY, disks.write_pages(disk, min(5243, given.data * MIB // disks.PAGE // 4), seed=4)


def one_round(place: Path, original: Path, rows: Rows, given: argparse.Namespace, turn: int) -> None:
    """Every tool, every state, in turns; who is first changes from round to round."""
    disk = place / "disk.raw"
    subprocess.run(["cp", "--sparse=always", original, disk], check=True)
    chosen = [entry for entry in ENTRIES if any(entry.name.startswith(word) for word in given.only)]
    chosen = chosen[turn % len(chosen) :] + chosen[: turn % len(chosen)]
    contestants = [entry.make(entry.name, place / f"c{number}") for number, entry in enumerate(chosen)]
    for state, ranges in states(disk, given):
        changed = None
        if ranges is not None:
            changed = place / "changed.json"
            changed.write_text(json.dumps(disks.granules(ranges, disk.stat().st_size)))
        for contestant in contestants:
            before = contestant.stored()
            for word, cost in contestant.backup(disk, changed):
                name = f"{contestant.name}: {word}" if word else contestant.name
                keep(rows, given, (state, name), cost, None if word else contestant.stored() - before)
    for contestant in contestants:
        cost = restored(contestant, place / "target", disk)
        keep(rows, given, (RESTORE, contestant.name), cost, None)
        shutil.rmtree(contestant.repository.parent)


def restored(contestant: Contestant, target: Path, disk: Path) -> Cost:
    """Restore, and compare."""
    target.mkdir()
    cost = contestant.restore(target)
    [found] = [path for path in target.rglob("*") if path.is_file()]
    if not filecmp.cmp(found, disk, shallow=False):
        sys.exit(f"{contestant.name} restored something else")
    shutil.rmtree(target)
    return cost


def report(rows: Rows, read: int) -> None:
    """The tables."""
    for operation in dict.fromkeys(operation for operation, _ in rows):
        ours = rows.get((operation, "karbor"))
        heads = ("wall s", "CPU s", "RSS MiB", "stored MiB", "wall x", "CPU x", "stored x")
        print(f"\n{operation:28}" + "".join(f"{head:>11}" for head in heads))
        for (what, name), row in rows.items():
            if what == operation:
                stored = statistics.median(row.stored) if row.stored else None
                mine = statistics.median(ours.stored) if ours and ours.stored else None
                figures = (
                    (row.wall, 2),
                    (row.cpu, 2),
                    (row.resident and row.resident / MIB, 0),
                    (stored and stored / MIB, 3),
                    (ours and row.wall / ours.wall, 2),
                    (ours and row.cpu / ours.cpu, 2),
                    (stored and mine and stored / mine, 2),
                )
                print(
                    f"{name:28}" + "".join(f"{value:11.{digits}f}" if value else " " * 11 for value, digits in figures)
                )
    print(f"\n{'full, of the data read':28}{'MiB/s':>11}{'MiB/CPU s':>11}")
    for (what, name), row in rows.items():
        if what == FULL:
            print(f"{name:28}{read / MIB / row.wall:11.0f}{read / MIB / row.cpu:11.0f}")


def report_limits(speed: dict[str, float], left: float, read: int) -> None:
    """What the machine can do."""
    print("\none core at most, MiB/s: " + ", ".join(f"{name} {one / MIB:.0f}" for name, one in speed.items()))
    cores = os.cpu_count() or 1
    for name, limit in zip(("full, read back", "restore"), together(speed, left), strict=True):
        print(
            f"{name}: {limit / MIB:.0f} MiB per CPU second where nothing repeats and {left:.3f} are left after zstd; "
            f"{read / MIB:.0f} MiB on {cores} cores: {read / limit / cores:.2f} s"
        )


def main(arguments: Sequence[str] | None = None) -> None:
    """See the module text."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--size", type=int, default=4096, help="MiB")
    parser.add_argument("--data", type=int, default=2048, help="MiB")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--source", type=Path, default=Path("/usr"), help="files to fill the disk with")
    parser.add_argument("--only", nargs="+", default=["karbor", "restic", "borg"], help="beginnings of names")
    parser.add_argument("--results", type=Path, help="keep all figures here; those of earlier runs with it count too")
    given = parser.parse_args(arguments)
    place = given.directory.resolve() / "vault-bench"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    try:
        original = place / "original.raw"
        disks.create(original, size=given.size * MIB, data=given.data * MIB, seed=1, source=given.source)
        read = sum(length for _, length in disks.data_ranges(original))
        rows = kept(given.results)
        loads = []
        for turn in range(given.rounds):
            one_round(place, original, rows, given, turn)
            loads.append(os.getloadavg()[0])
        print(f"{given.size} MiB disk with {read / MIB:.0f} MiB of data, {given.rounds} rounds; x: of ours")
        report(rows, read)
        report_limits(*limits(original), read)
        print(f"{os.cpu_count()} cores, load average after the rounds: " + ", ".join(f"{load:.1f}" for load in loads))
    finally:
        shutil.rmtree(place)


if __name__ == "__main__":
    main()
