# SPDX-License-Identifier: Apache-2.0
"""What do we tell other systems of our changes, and how does it get there without holding the work up?

A message for every committed change of state, through oslo.messaging (section ``oslo_messaging_notifications``; without
a ``driver`` nothing is sent). At most once: messages wait in a bounded queue of the process that made the change, for a
thread of their own; what does not fit, or is lost with the process, is not sent again. The API tells the truth.
"""

from karbor.common import threaded  # noqa: F401  isort: skip - must come before oslo_messaging

import logging
import queue
import threading
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import oslo_messaging
from oslo_config import cfg
from oslo_context import context

from karbor.common.clock import iso
from karbor.common.redact import Redactor
from karbor.model.change import WORDS, Change

LOG = logging.getLogger(__name__)
VERSION = "1.0"
#: Every type of event.
EVENTS = tuple(f"karbor.{noun}.{word}" for noun, words in WORDS.items() for word in words)
#: These are sent with the priority ERROR, all others with INFO.
BAD = frozenset({"error", "error_deleting", "fail", "failed", "raised"})
#: What every payload has.
COMMON = ("version", "noun", "id", "project_id", "state", "before", "at", "request_id", "global_request_id")
#: What the payloads of each noun have besides. No parameters, no addresses of restore targets: they may hold secrets.
FIELDS: Mapping[str, tuple[str, ...]] = {
    "plan": ("name", "provider_id"),
    "checkpoint": (
        *("provider_id", "plan_id", "base_id", "source_id", "consistency", "mode", "sizes", "reason"),
        *("created_at", "finished_at"),
    ),
    "restore": ("provider_id", "checkpoint_id", "resources_reason", "created_at", "finished_at"),
    "verification": ("provider_id", "checkpoint_id", "resources_reason", "created_at", "finished_at"),
    "export": ("provider_id", "checkpoint_id", "host", "expires_at", "created_at", "finished_at"),
    "alarm": ("plan_id", "due_at", "since", "reason"),
    "job": (
        *("operation", "provider_id", "checkpoint_id", "restore_id", "verification_id", "owner", "attempts"),
        *("cancel_requested", "created_at"),
    ),
}
_REASONS = 20  # of a restore; one of a thousand resources must not make a message of megabytes
_WAITING = 1000
_RETRIES = 3  # of a broker that does not answer, where the settings say nothing
_HIDE = Redactor()


class Sender(Protocol):
    """The part of oslo_messaging.Notifier that is used."""

    def info(self, ctxt: Any, event_type: str, payload: Mapping[str, Any]) -> None: ...
    def error(self, ctxt: Any, event_type: str, payload: Mapping[str, Any]) -> None: ...


def event_type(change: Change) -> str:
    """One of EVENTS."""
    return f"karbor.{change.noun}.{change.word}"


def payload_of(change: Change) -> dict[str, Any]:
    """What is told of a change: COMMON and the FIELDS of its noun, plain JSON."""
    thing = change.thing
    current = context.get_current()
    values = {
        "version": VERSION,
        "noun": change.noun,
        "id": thing.id,
        "project_id": thing.project_id,
        "state": thing.state if change.noun == "job" else thing.status,
        "before": change.before,
        "at": iso(change.at),
        "request_id": getattr(thing, "request_id", None) or getattr(current, "request_id", None),
        "global_request_id": getattr(current, "global_request_id", None),
    }
    return values | {name: _plain(getattr(thing, name)) for name in FIELDS[change.noun]}


def _plain(value: Any) -> Any:
    if hasattr(value, "isoformat"):
        return iso(value)
    if isinstance(value, str):
        return _HIDE.text(value)
    if hasattr(value, "__dataclass_fields__"):
        value = vars(value)
    if isinstance(value, Mapping):
        return {name: _plain(entry) for name, entry in list(value.items())[:_REASONS]}
    return value


class Notifications:
    """Sends what it is told of, in a thread of its own. ``dropped`` counts what found the queue full."""

    def __init__(self, sender: Sender, *, waiting: int = _WAITING) -> None:
        self._sender = sender
        self._queue: queue.Queue[tuple[Callable[..., None], str, dict[str, Any]] | None] = queue.Queue(waiting)
        self._thread = threading.Thread(target=self._loop, name="notifications", daemon=True)
        self.dropped = 0

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def stop(self, grace: float = 5) -> None:
        """Send what waits, for at most ``grace`` seconds; the rest is lost."""
        try:
            self._queue.put_nowait(None)
        except queue.Full:
            LOG.warning("notifications lost number=%s", self._queue.qsize())
            return
        if self._thread.is_alive():
            self._thread.join(grace)

    def observe(self, change: Change) -> None:
        """A listener of the database; neither waits nor raises."""
        send = self._sender.error if change.word in BAD else self._sender.info
        try:
            self._queue.put_nowait((send, event_type(change), payload_of(change)))
        except queue.Full:
            self.dropped += 1
            if self.dropped % _WAITING == 1:
                LOG.warning("notifications do not get through, some are dropped number=%s", self.dropped)

    def _loop(self) -> None:
        while (entry := self._queue.get()) is not None:
            send, type_, payload = entry
            send({}, type_, payload)  # oslo.messaging logs what goes wrong, and goes on


def open_notifications(conf: cfg.ConfigOpts) -> Notifications | None:
    """What sends as the settings say; None where they say not to."""
    transport = oslo_messaging.get_notification_transport(conf)
    own = conf.oslo_messaging_notifications
    if not [name for name in own.driver if name != "noop"]:
        return None
    retry = own.retry if own.retry >= 0 else _RETRIES
    return Notifications(oslo_messaging.Notifier(transport, publisher_id=f"karbor.{conf.host}", retry=retry))
