# SPDX-License-Identifier: Apache-2.0
"""How does a test restore into a cloud that outlives its workers? The cloud in memory over HTTP, and workers elsewhere.

python -m tests.support.farsite ROOT      works on the jobs of the site in ROOT until it is killed
"""

import json
import logging
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from requests.structures import CaseInsensitiveDict

from karbor.app.clouds import open_clouds
from karbor.common.clock import Clock
from karbor.db.database import Database
from karbor.model.provider import ProviderInfo
from karbor.plugins.banks.filesystem import FilesystemBank
from karbor.plugins.resources.network import NetworkProtectable
from karbor.plugins.resources.network_protection import NetworkProtection
from karbor.protection.attempt import JobSettings
from karbor.protection.operation import Parts
from karbor.protection.protectables import ProtectableRegistry
from karbor.protection.providers import Provider
from karbor.protection.worker import Worker
from karbor.sdk.environment import Environment
from karbor.sdk.testing.memorycloud.wire import HOST, Request
from karbor.vault.keys import MasterKey
from karbor.vault.vault import Vault
from tests.functional.test_operations import PROVIDER, OneProvider
from tests.support.api import make_conf
from tests.support.httptwin import HttpTwin, Reply


class FarCloud:
    """A cloud in memory that processes reach over HTTP. ``logins``: who logged in there, and how."""

    def __init__(self, memory):
        self.memory, self.logins = memory, []
        self._http = HttpTwin(self._answer)
        self.keystone = f"{self._http.url}/identity/v3"

    def _answer(self, request):
        place = urlsplit(request.path)
        body = json.loads(request.body) if request.body else None
        if place.path.endswith("/auth/tokens") and request.method == "POST":
            self.logins.append(body["auth"]["identity"]["password"]["user"])
        headers = CaseInsensitiveDict(dict(request.headers.items()))
        found = self.memory.serve(Request(request.method, place.path, dict(parse_qsl(place.query)), body, headers))
        content = b"" if found.body is None else json.dumps(found.body).encode()
        named = {name: str(value).replace(HOST, self._http.url) for name, value in found.headers.items()}
        content = content.replace(HOST.encode(), self._http.url.encode())
        return Reply(found.status, {"Content-Type": "application/json", **named}, content)

    def close(self):
        self._http.close()


class Site:
    """Database, bank and settings in a directory; ``work`` puts a worker to work in this process."""

    def __init__(self, root, clouds=None):
        clock, environment = Clock(), Environment("here", str(root))
        plugin = NetworkProtection(NetworkProtection.Settings(), environment)
        self.bank = FilesystemBank(FilesystemBank.Settings(file_system_bank_path=str(root / "bank")))
        self.vault = Vault(self.bank, master_key=MasterKey(b"k" * 32), cache_dir=root / "cache", clock=clock)
        types = plugin.resource_types
        provider = Provider(
            ProviderInfo(PROVIDER, "site", acts_in_cloud=True),
            self.bank,
            dict.fromkeys(types, plugin),
            dict.fromkeys(types, "sample"),
            open_vault=lambda _bank: self.vault,
        )
        self.database = Database(f"sqlite:///{root}/db.sqlite", clock=clock)
        seen = ProtectableRegistry([NetworkProtectable(NetworkProtectable.Settings(), environment)])
        clouds = clouds or open_clouds(make_conf([root / "karbor.conf"]))
        self.parts = Parts(self.database, OneProvider(provider), seen, clock, clouds)
        self._executor = ThreadPoolExecutor(2)
        self._worker = None

    def work(self, owner):
        settings = JobSettings(lease=3, poll=0.1, attempts=2, retry_delay=0)
        self._worker = Worker(self.parts, self._executor, settings, owner=owner, host="here")
        self._worker.start()

    def close(self):
        if self._worker is not None:
            self._worker.stop(10)
        self._executor.shutdown()
        self.vault.close()
        self.database.dispose()


if __name__ == "__main__":
    logging.basicConfig(level="DEBUG", stream=sys.stderr)
    Site(Path(sys.argv[1])).work("first")
    threading.Event().wait()
