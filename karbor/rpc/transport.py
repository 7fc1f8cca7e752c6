# SPDX-License-Identifier: Apache-2.0
"""How do messages travel? RabbitMQ between processes, memory within one; the same serialisation on both."""

from karbor.common import threaded  # noqa: F401  isort: skip - must come before oslo_messaging

import oslo_messaging
from oslo_config import cfg

EMBEDDED_URL = "kombu+memory:///"
ERRORS_FROM = ["karbor.model.errors"]


def open_transport(conf: cfg.ConfigOpts) -> oslo_messaging.transport.RPCTransport:
    """The transport that ``transport_url`` names. Errors of ours come back as what they were."""
    return oslo_messaging.get_rpc_transport(conf, allowed_remote_exmods=ERRORS_FROM)
