# SPDX-License-Identifier: Apache-2.0
"""How is karbor-all-in-one started, found again and stopped?"""

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

START_SECONDS = 90
STOP_SECONDS = 60


class ServiceError(Exception):
    """Why the service does not run, in one sentence."""


class Service:
    """karbor-all-in-one over one state directory; it goes on when this process ends, until ``stop``."""

    def __init__(self, directory: Path) -> None:
        self.state_dir = directory / "karbor"
        self.output = directory / "log" / "karbor-all-in-one.log"
        self._pid_file = directory / "karbor.pid"

    def start(self, *, port: int, libvirt_uri: str) -> str:
        """Start it and return its base URL. Raises ServiceError with the last thing it said."""
        program = Path(sys.executable).parent / "karbor-all-in-one"
        if not program.exists():
            raise ServiceError(f"{program} is missing: Karbor is not installed")
        command = [str(program), "--state-dir", str(self.state_dir), "--port", str(port), "--libvirt-uri", libvirt_uri]
        with self.output.open("wb") as output:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )
        threading.Thread(target=process.wait, daemon=True).start()  # leaves no zombie when it ends
        self._pid_file.write_text(str(process.pid))
        deadline = time.monotonic() + START_SECONDS
        while not (found := re.search(r"^karbor ready: (http://\S+)$", self.output.read_text(), re.MULTILINE)):
            if process.poll() is not None:
                raise ServiceError(f"karbor-all-in-one ended at once: {self._last_words()}")
            if time.monotonic() > deadline:
                raise ServiceError(f"karbor-all-in-one is not ready after {START_SECONDS} s: {self._last_words()}")
            time.sleep(0.1)
        return found[1]

    def running(self) -> int | None:
        """The process id of a service that an earlier run left, or None."""
        with contextlib.suppress(OSError, ValueError):
            pid = int(self._pid_file.read_text())
            words = (Path("/proc") / str(pid) / "cmdline").read_bytes().split(b"\0")
            if str(self.state_dir).encode() in words:
                return pid
        return None

    def stop(self) -> None:
        """Ask it to end and wait; no error where it does not run."""
        pid = self.running()
        if pid is not None:
            os.kill(pid, signal.SIGTERM)
            deadline = time.monotonic() + STOP_SECONDS
            while self.running() is not None:
                if time.monotonic() > deadline:
                    os.kill(pid, signal.SIGKILL)
                time.sleep(0.1)
        self._pid_file.unlink(missing_ok=True)

    def _last_words(self) -> str:
        lines = self.output.read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"
