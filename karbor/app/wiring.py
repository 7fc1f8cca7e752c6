# SPDX-License-Identifier: Apache-2.0
"""Who is connected to whom? One process is a set of roles over shared parts: settings, clock, database, transport.

Three daemons with one role each, or one process with all of them: the same code path.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import oslo_messaging
from oslo_config import cfg

from karbor import conf as settings
from karbor.common.clock import Clock
from karbor.db.database import Database
from karbor.rpc import transport
from karbor.rpc.notifications import Notifications, open_notifications

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Shared:
    """What all roles of a process share."""

    conf: cfg.ConfigOpts
    clock: Clock
    database: Database
    messaging: oslo_messaging.transport.RPCTransport
    notifications: Notifications | None = None  # None where nobody is to be told


class Role:
    """A part of the service that a process may play. ``start`` returns when it serves; ``stop`` when it let go."""

    name = "role"

    def __init__(self, shared: Shared) -> None:
        self.shared = shared

    def start(self) -> None:
        """Begin to serve."""

    def stop(self, grace: float) -> None:
        """Take nothing new, let what runs end within ``grace`` seconds, let go."""


class Application:
    """The roles of one process; started in order, stopped in reverse."""

    def __init__(self, shared: Shared, roles: Sequence[Role]) -> None:
        self.shared = shared
        self.roles = list(roles)
        self._started: list[Role] = []

    def start(self) -> None:
        """Start every role. Where one cannot start, those before it are stopped again."""
        try:
            for role in self.roles:
                role.start()
                self._started.append(role)
                LOG.info("role started role=%s", role.name)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop what was started and let go of the shared parts."""
        while self._started:
            role = self._started.pop()
            role.stop(self.shared.conf.jobs.grace)
            LOG.info("role stopped role=%s", role.name)
        if self.shared.notifications is not None:
            self.shared.notifications.stop()
        self.shared.messaging.cleanup()
        self.shared.database.dispose()


def build(conf: cfg.ConfigOpts, roles: Sequence[type[Role]]) -> Application:
    """Make the shared parts once and every role over them. ``conf`` has been read already."""
    settings.register_opts(conf)
    clock = Clock()
    database = Database(conf.database.connection, clock=clock)
    told = open_notifications(conf)
    if told is not None:
        told.start()
        database.listen(told.observe)
    shared = Shared(conf, clock, database, transport.open_transport(conf), told)
    return Application(shared, [role(shared) for role in roles])
