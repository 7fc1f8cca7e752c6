# SPDX-License-Identifier: Apache-2.0
"""How do tests get a Swift of their own, with v1 authentication and the S3 door?

The real one from Debian packages: one replica in a plain directory, one process of each kind, no systemd. Rings and
settings lie in a directory of its own; of the package's /etc/swift only swift.conf is read, and nothing is changed.
"""

import functools
import json
import socket
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support import servers

USER, KEY = "test:tester", "testing"
_PROGRAMS = ("swift-proxy-server", "swift-account-server", "swift-container-server", "swift-object-server", "memcached")
_PACKAGES = ("swift-proxy", "swift-account", "swift-container", "swift-object", "memcached")
_COMMON = """[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
workers = 1
user = root
swift_dir = {home}
log_level = WARNING
"""
# Times are long: on a busy machine an update of a list that does not come through at once would come minutes later.
_STORE = """devices = {home}
mount_check = false
[pipeline:main]
pipeline = healthcheck {kind}-server
[filter:healthcheck]
use = egg:swift#healthcheck
[app:{kind}-server]
use = egg:swift#{kind}
recon_cache_path = {home}
conn_timeout = 60
node_timeout = 120
container_update_timeout = 120
"""
_FILTERS = (
    *("catch_errors", "gatekeeper", "healthcheck", "cache", "listing_formats", "bulk", "s3api"),
    *("tempauth", "copy", "container_quotas", "account_quotas", "slo", "versioned_writes"),
)
_PROXY = """[pipeline:main]
pipeline = {pipeline} proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
conn_timeout = 60
node_timeout = 120
recheck_container_existence = 0
[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:{memcached}
[filter:tempauth]
use = egg:swift#tempauth
user_test_tester = testing .admin .reseller_admin
storage_url_scheme = http
"""


_RINGS = """
import json, sys
from swift.common.ring import RingBuilder
for kind, port in json.loads(sys.argv[2]).items():
    builder = RingBuilder(6, 1, 1)
    builder.add_dev(dict(region=1, zone=1, ip="127.0.0.1", port=port, replication_ip="127.0.0.1", replication_port=port,
                         device="d1", weight=1, meta=""))
    builder.rebalance()
    builder.get_ring().save(sys.argv[1] + "/" + kind + ".ring.gz")
"""
Command = Callable[[int], Sequence[str]]


@dataclass(frozen=True)
class Swift:
    """A running Swift. S3 keys are USER and KEY."""

    proxy: servers.Server
    memory: servers.Server  # of tokens: without it all are forgotten

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.proxy.port}"

    @property
    def auth_url(self) -> str:
        return f"{self.url}/auth/v1.0"


@contextmanager
def swift() -> Iterator[Swift]:
    """An empty Swift."""
    servers.install(*_PACKAGES, having=lambda: bool(_programs()))
    with servers.directory() as home, ExitStack() as stack:
        (home / "d1").mkdir()

        def start(name: str, command: Command, ready: Callable[[int], None], *, keep: bool = True) -> servers.Server:
            plan = servers.Plan(name, command, ready, "SIGKILL")
            return stack.enter_context(servers.running(plan, home, keep=keep))

        def memcached(port: int) -> Sequence[str]:
            return [_programs()["memcached"], "-l", "127.0.0.1", "-p", str(port), "-U", "0", "-m", "64", "-u", "root"]

        memory = start("memcached", memcached, _memcached_ready, keep=False)
        stores = {kind: _STORE.format(home=home, kind=kind) for kind in ("account", "container", "object")}
        with ThreadPoolExecutor(len(stores)) as pool:
            started = {
                kind: pool.submit(start, kind, functools.partial(_command, home, kind, settings), _ready)
                for kind, settings in stores.items()
            }
        _rings(home, {kind: server.result().port for kind, server in started.items()})
        filters = "".join(
            f"[filter:{name}]\nuse = egg:swift#{name}\n" for name in _FILTERS if name not in ("cache", "tempauth")
        )
        settings = _PROXY.format(pipeline=" ".join(_FILTERS), memcached=memory.port) + filters
        yield Swift(start("proxy", functools.partial(_command, home, "proxy", settings), _ready), memory)


def _programs() -> dict[str, str]:
    found = {name: servers._which(name) for name in _PROGRAMS}
    return found if all(found.values()) else {}


def _command(home: Path, kind: str, rest: str, port: int) -> Sequence[str]:
    path = home / f"{kind}.conf"
    path.write_text(_COMMON.format(port=port, home=home) + rest)
    return [_programs()[f"swift-{kind}-server"], str(path)]


def _ready(port: int) -> None:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthcheck", timeout=10) as answer:
        if answer.read() != b"OK":
            raise OSError("not healthy")


def _memcached_ready(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), 10) as there:
        there.sendall(b"version\r\n")
        if not there.recv(100).startswith(b"VERSION"):
            raise OSError("not ready")


def _rings(home: Path, ports: Mapping[str, int]) -> None:
    """In one process of the system's Python, which has Swift's libraries: each program of its own takes seconds."""
    servers._check(["/usr/bin/python3", "-c", _RINGS, str(home), json.dumps(ports)], home)
