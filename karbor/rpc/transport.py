# SPDX-License-Identifier: Apache-2.0
"""How do messages travel? RabbitMQ between processes, memory within one; the same serialisation on both."""

from karbor.common import threaded  # noqa: F401  isort: skip - must come before oslo_messaging

import socket

import oslo_messaging
from oslo_config import cfg

EMBEDDED_URL = "kombu+memory:///"
_PORTS = {"rabbit": 5672, "kafka": 9092, "kombu+amqp": 5672}
ERRORS_FROM = ["karbor.model.errors"]


def open_transport(conf: cfg.ConfigOpts) -> oslo_messaging.transport.RPCTransport:
    """The transport that ``transport_url`` names. Errors of ours come back as what they were."""
    return oslo_messaging.get_rpc_transport(conf, allowed_remote_exmods=ERRORS_FROM)


def is_reachable(conf: cfg.ConfigOpts, *, seconds: float) -> bool:
    """Whether one of the brokers that ``transport_url`` names takes a connection within ``seconds`` each.

    Cheap: nobody logs in. Always true where messages travel within the process.
    """
    url = oslo_messaging.TransportURL.parse(conf)
    hosts = [host for host in url.hosts if host.hostname]
    if url.transport not in _PORTS or not hosts:
        return True
    return any(_answers(host.hostname, host.port or _PORTS[url.transport], seconds) for host in hosts)


def _answers(name: str, port: int, seconds: float) -> bool:
    try:
        socket.create_connection((name, port), seconds).close()
    except OSError:
        return False
    return True
