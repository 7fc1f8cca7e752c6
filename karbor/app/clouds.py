# SPDX-License-Identifier: Apache-2.0
"""Does this process look into a cloud, and how is it reached?"""

from pathlib import Path
from typing import Any

from oslo_config import cfg

from karbor.clients.elsewhere import Elsewhere, Login
from karbor.clients.identity import Identity
from karbor.clients.openstack import CloudSettings
from karbor.clients.sealedlogins import LoginSeal
from karbor.common.retrying import Policy
from karbor.conf.clients import GROUP
from karbor.protection.clouds import Clouds, Logins


def open_clouds(conf: cfg.ConfigOpts) -> Clouds | None:
    """None where the settings do not say that there is a cloud. Asks nobody yet.

    Raises ConfigurationError where they do, and not how the service logs in.
    """
    own = conf[GROUP]
    if not own.cloud_resources:
        return None
    timeout = float(own.request_timeout)
    retries = Policy(attempts=own.attempts, backoff=own.retry_delay, deadline=timeout * own.attempts)
    settings = CloudSettings(own.region_name, own.interface, timeout, retries)
    return Clouds(Identity(conf), settings, _logins(conf) if own.login_key_file else None)


def _logins(conf: cfg.ConfigOpts) -> Logins:
    elsewhere, path = Elsewhere(conf), Path(conf[GROUP].login_key_file)

    def log_in(purpose: str, sealed: str) -> tuple[Any, str]:
        login = Login.from_dict(LoginSeal.load(path).open(purpose, sealed))
        return elsewhere.session(login), login.region

    return log_in
