# SPDX-License-Identifier: Apache-2.0
"""Where is the real cloud, and how does Karbor run beside it? As tools/run_tests.sh openstack and ministack set it."""

import os
import time
import uuid

import pytest
from keystoneauth1.exceptions import ConnectFailure
from keystoneauth1.session import Session

from karbor.clients.openstack import Cloud, CloudSettings
from tests.openstack import account
from tests.support import servers
from tests.support.daemons import Installation
from tests.support.karborclient import Clients, Command
from tests.support.rest import PAUSE

pytestmark = pytest.mark.openstack
#: Backups in Cinder; all data in a bank in Swift.
BACKUPS, DATA = "6c1a0d5e-3b0f-4a52-9a0e-1d1e0b7c2a01", "6c1a0d5e-3b0f-4a52-9a0e-1d1e0b7c2a02"
#: The workers of the three daemons are on no compute host, as far as they know.
_QUICK = """[DEFAULT]
host = control
[jobs]
lease = 20
poll = 1
grace = 5
"""
_PROVIDER = """[provider]
name = {name}
id = {id}
plugin = karbor-project-protection-plugin
plugin = karbor-server-protection-plugin
plugin = karbor-image-protection-plugin
plugin = karbor-network-protection-plugin
plugin = karbor-share-protection-plugin
plugin = {volumes}
bank = karbor-swift-bank-plugin
enabled = True
[swift_client]
swift_auth_url = {url}
swift_user = karbor
swift_key = {password}
swift_tenant_name = service
swift_project_domain_name = Default
swift_user_domain_name = Default
[swift_bank_plugin]
bank_swift_object_container = {container}
"""


def pytest_collection_modifyitems(items):
    """Without a cloud nothing of this directory can be tried."""
    here = [item for item in items if "tests/openstack" in str(item.path)]
    for item in here:
        item.add_marker(pytest.mark.openstack)
        item.add_marker(pytest.mark.timeout(7200))
        if not os.environ.get("OS_AUTH_URL"):
            item.add_marker(pytest.mark.skip(reason="no cloud: see doc/source/contributor/ministack.rst"))


@pytest.fixture(scope="session")
def tenant():
    """Opens the cloud as a user sees it in the project of the same name."""

    def open_cloud(name):
        return Cloud(Session(auth=account.login(name)), CloudSettings(region=os.environ.get("OS_REGION_NAME", "")))

    return open_cloud


@pytest.fixture(scope="session")
def installation(tmp_path_factory):
    """The three daemons with both providers, known to the Keystone of the cloud."""
    url, password = os.environ["OS_AUTH_URL"], os.environ["OS_PASSWORD"]
    account.register()
    providers = {
        id_: _PROVIDER.format(
            name=name, id=id_, volumes=volumes, url=url, password=password, container=f"bank-{uuid.uuid4().hex[:8]}"
        )
        for id_, name, volumes in (
            (BACKUPS, "backups", "karbor-volume-protection-plugin"),
            (DATA, "data", "karbor-volume-glance-plugin"),
        )
    }
    settings = _QUICK + account.settings()
    with servers.rabbitmq_server() as broker, servers.mariadb_server() as database:
        root = tmp_path_factory.mktemp("service") / "karbor"
        running = Installation(root, broker=broker.url, database=database.url, settings=settings, providers=providers)
        account.register(running.url)
        try:
            _wait_until_served(running.url)
            yield running
        finally:
            running.close()


def _wait_until_served(url, seconds=900):
    """Until the API answers a user, and a worker has told it of all it offers."""
    session, deadline = Session(auth=account.login("demo")), time.monotonic() + seconds
    while True:
        try:
            answer = session.get(f"{url}/v1/{session.get_project_id()}/providers", raise_exc=False)
            if answer.ok and len(answer.json()["providers"]) == 2:
                return
        except ConnectFailure:
            pass
        assert time.monotonic() < deadline, url
        PAUSE.wait(0.5)


@pytest.fixture(scope="session")
def karbor(installation):
    """Opens the unmodified ``karbor`` command as a user in the project of the same name."""
    with Clients("client-old") as clients:

        def open_command(name):
            variables = {
                "OS_AUTH_URL": os.environ["OS_AUTH_URL"],
                "OS_USERNAME": name,
                "OS_PASSWORD": os.environ["OS_PASSWORD"],
                "OS_PROJECT_NAME": name,
                "OS_USER_DOMAIN_ID": "default",
                "OS_PROJECT_DOMAIN_ID": "default",
            }
            return Command(clients, "karbor", variables=variables)

        yield open_command
