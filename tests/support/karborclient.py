# SPDX-License-Identifier: Apache-2.0
"""How does a test run the published command line clients, unmodified: ``karbor`` and ``openstack``?

They live in virtual environments of their own. A start of a client costs seconds of CPU time, most of it for imports;
so one process for each login runs its ``main`` once for each command (see client_driver.py).
"""

import json
import os
import subprocess
from pathlib import Path

from tests.support.environments import environment

DRIVER = Path(__file__).with_name("client_driver.py")


class Clients:
    """The programs of one environment, ready to run. A context manager."""

    def __init__(self, name="client-old"):
        clean = {key: value for key, value in os.environ.items() if not key.startswith(("OS_", "KARBOR_"))}
        self._process = subprocess.Popen(
            [str(environment(name) / "bin" / "python"), "-P", "-W", "ignore", str(DRIVER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**clean, "COLUMNS": "200", "PYTHONPATH": ""},
        )

    def run(self, program, arguments, variables):
        """(exit code, standard output, standard error) of ``karbor`` or ``openstack``."""
        asked = {"program": program, "arguments": list(arguments), "variables": variables}
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        return answer["code"], answer["out"], answer["err"]

    def close(self):
        self._process.stdin.close()
        self._process.wait(120)
        self._process.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Command:
    """One of the programs with a login. ``login`` are arguments before the command's own, ``variables`` OS_ ones."""

    def __init__(self, clients, program, login=(), variables=None):
        self._clients, self._program = clients, program
        self._login, self._variables = list(login), variables or {}

    def run(self, *arguments):
        """(exit code, standard output, standard error)"""
        return self._clients.run(self._program, [*self._login, *arguments], self._variables)

    def well(self, *arguments):
        """The output of a command that must work."""
        code, out, err = self.run(*arguments)
        assert code == 0, (arguments, out, err)
        return out

    def show(self, *arguments):
        """The property table of a command that must work: {property: value}."""
        rows = self.list(*arguments)
        return dict(tuple(row.values()) for row in rows)

    def list(self, *arguments):
        """The rows of the table of a command that must work: [{column: value}]."""
        return table(self.well(*arguments))

    def refused(self, *arguments):
        """What a command says that must fail."""
        code, out, err = self.run(*arguments)
        assert code == 1, (arguments, code, out, err)
        return err


class Library:
    """The client's library, used as karbor-dashboard 1.5.1 uses it: with the address from the catalog and a token."""

    def __init__(self, clients, **client):
        self._clients, self._client = clients, client

    def __call__(self, call, *arguments, **named):
        """What a call such as ``plans.list`` gave: JSON, or the text of its exception."""
        asked = {"client": self._client, "call": call, "arguments": arguments, "named": named}
        code, out, err = self._clients.run("library", [json.dumps(asked)], {})
        assert code == 0, (call, err)
        (answer,) = json.loads(out).values()
        return answer


def without_keystone(url, project):
    """The login of ``karbor`` at a service with noauth."""
    return ["--os-no-client-auth", "--os-auth-token", f"tester:{project}", "--karbor-url", url]


def password_login(keystone, user, project):
    """The variables that let both programs log in at a Keystone."""
    return {
        "OS_AUTH_URL": keystone.url,
        "OS_USERNAME": user,
        "OS_PASSWORD": "secret",
        "OS_PROJECT_NAME": project,
        "OS_USER_DOMAIN_ID": "default",
        "OS_PROJECT_DOMAIN_ID": "default",
        "OS_IDENTITY_API_VERSION": "3",
    }


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
