# SPDX-License-Identifier: Apache-2.0
"""How does a test set up the three daemons as an operator does: settings, key, tables, banks, provider files?"""

import os
import socket
import subprocess
import time

from tests.support.rest import PAUSE
from tests.support.service import BIN, Daemon

SETTINGS = """[DEFAULT]
state_path = {root}/state
provider_config_dir = {root}/providers.d
transport_url = {broker}
osapi_karbor_listen = 127.0.0.1
osapi_karbor_listen_port = {port}
[database]
connection = {database}
[vault]
master_key_file = {root}/master.key
cache_dir = {root}/cache
"""
NAMES = ("karbor-protection", "karbor-operationengine", "karbor-api")


class Installation:
    """Three daemons over a broker and a database, with a provider file for each id in ``providers``.

    ``settings`` are more of them; ``{root}`` stands for the directory in them and in the files.
    """

    def __init__(self, root, *, broker, database, settings, providers):
        self.root = root
        self.port = free_port()
        for name in ("providers.d", "state", "bank"):
            (root / name).mkdir(parents=True)
        self.settings = root / "karbor.conf"
        common = SETTINGS.format(root=root, broker=broker, port=self.port, database=database)
        self.settings.write_text(common + settings.replace("{root}", str(root)))
        for id_, text in providers.items():
            (root / "providers.d" / f"{id_}.conf").write_text(text.replace("{root}", str(root)))
        for words in (("db", "sync"), ("key", "create"), *(("bank", "init", id_) for id_ in providers)):
            self.manage(*words)
        self.daemons = {name: Daemon(name, self.settings, root / f"{name}.log").start() for name in NAMES}
        self.url = f"http://127.0.0.1:{self.port}"

    @property
    def worker(self):
        return self.daemons["karbor-protection"]

    def manage(self, *words, **variables):
        """The output of karbor-manage, with these variables in its environment."""
        done = subprocess.run(
            [str(BIN / "karbor-manage"), "--config-file", str(self.settings), *words],
            capture_output=True,
            text=True,
            timeout=300,
            env={**os.environ, **variables},
        )
        assert done.returncode == 0, (words, done.stdout, done.stderr)
        return done.stdout

    def log(self, name):
        """What a daemon has written."""
        return (self.root / f"{name}.log").read_text()

    def wait_for_provider(self, rest, seconds=60):
        """Until a worker has told the API of what it offers."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                if rest.get("/providers")["providers"]:
                    return
            except OSError:
                pass
            assert time.monotonic() < deadline, self.log("karbor-api")[-2000:]
            PAUSE.wait(0.2)

    def close(self):
        for daemon in self.daemons.values():
            daemon.kill()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
