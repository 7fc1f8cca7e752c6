# SPDX-License-Identifier: Apache-2.0
"""Which accounts are there at the Keystone of the cloud, and how do the settings of our service lead there?"""

import os
import subprocess
from pathlib import Path

from keystoneauth1.identity import V3Password

_REGISTER = Path(__file__).parents[2] / "tools" / "ministack" / "lib" / "register.py"
_SETTINGS = """[DEFAULT]
auth_strategy = keystone
report_interval = 2
[clients]
cloud_resources = true
region_name = {region}
[keystone_authtoken]
auth_type = password
auth_url = {url}
www_authenticate_uri = {url}
username = karbor
password = {password}
project_name = service
user_domain_name = Default
project_domain_name = Default
"""


def login(name):
    """How a user logs in to the project of the same name."""
    return V3Password(
        os.environ["OS_AUTH_URL"],
        username=name,
        password=os.environ["OS_PASSWORD"],
        project_name=name,
        user_domain_name="Default",
        project_domain_name="Default",
    )


def register(address=""):
    """Let there be the user ``karbor``, and let the catalog lead to the service at ``address``. May be called again."""
    words = ["service", os.environ["OS_PASSWORD"], _region(), "karbor"]
    endpoint = ["data-protect", "karbor", f"{address}/v1/%(project_id)s"] if address else []
    subprocess.run(["/usr/bin/python3", str(_REGISTER), *words, *endpoint], check=True, timeout=300)


def settings():
    """The sections of karbor.conf by which the service logs in and finds the cloud."""
    return _SETTINGS.format(url=os.environ["OS_AUTH_URL"], password=os.environ["OS_PASSWORD"], region=_region())


def _region():
    return os.environ.get("OS_REGION_NAME", "RegionOne")
