# SPDX-License-Identifier: Apache-2.0
"""Can a process that was locked down do anything but use what it has open?"""

import json
import subprocess
import sys

from karbor.virt.files.box import _UNSHARE

PROGRAM = """
import json, os, socket, subprocess, sys
from karbor.virt.files.lockdown import lock_down
filtered = lock_down(sys.argv[1], memory=1 << 30, cpu_seconds=60)
def tried(what):
    try:
        what()
    except (OSError, MemoryError) as fault:
        return type(fault).__name__
    return "done"
told = {
    "filtered": filtered,
    "open": tried(lambda: os.open("/", os.O_RDONLY)),
    "passwd": tried(lambda: os.open("/etc/passwd", os.O_RDONLY)),
    "write": tried(lambda: os.open("/x", os.O_WRONLY | os.O_CREAT)),
    "socket": tried(lambda: socket.socket()),
    "fork": tried(os.fork),
    "exec": tried(lambda: os.execv("/bin/sh", ["sh"])),
    "kill": tried(lambda: os.kill(1, 9)),
    "memory": tried(lambda: bytearray(2 << 30)),
}
os.write(1, json.dumps(told).encode())
os._exit(0)
"""


def test_nothing_can_be_opened_started_or_reached(tmp_path):
    done = subprocess.run(
        [*_UNSHARE, "--kill-child", sys.executable, "-c", PROGRAM, str(tmp_path)], capture_output=True, timeout=120
    )
    told = json.loads(done.stdout or b"null")
    assert told, done.stderr
    assert told.pop("filtered") is True
    assert set(told.values()) <= {"PermissionError", "FileNotFoundError", "MemoryError"}
