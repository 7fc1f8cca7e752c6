# SPDX-License-Identifier: Apache-2.0
"""How do tests get a Keystone of their own, with projects, users and our service in its catalog?

The real one from PyPI over SQLite, in a virtual environment of its own. Its database is filled once and kept; each test
run starts on a copy. Every user has the password ``PASSWORD``.

    admin    admin in the project admin, and admin of the whole system
    ann      member in alpha        bob   member in beta
    rita     reader in alpha        sam   reader of the whole system
    karbor   the service itself
"""

import getpass
import grp
import json
import os
import shutil
import sqlite3
import subprocess
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.support import servers
from tests.support.environments import environment, made_once

PASSWORD = "secret"
#: user -> (role, project); "system" is the whole system.
USERS = {
    "ann": ("member", "alpha"),
    "rita": ("reader", "alpha"),
    "bob": ("member", "beta"),
    "sam": ("reader", "system"),
    "karbor": ("service", "service"),
}
_IDENTITY, _KARBOR = "http://identity.invalid", "http://data-protect.invalid"
_SETTINGS = """[DEFAULT]
public_endpoint = {url}
use_stderr = True
[database]
connection = sqlite:///{home}/keystone.db
[fernet_tokens]
key_repository = {home}/fernet
[fernet_receipts]
key_repository = {home}/receipts
[credential]
key_repository = {home}/credential
[cache]
enabled = True
backend = dogpile.cache.memory
[identity]
password_hash_rounds = 4
"""
#: Under gunicorn, Keystone would take the arguments of the server for its own.
_WSGI = "import sys\nsys.argv = ['keystone']\nfrom keystone.wsgi.api import application\n"
_EXPIRED = """
import sys
import keystone.conf
keystone.conf.configure()
keystone.conf.CONF([], project="keystone", default_config_files=[sys.argv[1]])
from keystone.token import token_formatters as tokens
formatter = tokens.TokenFormatter()
print(formatter.create_token(sys.argv[2], sys.argv[4], ["3T2dc1CGQxyJsHdDu1xkcw"],
      tokens.ProjectScopedPayload, methods=["password"], project_id=sys.argv[3]))
"""


@dataclass
class Keystone:
    """A running Keystone. ``ids`` maps names of users and projects to their ids."""

    url: str
    home: Path
    ids: Mapping[str, str] = field(default_factory=dict)

    def token(self, user: str, *, project: str | None = None) -> str:
        """A fresh token for the project the user has a role in, for ``project``, or for the whole system."""
        where = project or USERS.get(user, ("", "admin"))[1]
        scope = (
            {"system": {"all": True}}
            if where == "system"
            else {"project": {"name": where, "domain": {"id": "default"}}}
        )
        login = {"user": {"name": user, "domain": {"id": "default"}, "password": PASSWORD}}
        sent = {"auth": {"identity": {"methods": ["password"], "password": login}, "scope": scope}}
        return self.send("POST", "/auth/tokens", sent)[1]

    def expired_token(self, user: str) -> str:
        """A token of the user that ran out a minute ago."""
        program = str(environment("keystone") / "bin" / "python")
        end = (datetime.now(UTC) - timedelta(minutes=1)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        given = [f"{self.home}/keystone.conf", self.ids[user], self.ids[USERS[user][1]], end]
        done = subprocess.run([program, "-W", "ignore", "-c", _EXPIRED, *given], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def send(self, method: str, path: str, body: Any = None, token: str = "") -> tuple[Any, str]:
        """(JSON, token given) of a request that must be answered well."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json", **({"X-Auth-Token": token} if token else {})}
        request = urllib.request.Request(f"{self.url}{path}", data=data, method=method, headers=headers)
        with urllib.request.urlopen(request, timeout=120) as answer:
            text = answer.read()
            return (json.loads(text) if text else None), answer.headers.get("X-Subject-Token", "")

    def publish(self, url: str) -> None:
        """Let the catalog lead to karbor-api at ``url`` (without path)."""
        token = self.token("admin")
        (service,) = self.send("GET", "/services?type=data-protect", token=token)[0]["services"]
        for endpoint in self.send("GET", f"/endpoints?service_id={service['id']}", token=token)[0]["endpoints"]:
            body = {"endpoint": {"url": f"{url}/v1/%(project_id)s"}}
            self.send("PATCH", f"/endpoints/{endpoint['id']}", body, token)

    def settings(self) -> str:
        """The section of karbor.conf that leads here."""
        return (
            "[DEFAULT]\nauth_strategy = keystone\n[keystone_authtoken]\nauth_type = password\n"
            f"auth_url = {self.url}\nwww_authenticate_uri = {self.url}\nusername = karbor\npassword = {PASSWORD}\n"
            "project_name = service\nuser_domain_id = default\nproject_domain_id = default\n"
            "interface = public\nhttp_connect_timeout = 120\n"
        )


@contextmanager
def keystone() -> Iterator[Keystone]:
    """A Keystone with the users of ``USERS``."""
    with made_once("keystone-filled", Path(__file__).read_text()) as (template, there):
        if not there:
            _fill(template)
    with servers.directory() as home:
        shutil.copytree(template, home, dirs_exist_ok=True)
        with _serving(home) as found:
            yield found


@contextmanager
def _serving(home: Path, *, keep: bool = False) -> Iterator[Keystone]:
    gunicorn = str(environment("keystone") / "bin" / "gunicorn")
    (home / "keystone_served.py").write_text(_WSGI)

    def command(port: int) -> list[str]:
        _configure(home, f"http://127.0.0.1:{port}")
        more = [
            "--no-control-socket",
            "--timeout",
            "600",
            "--keep-alive",
            "600",
            "--workers",
            "1",
            "--threads",
            "4",
            "--chdir",
            str(home),
        ]
        return [gunicorn, *more, "--bind", f"127.0.0.1:{port}", "keystone_served:application"]

    def ready(port: int) -> None:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/v3", timeout=30).close()

    variables = {"OS_KEYSTONE_CONFIG_FILES": f"{home}/keystone.conf", "HOME": str(home), "PYTHONWARNINGS": "ignore"}
    plan = servers.Plan("keystone", command, ready, "SIGTERM", environment=variables)
    with servers.running(plan, home, keep=keep) as server:
        ids = json.loads((home / "ids.json").read_text()) if (home / "ids.json").exists() else {}
        yield Keystone(f"http://127.0.0.1:{server.port}/v3", home, ids)


def _configure(home: Path, url: str) -> None:
    """Settings for this place and address; the catalog says the same."""
    (home / "keystone.conf").write_text(_SETTINGS.format(home=home, url=url))
    with sqlite3.connect(home / "keystone.db") as rows:
        if rows.execute("SELECT 1 FROM sqlite_master WHERE name = 'endpoint'").fetchone():
            made = "SELECT id FROM service WHERE type = 'identity'"
            rows.execute(f"UPDATE endpoint SET url = ? WHERE service_id IN ({made})", (f"{url}/v3",))


def _fill(home: Path) -> None:
    """Make the database, the keys, and everything in ``USERS``. The system's own Keystone is left alone."""
    systems = _system_files()
    home.mkdir(mode=0o700)
    for name in ("fernet", "receipts", "credential"):
        (home / name).mkdir(mode=0o700)
    _configure(home, _IDENTITY)
    owner = ["--keystone-user", getpass.getuser(), "--keystone-group", grp.getgrgid(os.getgid()).gr_name]
    _manage(home, "db_sync")
    _manage(home, "fernet_setup", *owner)
    _manage(home, "credential_setup", *owner)
    login = ["--bootstrap-password", PASSWORD, "--bootstrap-public-url", f"{_IDENTITY}/v3"]
    _manage(home, "bootstrap", *login, "--bootstrap-region-id", "RegionOne")
    with _serving(home, keep=True) as made:
        (home / "ids.json").write_text(json.dumps(_people(made)))
    assert _system_files() == systems


def _system_files() -> list[Path]:
    return sorted(Path("/etc/keystone").rglob("*"))


def _manage(home: Path, *arguments: str) -> None:
    program = str(environment("keystone") / "bin" / "keystone-manage")
    done = subprocess.run(
        [program, "--config-file", f"{home}/keystone.conf", *arguments],
        env={"PATH": os.environ["PATH"], "PYTHONWARNINGS": "ignore", "HOME": str(home)},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(f"keystone-manage {arguments[0]} failed: {done.stderr[-2000:]}")


def _people(keystone: Keystone) -> dict[str, str]:
    """Make projects, users, roles and our entry of the catalog; ids by name."""
    token = keystone.token("admin", project="admin")

    def send(method: str, path: str, body: Any = None) -> Any:
        return keystone.send(method, path, body, token)[0]

    roles = {found["name"]: found["id"] for found in send("GET", "/roles")["roles"]}
    ids = {found["name"]: found["id"] for found in send("GET", "/projects")["projects"]}
    for name in ("alpha", "beta", "service"):
        ids[name] = ids.get(name) or send("POST", "/projects", {"project": {"name": name}})["project"]["id"]
    if "service" not in roles:
        roles["service"] = send("POST", "/roles", {"role": {"name": "service"}})["role"]["id"]
    for name, (role, where) in USERS.items():
        ids[name] = send("POST", "/users", {"user": {"name": name, "password": PASSWORD}})["user"]["id"]
        target = "/system" if where == "system" else f"/projects/{ids[where]}"
        send("PUT", f"{target}/users/{ids[name]}/roles/{roles[role]}")
    service = send("POST", "/services", {"service": {"name": "karbor", "type": "data-protect"}})["service"]["id"]
    for interface in ("public", "internal", "admin"):
        entry = {"service_id": service, "interface": interface, "region_id": "RegionOne"}
        send("POST", "/endpoints", {"endpoint": {**entry, "url": f"{_KARBOR}/v1/%(project_id)s"}})
    return ids
