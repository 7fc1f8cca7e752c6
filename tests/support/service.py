# SPDX-License-Identifier: Apache-2.0
"""How does a test start the real programs: karbor-all-in-one, or three daemons over a broker and a database?"""

import os
import queue
import signal
import subprocess
import sys
import threading
from pathlib import Path

from tests.support.rest import Rest

BIN = Path(sys.executable).parent
READY = "karbor ready: "


def _start(arguments, log, more):
    environment = {**os.environ, "PYTHONWARNINGS": "ignore", **more}
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=log, text=True, env=environment)


def _first_line(process, wanted, seconds):
    """The rest of the first line of output that begins with ``wanted``; None where the process ended without it."""
    lines = queue.Queue()

    def read():
        for line in process.stdout:
            lines.put(line)
        lines.put(None)

    threading.Thread(target=read, daemon=True).start()
    while True:
        line = lines.get(timeout=seconds)
        if line is None:
            return None
        if line.startswith(wanted):
            return line.removeprefix(wanted).strip()


class Embedded:
    """karbor-all-in-one on a state directory; may be killed and started again. ``environment``: variables it gets."""

    def __init__(self, state_dir, *, libvirt_uri=None, settings=""):
        self.state_dir = Path(state_dir)
        self.arguments = [str(BIN / "karbor-all-in-one"), "--state-dir", str(state_dir), "--port", "0"]
        if libvirt_uri:
            self.arguments += ["--libvirt-uri", libvirt_uri]
        if settings:
            extra = self.state_dir.with_suffix(".conf")
            extra.write_text(settings)
            self.arguments += ["--config-file", str(extra)]
        self.environment = {}
        self.process = None
        self.rest = None

    def start(self, seconds=60):
        with self.state_dir.with_suffix(".err").open("a") as log:
            self.process = _start(self.arguments, log, self.environment)
        url = _first_line(self.process, READY, seconds)
        assert url, f"did not start: {self.errors()}"
        self.rest = Rest(url)
        return self

    def errors(self):
        """What the service wrote on standard error."""
        return self.state_dir.with_suffix(".err").read_text()

    def log(self):
        """The service's log."""
        path = self.state_dir / "karbor.log"
        return path.read_text() if path.exists() else ""

    def stop(self, seconds=60):
        """SIGTERM; returns the exit code."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(seconds)
        self.process.stdout.close()
        return code

    def kill(self):
        self.process.kill()
        self.process.wait(30)
        self.process.stdout.close()

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        if self.process and self.process.poll() is None:
            self.kill()


class Daemon:
    """One of the three daemons."""

    def __init__(self, name, settings, log, *more_settings):
        self.name, self.settings, self.log = name, (settings, *more_settings), log
        self.process = None

    def start(self):
        with Path(self.log).open("a") as log:
            files = (part for file in self.settings for part in ("--config-file", str(file)))
            arguments = [str(BIN / self.name), *files]
            self.process = subprocess.Popen(arguments, stdout=log, stderr=log)
        return self

    def kill(self):
        """kill -9."""
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait(30)

    def stop(self, seconds=60):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)
