# SPDX-License-Identifier: Apache-2.0
"""Who ends a test server and removes its directory when the test process dies, even by kill -9?

Run as a program: ``guardian.py DIRECTORY SIGNAL USER COMMAND...``. It starts COMMAND as USER ("-": its own) at the head
of a process group, and waits until its own standard input ends (the test closed it, or died) or COMMAND ends. Then it
sends SIGNAL to the whole group, and SIGKILL after ten seconds. Where it was the test that ended, DIRECTORY is removed
("-": none); where anything was written to standard input before, the directory is kept.
"""

import os
import pwd
import select
import shutil
import signal
import subprocess
import sys


def main() -> int:
    directory, ending, user, command = sys.argv[1], signal.Signals[sys.argv[2]], sys.argv[3], sys.argv[4:]
    parent = os.getppid()
    become = {}
    if user != "-":
        entry = pwd.getpwnam(user)
        become = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    server = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True, **become)
    told = False
    try:
        while server.poll() is None and not told:
            told = bool(select.select([sys.stdin], [], [], 0.2)[0]) or os.getppid() != parent
    finally:
        for number in (ending, signal.SIGKILL):
            try:
                os.killpg(server.pid, number)
                server.wait(10)
            except (ProcessLookupError, subprocess.TimeoutExpired):
                pass
        server.wait(10)
        if told and directory != "-" and not os.read(0, 1):
            shutil.rmtree(directory, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
