# SPDX-License-Identifier: Apache-2.0
"""Where is the real cloud? In the environment, as tools/run_tests.sh openstack and tools/ministack set it."""

import os

import pytest
from keystoneauth1.identity import V3Password
from keystoneauth1.session import Session

from karbor.clients.openstack import Cloud, CloudSettings

pytestmark = pytest.mark.openstack


def pytest_collection_modifyitems(items):
    """Without a cloud nothing of this directory can be tried."""
    here = [item for item in items if "tests/openstack" in str(item.path)]
    for item in here:
        item.add_marker(pytest.mark.openstack)
        item.add_marker(pytest.mark.timeout(3600))
        if not os.environ.get("OS_AUTH_URL"):
            item.add_marker(pytest.mark.skip(reason="no cloud: see doc/source/contributor/ministack.rst"))


@pytest.fixture(scope="session")
def tenant():
    """Opens the cloud as a user sees it in the project of the same name."""

    def open_cloud(name):
        auth = V3Password(
            os.environ["OS_AUTH_URL"],
            username=name,
            password=os.environ["OS_PASSWORD"],
            project_name=name,
            user_domain_name="Default",
            project_domain_name="Default",
        )
        return Cloud(Session(auth=auth), CloudSettings(region=os.environ.get("OS_REGION_NAME", "")))

    return open_cloud
