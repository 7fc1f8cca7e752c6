# SPDX-License-Identifier: Apache-2.0
"""What does a command cost, with all processes that it starts?"""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_PERIOD = 0.02


@dataclass(frozen=True)
class Cost:
    """``cpu`` are seconds of all processes, ``resident`` the most bytes that they held together."""

    wall: float
    cpu: float
    resident: int = 0
    output: str = ""


class Watch(threading.Thread):
    """Looks at the resident memory of a process and all below it until it is told to end."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.peak = 0
        self._pid = pid
        self._over = threading.Event()

    def run(self) -> None:
        while not self._over.wait(_PERIOD):
            members = family(self._pid)
            # A peak between two looks is not lost where one process has it: the kernel remembers.
            alone = max(_most(pid) for pid in members)
            together = sum(_share(pid) for pid in members) if len(members) > 1 else 0
            self.peak = max(self.peak, together, alone)

    def end(self) -> int:
        self._over.set()
        self.join()
        return self.peak


def family(pid: int) -> list[int]:
    """A process and all below it."""
    found = [pid]
    for one in found:
        try:
            for task in Path(f"/proc/{one}/task").iterdir():
                found += [int(child) for child in (task / "children").read_text().split()]
        except OSError:
            continue  # it ended meanwhile
    return found


def measured(
    command: Sequence[str | Path], *, environment: Mapping[str, str] | None = None, cwd: Path | None = None
) -> Cost:
    """Run a command to its end. Exits with what it said where it fails."""
    begun = time.monotonic()
    process = subprocess.Popen(
        [str(word) for word in command],
        env={**os.environ, **(environment or {})},
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    watch = Watch(process.pid)
    watch.start()
    assert process.stdout is not None
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.monotonic() - begun
    process.returncode = os.waitstatus_to_exitcode(status)
    peak = watch.end()
    if process.returncode:
        sys.exit(f"{' '.join(map(str, command))} ended with {process.returncode}:\n{output}")
    return Cost(wall, usage.ru_utime + usage.ru_stime, peak, output)


def stored_bytes(directory: Path) -> int:
    """Bytes of all files below a directory."""
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())


def cpu_seconds(pid: int) -> float:
    """What a process that runs has taken so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _most(pid: int) -> int:
    """The most bytes that a process had resident since it began its program."""
    return _kib(Path(f"/proc/{pid}/status"), "VmHWM:") << 10


def _share(pid: int) -> int:
    """What a process has resident now; of pages that it shares with others, its part."""
    return _kib(Path(f"/proc/{pid}/smaps_rollup"), "Pss:") << 10


def _kib(path: Path, word: str) -> int:
    try:
        return next((int(line.split()[1]) for line in path.read_text().splitlines() if line.startswith(word)), 0)
    except OSError:
        return 0  # it ended meanwhile
