# SPDX-License-Identifier: Apache-2.0
"""How do tests get a Barbican of their own, beside the Keystone of keystone.py?

The real one of Debian 12 over SQLite, with its simple crypto plug-in: nothing but the package's library is used, and
nothing below /etc. In Keystone it adds itself to the catalog, and users, all but one with the password of all others:

    barbican     the service itself
    keeper       creator in the project keys: stores the secrets
    karbor-keys  observer in the project keys: may read them; its password is ``LOGIN``
    nosy         member in the project beta: may read nothing
"""

import base64
import json
import secrets
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support import servers
from tests.support.keystone import PASSWORD, Keystone

_PYTHON = "/usr/bin/python3"  # the one whose libraries Debian's packages are
_LIBRARY = Path("/usr/lib/python3/dist-packages/barbican")
PROJECT = "keys"
READER, LOGIN = "karbor-keys", "qV5-no-other-text-has-this"
_ROLES = {
    "barbican": ("service", "service"),
    "keeper": ("creator", PROJECT),
    READER: ("observer", PROJECT),
    "nosy": ("member", "beta"),
}
_SETTINGS = """[DEFAULT]
host_href = {url}
sql_connection = sqlite:///{home}/barbican.db
db_auto_create = True
use_stderr = True
[oslo_policy]
policy_file = {home}/policy.yaml
policy_dirs = {home}/policy.d
[secretstore]
enabled_secretstore_plugins = store_crypto
[crypto]
enabled_crypto_plugins = simple_crypto
[simple_crypto_plugin]
kek = {kek}
[keystone_authtoken]
auth_type = password
auth_url = {keystone}
www_authenticate_uri = {keystone}
username = barbican
password = {password}
project_name = service
user_domain_id = default
project_domain_id = default
interface = public
http_connect_timeout = 120
token_cache_time = -1
"""
_PASTE = """[composite:main]
use = egg:Paste#urlmap
/: versions
/v1: api
[pipeline:versions]
pipeline = microversion versionapp
[pipeline:api]
pipeline = authtoken context microversion apiapp
[app:apiapp]
paste.app_factory = barbican.api.app:create_main_app
[app:versionapp]
paste.app_factory = barbican.api.app:create_version_app
[filter:authtoken]
paste.filter_factory = keystonemiddleware.auth_token:filter_factory
[filter:context]
paste.filter_factory = barbican.api.middleware.context:ContextMiddleware.factory
[filter:microversion]
paste.filter_factory = barbican.api.middleware.microversion:MicroversionMiddleware.factory
"""
#: As the package's own barbican-wsgi-api does it. One request at a time: they are short, and SQLite likes it.
_SERVED = """
import sys
from wsgiref.simple_server import make_server
from paste import deploy
place, port = sys.argv[1:]
sys.argv = ["barbican"]
make_server("127.0.0.1", int(port), deploy.loadapp("config:" + place)).serve_forever()
"""


@dataclass
class Barbican:
    """A running Barbican."""

    server: servers.Server
    keystone: Keystone
    home: Path
    _token: str = ""

    @property
    def url(self) -> str:
        """Without a path."""
        return f"http://127.0.0.1:{self.server.port}"

    def send(self, method: str, path: str, body: Any = None) -> Any:
        """The JSON of a request of the keeper below /v1 that must be answered well. Raises HTTPError."""
        self._token = self._token or self.keystone.token("keeper", project=PROJECT)
        headers = {"X-Auth-Token": self._token, "Content-Type": "application/json", "Accept": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/v1{path}", data=data, method=method, headers=headers)
        with urllib.request.urlopen(request, timeout=120) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def store(self, secret: bytes, **more: Any) -> str:
        """Keep a secret as it is (no text); its id."""
        body = {
            "name": "karbor master key",
            "payload": base64.b64encode(secret).decode(),
            "payload_content_type": "application/octet-stream",
            "payload_content_encoding": "base64",
            **more,
        }
        return str(self.send("POST", "/secrets", body)["secret_ref"]).rpartition("/")[2]

    def store_text(self, secret: str, **more: Any) -> str:
        """Keep a text, as ``openstack secret store --payload`` does; its id."""
        body = {"name": "karbor master key", "payload": secret, "payload_content_type": "text/plain", **more}
        return str(self.send("POST", "/secrets", body)["secret_ref"]).rpartition("/")[2]

    def delete(self, secret_id: str) -> None:
        """Delete a secret for good."""
        self.send("DELETE", f"/secrets/{secret_id}")

    @contextmanager
    def forbidden(self, *secret_ids: str) -> Iterator[None]:
        """Meanwhile only who stored these secrets may read them."""
        for secret_id in secret_ids:
            self.send("PUT", f"/secrets/{secret_id}/acl", {"read": {"users": [], "project-access": False}})
        yield
        for secret_id in secret_ids:
            self.send("DELETE", f"/secrets/{secret_id}/acl")

    @contextmanager
    def away(self) -> Iterator[None]:
        """Meanwhile it does not run."""
        self.server.stop()
        yield
        self.server.start()

    def settings(self, directory: Path, *, url: str = "", user: str = READER, **more: str) -> Path:
        """A settings file of castellan that leads here; ``url`` stands for the catalog."""
        given = {
            "auth_type": "keystone_password",
            "auth_url": self.keystone.url,
            "username": user,
            "password": LOGIN if user == READER else PASSWORD,
            "project_name": _ROLES[user][1],
            "user_domain_id": "default",
            "project_domain_id": "default",
            **more,
        }
        lines = "".join(f"{name} = {value}\n" for name, value in given.items())
        endpoint = f"[barbican]\nbarbican_endpoint = {url}\n" if url else ""
        path = directory / "castellan.conf"
        path.write_text(f"[key_manager]\nbackend = barbican\n{lines}{endpoint}")
        path.chmod(0o600)
        return path


@contextmanager
def barbican(keystone: Keystone) -> Iterator[Barbican]:
    """A Barbican without secrets."""
    servers.install("python3-barbican", having=_LIBRARY.exists)
    _people(keystone)
    kek = base64.b64encode(secrets.token_bytes(32)).decode()
    with servers.directory() as home:
        (home / ".barbican").mkdir()
        (home / "paste.ini").write_text(_PASTE)
        (home / "policy.yaml").write_text("{}\n")
        (home / "served.py").write_text(_SERVED)

        def command(port: int) -> list[str]:
            given = {"home": home, "url": f"http://127.0.0.1:{port}", "keystone": keystone.url}
            (home / ".barbican" / "barbican.conf").write_text(_SETTINGS.format(**given, kek=kek, password=PASSWORD))
            return [_PYTHON, "-W", "ignore", f"{home}/served.py", f"{home}/paste.ini", str(port)]

        def ready(port: int) -> None:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/secrets", timeout=30).close()
            except urllib.error.HTTPError as answer:
                if answer.code != 401:
                    raise

        plan = servers.Plan("barbican", command, ready, "SIGTERM", environment={"HOME": str(home)})
        with servers.running(plan, home) as server:
            _publish(keystone, f"http://127.0.0.1:{server.port}")
            yield Barbican(server, keystone, home)


def _people(keystone: Keystone) -> None:
    """The users of Barbican; those that are there stay."""
    token = keystone.token("admin")

    def ids(things: str) -> dict[str, str]:
        return {found["name"]: found["id"] for found in keystone.send("GET", f"/{things}", token=token)[0][things]}

    def made(things: str, known: dict[str, str], name: str, **more: Any) -> str:
        one = things.removesuffix("s")
        if name not in known:
            known[name] = keystone.send("POST", f"/{things}", {one: {"name": name, **more}}, token)[0][one]["id"]
        return known[name]

    roles, projects, users = ids("roles"), ids("projects"), ids("users")
    for user, (role, project) in _ROLES.items():
        user_id = made("users", users, user, password=LOGIN if user == READER else PASSWORD)
        where = f"/projects/{made('projects', projects, project)}/users/{user_id}"
        keystone.send("PUT", f"{where}/roles/{made('roles', roles, role)}", token=token)


def _publish(keystone: Keystone, url: str) -> None:
    """Lead the catalog here."""
    token = keystone.token("admin")
    services: Mapping[str, Any] = keystone.send("GET", "/services?type=key-manager", token=token)[0]
    for old in services["services"]:
        keystone.send("DELETE", f"/services/{old['id']}", token=token)
    body = {"service": {"name": "barbican", "type": "key-manager"}}
    service = keystone.send("POST", "/services", body, token)[0]["service"]["id"]
    for interface in ("public", "internal"):
        entry = {"service_id": service, "interface": interface, "region_id": "RegionOne", "url": url}
        keystone.send("POST", "/endpoints", {"endpoint": entry}, token)
