# SPDX-License-Identifier: Apache-2.0
"""How does a test get published programs that need other libraries than ours?

Each set has a virtual environment of its own, made once from pinned versions and kept under ``KARBOR_TEST_CACHE``
(``~/.cache/karbor-tests``). Several test runs may ask at once.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PINS = Path(__file__).with_name("pins")


def cache() -> Path:
    """Where things are kept that are dear to make."""
    place = Path(os.environ.get("KARBOR_TEST_CACHE") or Path.home() / ".cache" / "karbor-tests")
    place.mkdir(parents=True, exist_ok=True)
    return place


@contextmanager
def made_once(name: str, ingredients: str) -> Iterator[tuple[Path, bool]]:
    """A directory for what is made of ``ingredients``, and whether it is there already; marked so if the block ends."""
    place = cache() / f"{name}-{hashlib.sha256(f'{sys.version} {ingredients}'.encode()).hexdigest()[:12]}"
    mark = place / "complete"
    with (cache() / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        there = mark.exists()
        if not there:
            shutil.rmtree(place, ignore_errors=True)
        yield place, there
        mark.touch()


def environment(name: str) -> Path:
    """The virtual environment with what ``pins/NAME.txt`` lists."""
    pins = PINS / f"{name}.txt"
    with made_once(name, pins.read_text()) as (place, there):
        if not there:
            subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
            pip = [str(place / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            done = subprocess.run(
                [*pip, "--no-deps", "--requirement", str(pins)], capture_output=True, text=True, check=False
            )
            if done.returncode:
                raise RuntimeError(f"pip could not install {pins.name}: {done.stderr[-3000:]}")
    return place
