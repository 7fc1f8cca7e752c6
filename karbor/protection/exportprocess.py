# SPDX-License-Identifier: Apache-2.0
"""How is the process of an export started, found again by another one, and ended?

Everything about it lies in a directory of its own, which only we may enter: ``lock`` (held as long as the process
lives, so that no number of a process can be mistaken), ``pid``, ``nbd.sock``, ``answer.json`` (what it offers, or why
it cannot) and ``log``. It is a session of its own: it goes on when whoever started it ends.
"""

import contextlib
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from karbor.common import command, durable
from karbor.common.clock import Clock
from karbor.common.waiting import wait_for
from karbor.model import errors

PROGRAM = "karbor.cmd.exporter"
SOCKET = "nbd.sock"
_LOCK, _PID, _ANSWER, _LOG = "lock", "pid", "answer.json", "log"
_END_SECONDS = 20.0
_TRY_SECONDS = 2.0


class ExportProcess:
    """The process of the export in ``directory``, whether it runs or not. Nothing is kept here but the path."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @property
    def socket(self) -> Path:
        """Where it listens."""
        return self.directory / SOCKET

    def start(self, arguments: Sequence[str]) -> None:
        """Start it, where none runs: the lock lets only one serve. It is nobody's child, so it is left to nobody."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        (self.directory / _ANSWER).unlink(missing_ok=True)
        place = ["--directory", str(self.directory)]
        with (self.directory / _LOG).open("ab") as log:
            starter = command.start(
                ["setsid", "--fork", sys.executable, "-m", PROGRAM, *place, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        if starter.wait():
            raise OSError(f"setsid ended with {starter.returncode}")

    def is_alive(self) -> bool:
        """Whether it runs, whoever started it."""
        try:
            with (self.directory / _LOCK).open("rb") as handle:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        return False

    def answer(self) -> Mapping[str, Any] | None:
        """``{"streams": [...]}`` once it serves, ``{"error": TEXT, "again": BOOL}`` where it cannot; None so far."""
        try:
            found: Mapping[str, Any] = json.loads((self.directory / _ANSWER).read_bytes())
        except FileNotFoundError:
            return None
        return found

    def stop(self, clock: Clock) -> None:
        """End it and wait for that. May be called when it has ended."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            if not self.is_alive():
                return
            with contextlib.suppress(ProcessLookupError, FileNotFoundError, ValueError):
                os.kill(int((self.directory / _PID).read_text()), number)
            wait_for(self._is_over, clock=clock, seconds=_END_SECONDS, check=lambda: None, first=0.02, longest=0.2)

    def _is_over(self) -> bool | None:
        return None if self.is_alive() else True

    def remove(self) -> None:
        """Remove what is left of one that has ended."""
        shutil.rmtree(self.directory, ignore_errors=True)

    @contextlib.contextmanager
    def own(self, clock: Clock) -> Iterator[None]:
        """For the process itself: be the one. Raises Conflict where another one is."""

        def taken() -> bool | None:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return None
            return True

        with (self.directory / _LOCK).open("ab") as handle:
            # Whoever looks whether we live holds the lock for a moment, too.
            if not wait_for(taken, clock=clock, seconds=_TRY_SECONDS, check=lambda: None, first=0.01, longest=0.1):
                raise errors.Conflict(f"Another process serves {self.directory}.")
            durable.write_file(self.directory / _PID, str(os.getpid()).encode())
            yield

    def tell(self, answer: Mapping[str, Any]) -> None:
        """For the process itself: say what became of it."""
        durable.write_file(self.directory / _ANSWER, json.dumps(answer).encode())
