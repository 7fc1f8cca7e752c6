# SPDX-License-Identifier: Apache-2.0
"""How does a test run the published command line client, unmodified?

It lives in a virtual environment of its own, because it needs old libraries. It is made once and kept under
``KARBOR_TEST_CACHE`` (``~/.cache/karbor-tests``).
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

REQUIREMENTS = (
    "python-karborclient==2.1.0",
    "osc-lib==3.2.0",  # from 4.0.0 on, its lists cannot be printed by this client
    "python-openstackclient==7.5.1",
    "setuptools<81",  # the client imports pkg_resources
)


def environment():
    """The directory of the virtual environment, made where it is not there yet. Several test runs may ask at once."""
    cache = Path(os.environ.get("KARBOR_TEST_CACHE") or Path.home() / ".cache" / "karbor-tests")
    cache.mkdir(parents=True, exist_ok=True)
    name = hashlib.sha256(f"{sys.version} {REQUIREMENTS}".encode()).hexdigest()[:12]
    place = cache / f"karborclient-{name}"
    with (cache / "karborclient.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (place / "complete").exists():
            shutil.rmtree(place, ignore_errors=True)
            subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
            pip = [str(place / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            subprocess.run([*pip, *REQUIREMENTS], check=True)
            (place / "complete").touch()
    return place


class Karbor:
    """The ``karbor`` command against a service without Keystone."""

    def __init__(self, url, project):
        self._program = str(environment() / "bin" / "karbor")
        self._login = ["--os-no-client-auth", "--os-auth-token", f"tester:{project}", "--karbor-url", url]

    def run(self, *arguments):
        """(exit code, standard output, standard error)"""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("OS_")}
        done = subprocess.run(
            [self._program, *self._login, *arguments],
            env={**inherited, "PYTHONWARNINGS": "ignore", "COLUMNS": "200"},
            capture_output=True,
            text=True,
            timeout=120,
        )
        return done.returncode, done.stdout, done.stderr

    def show(self, *arguments):
        """The property table of a command that must work: {property: value}."""
        return {row["Property"]: row["Value"] for row in self.list(*arguments)}

    def list(self, *arguments):
        """The rows of the table of a command that must work: [{column: value}]."""
        code, out, err = self.run(*arguments)
        assert code == 0, (arguments, out, err)
        return table(out)


def table(text):
    """The rows of a printed table. A row whose first cell is empty goes on with the cells of the row before."""
    lines = [
        [cell.strip() for cell in line.strip().strip("|").split(" | ")]
        for line in text.splitlines()
        if line.startswith("|")
    ]
    head, rows = [cell.strip() for cell in lines[0]], []
    for cells in lines[1:]:
        row = dict(zip(head, (cell.strip() for cell in cells), strict=True))
        if rows and not cells[0].strip():
            rows[-1] = {name: f"{rows[-1][name]}\n{row[name]}".strip() for name in head}
        else:
            rows.append(row)
    return rows
