# SPDX-License-Identifier: Apache-2.0
"""What happens inside the guests of ministack? Commands run through their agent, as from the host."""

import os
import subprocess
import sys
import time
from pathlib import Path

from tests.support.rest import PAUSE

_PROGRAM = Path(__file__).parents[2] / "tools" / "ministack" / "lib" / "guest.py"
BOOT_SECONDS = 900  # an emulated guest on a busy machine


class Guest:
    """One server. ``admin`` is the cloud of an administrator, who alone may know its name on the host."""

    def __init__(self, admin, server_id):
        self._admin, self.id = admin, server_id

    @property
    def domain(self):
        """The name of its domain in libvirt."""
        return self._admin.compute.get(f"/servers/{self.id}").json()["server"]["OS-EXT-SRV-ATTR:instance_name"]

    def run(self, script, seconds=300):
        """The output of a shell script in it. Fails where the script does."""
        done = self._tried(script, seconds)
        assert done.returncode == 0, (script, done.stdout, done.stderr)
        return done.stdout

    def _tried(self, script, seconds):
        words = [sys.executable, str(_PROGRAM), self.domain, "sh", "-c", script]
        return subprocess.run(words, capture_output=True, text=True, timeout=seconds, env=os.environ)

    def wait_until_up(self, mounts=()):
        """Until it answers and has these places mounted."""
        script = " && ".join(["true", *(f"grep -q ' {place} ' /proc/mounts" for place in mounts)])
        deadline = time.monotonic() + BOOT_SECONDS
        while True:
            done = self._tried(script, 300)
            if done.returncode == 0:
                return
            assert time.monotonic() < deadline, (self.domain, done.stdout, done.stderr, self.run("cat /proc/mounts"))
            PAUSE.wait(2)

    def format(self, device):
        """Make a file system on a disk and wait until the guest has it mounted, as it does by itself."""
        self.run(f"mke2fs -F -L karbor /dev/{device} >/dev/null 2>&1 && sync")
        self.wait_until_up([f"/mnt/{device}"])

    def write(self, place, name, mebibytes):
        """A file of random bytes that is on the disk when this returns."""
        path = f"{place}/{name}"
        self.run(f"mkdir -p {place} && dd if=/dev/urandom of={path} bs=1M count={mebibytes} 2>/dev/null && sync")

    def hashes(self, *places):
        """{path: SHA-256} of every file below these places, as read from the disk."""
        self.run("sync; echo 3 > /proc/sys/vm/drop_caches")
        lines = self.run(f"find {' '.join(places)} -type f -exec sha256sum {{}} +").splitlines()
        return {path: digest for digest, path in (line.split(None, 1) for line in lines)}
