# SPDX-License-Identifier: Apache-2.0
"""Does this process look into a cloud, and how is it reached?"""

from oslo_config import cfg

from karbor.clients.identity import Identity
from karbor.clients.openstack import CloudSettings
from karbor.common.retrying import Policy
from karbor.conf.clients import GROUP
from karbor.protection.clouds import Clouds


def open_clouds(conf: cfg.ConfigOpts) -> Clouds | None:
    """None where the settings do not say that there is a cloud. Asks nobody yet.

    Raises ConfigurationError where they do, and not how the service logs in.
    """
    own = conf[GROUP]
    if not own.cloud_resources:
        return None
    timeout = float(own.request_timeout)
    retries = Policy(attempts=own.attempts, backoff=own.retry_delay, deadline=timeout * own.attempts)
    return Clouds(Identity(conf), CloudSettings(own.region_name, own.interface, timeout, retries))
