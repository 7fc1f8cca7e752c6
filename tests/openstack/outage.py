# SPDX-License-Identifier: Apache-2.0
"""How does a test end a daemon of ministack as a crash does, and bring it up again?"""

import os
import signal
import subprocess
from pathlib import Path

_PROGRAM = Path(__file__).parents[2] / "tools" / "ministack" / "ministack"
_STATE = Path(os.environ.get("MINISTACK_DIR", "/var/lib/ministack"))


def kill(daemon):
    """kill -9 of a daemon with all its children."""
    noted = _STATE / "run" / f"{daemon}.pid"
    os.killpg(int(noted.read_text()), signal.SIGKILL)
    noted.unlink()  # else it might still be taken for one that runs: it is a zombie until somebody asks for its end


def up(service, **settings):
    """Bring up what is down of a service."""
    _ministack("up", service, **settings)


def restart(service, **settings):
    """Bring a service down and up again with other settings."""
    _ministack("down", service)
    _ministack("up", service, **settings)


def _ministack(*words, **settings):
    done = subprocess.run(
        [_PROGRAM, *words], capture_output=True, text=True, timeout=900, env={**os.environ, **settings}
    )
    assert done.returncode == 0, (words, done.stdout, done.stderr)
