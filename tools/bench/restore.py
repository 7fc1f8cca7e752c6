#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How fast does a disk come back, here and with restic and borg?

    tools/bench/restore.py DIR [--size 4096] [--data 2048] [--rounds 3] [--delay 20] [--source /usr]

Every tool saves the same disk once (see ``disk.py`` and ``contestants.py``). Then they take turns in restoring it to a
new file; it is compared with the original outside of the measured time. Besides, ours: two different disks at once;
into a disk of which 5 % changed since (``overwrite``) and into one that did not change; and from a bank that takes
``--delay`` ms for every request, as an object store does. Prints medians over the rounds: wall and CPU seconds of all
processes, the largest resident memory of all of them together, and ratios to ours.
"""

import argparse
import filecmp
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from karbor.plugins.banks.filesystem import FilesystemBank
from karbor.virt.diskoverwriter import overwrite_image
from karbor.virt.diskwriter import write_image
from tools.bench import disk as disks
from tools.bench.contestants import ENTRIES
from tools.bench.measure import Cost, measured
from tools.bench.vault_child import PROJECT, vault_of

MIB = 1 << 20
TOOLS = ("karbor", "restic", "borg")


class SlowBank(FilesystemBank):
    """A bank with a long way to it."""

    delay = 0.0

    def get(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
        time.sleep(self.delay)
        return super().get(name, offset, length)

    def get_into(self, name: str, into: memoryview, offset: int = 0) -> int:
        time.sleep(self.delay)
        return super().get_into(name, into, offset)


def step(given: argparse.Namespace) -> None:
    """Restore streams of our vault into files, all at once, in this process."""
    vault = vault_of(given.directory, 2)
    if given.delay:
        SlowBank.delay = given.delay / 1000
        vault.bank.__class__ = SlowBank
    domain = vault.domain(PROJECT)
    with tempfile.TemporaryDirectory(prefix="bench-") as sockets, ThreadPoolExecutor(8) as pool:

        def one(stream: str, target: str) -> None:
            write = overwrite_image if given.over else write_image
            write(target, "raw", domain.open_stream(stream), lambda _: None, socket_dir=sockets)

        list(pool.map(one, given.streams, given.targets))
    vault.close()


class Bench:
    """The disk, its copies in every repository, and what was measured."""

    def __init__(self, directory: Path, size: int, data: int, source: Path) -> None:
        self.directory, self._source = directory, source
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        self.disks = [directory / "a" / "disk.raw", directory / "b" / "disk.raw"]
        for seed, disk in enumerate(self.disks, 1):
            disk.parent.mkdir()
            disks.create(disk, size=size * MIB, data=data * MIB, seed=seed, source=source)
        makers = {entry.name: entry.make for entry in ENTRIES}
        self.contestants = [makers[name](name, directory / name) for name in TOOLS]
        for contestant in self.contestants:
            contestant.backup(self.disks[0], None)
        self.vault = self.contestants[0].repository
        child = Path(__file__).with_name("vault_child.py")
        self.streams = [
            json.loads(measured([sys.executable, child, "backup", self.vault, disk]).output)["stream"]
            for disk in self.disks
        ]
        self.found: dict[str, list[Cost]] = {}

    def note(self, name: str, cost: Cost, *pairs: tuple[Path, Path]) -> None:
        """Compare what was restored, and keep what it cost."""
        for made, original in pairs:
            if not filecmp.cmp(made, original, shallow=False):
                sys.exit(f"{name}: {made} is not what was saved")
        self.found.setdefault(name, []).append(cost)

    def round(self, delay: int) -> None:
        """Every tool once."""
        for contestant in self.contestants:
            target = self.directory / "target"
            target.mkdir()
            cost = contestant.restore(target)
            self.note(contestant.name, cost, (next(target.rglob("disk.raw")), self.disks[0]))
            shutil.rmtree(target)
        new = [self.directory / "new-a", self.directory / "new-b"]
        self.note("two disks at once", self._ours(self.streams, new), *zip(new, self.disks, strict=True))
        self.note(f"{delay} ms a request", self._ours(self.streams[:1], new[:1], delay), (new[0], self.disks[0]))
        for name, part in (("over 5 % changed", 0.05), ("over the same", 0.0)):
            if part:
                disks.rewrite_part(new[0], part, seed=9, source=self._source)
            self.note(name, self._ours(self.streams[:1], new[:1], over=True), (new[0], self.disks[0]))
        for path in new:
            path.unlink()

    def _ours(self, streams: list[str], targets: list[Path], delay: int = 0, *, over: bool = False) -> Cost:
        words = ["step", self.vault, "--streams", *streams, "--targets", *(path.absolute() for path in targets)]
        words += ["--delay", delay, *(["--over"] if over else [])]
        return measured([sys.executable, __file__, *map(str, words)])

    def show(self) -> None:
        """Medians."""
        ours = self.found["karbor"]
        data = sum(length for _, length in disks.data_ranges(self.disks[0])) / MIB
        print(f"{data:.0f} MiB of data, {len(ours)} rounds, load {os.getloadavg()[0]:.1f}")
        for name, costs in self.found.items():
            wall, cpu = (statistics.median(getattr(cost, part) for cost in costs) for part in ("wall", "cpu"))
            peak = max(cost.resident for cost in costs)
            ratios = [cost.wall / mine.wall for cost, mine in zip(costs, ours, strict=True)]
            cpus = [cost.cpu / mine.cpu for cost, mine in zip(costs, ours, strict=True)]
            print(
                f"{name:20} wall {wall:7.2f}  cpu {cpu:7.2f}  peak {peak / MIB:5.0f} MiB  "
                f"wall x{statistics.median(ratios):5.2f}  cpu x{statistics.median(cpus):5.2f}"
            )


def main() -> None:
    """See the module text."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="+", metavar="DIR")
    parser.add_argument("--size", type=int, default=4096, help="MiB")
    parser.add_argument("--data", type=int, default=2048, help="MiB")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--delay", type=int, default=20, help="ms")
    parser.add_argument("--source", type=Path, default=Path("/usr"), help="where files for the disk come from")
    for name in ("--streams", "--targets"):
        parser.add_argument(name, nargs="+", help=argparse.SUPPRESS)
    parser.add_argument("--over", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    given.directory = Path(given.words[-1])
    if given.words[0] == "step":
        step(given)
        return
    bench = Bench(given.directory, given.size, given.data, given.source)
    for _ in range(given.rounds):
        bench.round(given.delay)
        bench.show()


if __name__ == "__main__":
    main()
