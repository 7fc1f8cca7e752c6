# SPDX-License-Identifier: Apache-2.0
"""How is one disk saved and brought back with each of the tools that are compared?

Each has a repository of its own below the directory that it is given; all encrypt.
"""

import json
import shutil
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.bench.measure import Cost, measured, stored_bytes

_CHILD = Path(__file__).with_name("vault_child.py")


class Contestant(ABC):
    """One tool with one set of settings, and its repository. ``backup`` and ``restore`` are measured."""

    def __init__(self, name: str, place: Path) -> None:
        self.name = name
        self.repository = place / "repository"
        self._home = place / "home"
        shutil.rmtree(place, ignore_errors=True)
        self._home.mkdir(parents=True)

    @abstractmethod
    def backup(self, disk: Path, changed: Path | None) -> Sequence[tuple[str, Cost]]:
        """Save the disk as it is. ``changed`` is a file with what a dirty bitmap would tell, for those who can use it;
        None the first time. Returns what it took; where there are several figures, with a word for each."""

    @abstractmethod
    def restore(self, target: Path) -> Cost:
        """Bring the latest state back into the directory ``target``."""

    def stored(self) -> int:
        return stored_bytes(self.repository)


class Restic(Contestant):
    def __init__(self, name: str, place: Path, options: Sequence[str] = ()) -> None:
        super().__init__(name, place)
        self._options = options
        self._run("init")

    def backup(self, disk: Path, changed: Path | None) -> Sequence[tuple[str, Cost]]:
        return [("", self._run("backup", disk))]

    def restore(self, target: Path) -> Cost:
        return self._run("restore", "latest", "--target", target)

    def _run(self, *words: str | Path) -> Cost:
        environment = {"RESTIC_PASSWORD": "bench", "RESTIC_CACHE_DIR": str(self._home)}
        return measured(["restic", "-q", "-r", self.repository, *self._options, *words], environment=environment)


class Borg(Contestant):
    def __init__(self, name: str, place: Path, encryption: str, options: Sequence[str] = ()) -> None:
        super().__init__(name, place)
        self._options = options
        self._count = 0
        self._run("init", "-e", encryption, self.repository)

    def backup(self, disk: Path, changed: Path | None) -> Sequence[tuple[str, Cost]]:
        self._count += 1
        return [
            ("", self._run("create", *self._options, f"{self.repository}::{self._count}", disk.name, cwd=disk.parent))
        ]

    def restore(self, target: Path) -> Cost:
        return self._run("extract", "--sparse", f"{self.repository}::{self._count}", cwd=target)

    def _run(self, *words: str | Path, cwd: Path | None = None) -> Cost:
        environment = {"BORG_PASSPHRASE": "bench", "BORG_BASE_DIR": str(self._home)}
        return measured(["borg", *words], environment=environment, cwd=cwd)


class Karbor(Contestant):
    """Ours. ``rescan``: without the help of a dirty bitmap."""

    def __init__(self, name: str, place: Path, options: Sequence[str] = (), *, rescan: bool = False) -> None:
        super().__init__(name, place)
        self._options = options
        self._rescan = rescan
        self._stream = ""

    def backup(self, disk: Path, changed: Path | None) -> Sequence[tuple[str, Cost]]:
        base = ["--base", self._stream, "--changed", changed] if changed is not None and not self._rescan else []
        cost = measured([sys.executable, _CHILD, "backup", self.repository, disk, *base, *self._options])
        said = json.loads(cost.output)
        self._stream = said["stream"]
        parts = [(word, Cost(**said[word])) for word in ("write", "read back") if word in said]
        return [("", cost), *parts]

    def restore(self, target: Path) -> Cost:
        base = ("--base", self._stream)
        return measured([sys.executable, _CHILD, "restore", self.repository, target / "disk.raw", *base])


@dataclass(frozen=True)
class Entry:
    """How a contestant is made: its name, and what makes it in a directory."""

    name: str
    make: Callable[[str, Path], Contestant]


ENTRIES = (
    Entry("karbor", Karbor),
    Entry("karbor, over NBD", lambda name, place: Karbor(name, place, ["--nbd"])),
    Entry("karbor, no bitmap", lambda name, place: Karbor(name, place, rescan=True)),
    Entry("restic", Restic),
    Entry(
        "restic, packs of 64 MiB",
        lambda name, place: Restic(name, place, ["--pack-size=64", "-o", "local.connections=4"]),
    ),
    Entry("borg", lambda name, place: Borg(name, place, "repokey")),
    Entry("borg, zstd", lambda name, place: Borg(name, place, "repokey-blake2", ["-C", "zstd,3"])),
    Entry(
        "borg, fixed 64 KiB, zstd",
        lambda name, place: Borg(
            name, place, "repokey-blake2", ["-C", "zstd,3", "--sparse", "--chunker-params=fixed,65536"]
        ),
    ),
)
