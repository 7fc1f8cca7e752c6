# SPDX-License-Identifier: Apache-2.0
"""How do we hear what other services of the cloud tell (oslo.messaging notifications), and lose none of it?

A message is taken off its queue when ``hear`` has returned True, and comes again otherwise: at least once. Who hears
it keeps it apart by its ``id``. The queues are our own (a pool), shared by all our processes: each message reaches one
of them, and other listeners of the same topics get theirs. What is told while nobody of ours has ever listened is not
kept; after that the queues stay, as durable as ``amqp_durable_queues`` makes them.
"""

from karbor.common import threaded  # noqa: F401  isort: skip - must come before oslo_messaging

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import oslo_messaging
from oslo_config import cfg
from oslo_messaging import NotificationResult

LOG = logging.getLogger(__name__)
#: Seconds before a message that could not be taken is given back, so that a database that is away is not hammered.
_PAUSE = 1.0
_OWNERS = ("tenant_id", "project_id", "owner")
_DATA = "nova_object.data"
_DEEPEST = 20


@dataclass(frozen=True)
class Told:
    """One notification. ``project_id`` is the project of the thing that it is about; None where it does not say."""

    id: str
    type: str
    project_id: str | None
    payload: Mapping[str, Any] = field(default_factory=dict)


class Listener:
    """Hears until it is stopped."""

    def __init__(self, server: Any, endpoint: "_Endpoint") -> None:
        self._server = server
        self._endpoint = endpoint

    def start(self) -> None:
        """Begin to hear."""
        self._server.start()

    def stop(self) -> None:
        """Hear no more; what is being heard is finished."""
        self._endpoint.stopping.set()
        self._server.stop()
        self._server.wait()


class _Endpoint:
    """What oslo.messaging calls, whatever the priority of a message."""

    def __init__(self, hear: Callable[[Told], bool]) -> None:
        self._hear = hear
        self.stopping = threading.Event()

    def info(self, ctxt: Any, publisher_id: str, event_type: str, payload: Any, metadata: Mapping[str, Any]) -> str:
        """Take one message, or leave it on its queue."""
        told = read(ctxt, event_type, payload, metadata)
        if told is None or self._hear(told):
            return str(NotificationResult.HANDLED)
        self.stopping.wait(_PAUSE)
        return str(NotificationResult.REQUEUE)

    audit = debug = warn = error = critical = info


def read(context: Any, event_type: Any, payload: Any, metadata: Mapping[str, Any]) -> Told | None:
    """The message as we use it; None for one that is none."""
    id = metadata.get("message_id")
    if not isinstance(id, str) or not isinstance(event_type, str) or not isinstance(payload, Mapping):
        LOG.info("notification without a meaning type=%s", str(event_type)[:100])
        return None
    plain = _plain(payload)
    return Told(id, event_type, _owner(context, event_type, plain), plain)


def _plain(value: Any, depth: int = 0) -> Any:
    """The payload without the wrappers of versioned objects."""
    if isinstance(value, Mapping) and depth < _DEEPEST:
        inner = value.get(_DATA)
        if isinstance(inner, Mapping):
            return _plain(inner, depth + 1)
        return {str(name): _plain(entry, depth + 1) for name, entry in value.items()}
    if isinstance(value, list) and depth < _DEEPEST:
        return [_plain(entry, depth + 1) for entry in value]
    return value


def _owner(context: Any, event_type: str, payload: Mapping[str, Any]) -> str | None:
    """The project that owns the thing, or, where the message does not say, the one that asked for the change.

    Only the thing itself is looked at: what tenants may write into it (names, metadata) must not name another project.
    """
    asked = context if isinstance(context, Mapping) else {}
    thing = payload.get(event_type.partition(".")[0])
    for place in (payload, thing if isinstance(thing, Mapping) else {}, asked):
        for name in _OWNERS:
            if isinstance(place.get(name), str) and place[name]:
                return str(place[name])
    return None


def open_listener(conf: cfg.ConfigOpts, hear: Callable[[Told], bool]) -> Listener | None:
    """What hears on the topics that the settings name; None where they name none."""
    given = conf.operationengine
    if not given.notification_topics:
        return None
    transport = oslo_messaging.get_notification_transport(conf)
    targets = [
        oslo_messaging.Target(exchange=exchange, topic=topic)
        for exchange in given.notification_exchanges
        for topic in given.notification_topics
    ]
    endpoint = _Endpoint(hear)
    server = oslo_messaging.get_notification_listener(
        transport, targets, [endpoint], allow_requeue=True, pool=given.notification_pool
    )
    return Listener(server, endpoint)
