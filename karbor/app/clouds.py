# SPDX-License-Identifier: Apache-2.0
"""Does this process look into a cloud, and how is it reached?"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from oslo_config import cfg

from karbor.clients.elsewhere import Elsewhere, Login, normal
from karbor.clients.identity import Identity
from karbor.clients.openstack import Cloud, CloudSettings
from karbor.clients.sealedlogins import LoginSeal
from karbor.common.retrying import Policy
from karbor.conf.clients import GROUP
from karbor.model import errors
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
    identity = Identity(conf)
    if not own.login_key_file:
        return Clouds(identity, settings)

    def secrets(purpose: str, sealed: str) -> Mapping[str, Any]:
        return LoginSeal.load(Path(own.login_key_file)).open(purpose, sealed)

    return Clouds(identity, settings, _logins(conf, identity), secrets)


def _logins(conf: cfg.ConfigOpts, identity: Identity) -> Logins:
    elsewhere, own = Elsewhere(conf), conf[GROUP]

    def log_in(purpose: str, sealed: str) -> tuple[Any, Mapping[str, Any]]:
        login = Login.from_dict(LoginSeal.load(Path(own.login_key_file)).open(purpose, sealed))
        session = elsewhere.session(login)
        if login.url == normal(identity.url()):
            return session, {"region": login.region or own.region_name}
        # What of another cloud is internal can mostly not be reached from here.
        return session, {"region": login.region, "interface": "public"}

    return log_in


def open_named(conf: cfg.ConfigOpts, name: str | None) -> Cloud:
    """The cloud of whoever is at the keyboard, as the openstack command finds it: an entry of clouds.yaml, or OS_
    variables. Raises ConfigurationError where these do not say how to log in."""
    from keystoneauth1 import exceptions as login_errors
    from openstack import exceptions
    from openstack.config import OpenStackConfig

    own = conf[GROUP]
    try:
        region = OpenStackConfig().get_one(cloud=name)
        session = region.get_session()
    except (exceptions.SDKException, login_errors.ClientException) as fault:
        raise errors.ConfigurationError(
            "Nothing says how to log in to the cloud.",
            detail=str(fault),
            next_action="name an entry of clouds.yaml with --os-cloud, or set the OS_ variables",
        ) from fault
    settings = CloudSettings(region.get_region_name() or own.region_name, own.interface, float(own.request_timeout))
    return Cloud(session, settings)
