# SPDX-License-Identifier: Apache-2.0
"""Who is connected to whom? One process is a set of roles over shared parts: settings, clock, database, transport.

Three daemons with one role each, or one process with all of them: the same code path.
"""

import functools
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

import oslo_messaging
from oslo_config import cfg

from karbor import conf as settings
from karbor.app.metricsport import MetricsPort
from karbor.clients.identity import Identity
from karbor.common.clock import Clock
from karbor.common.meters import Meters
from karbor.db.database import Database
from karbor.rpc import transport
from karbor.rpc.notifications import Notifications, open_notifications

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Shared:
    """What all roles of a process share. ``places``: where roles of this process can be reached, once they serve."""

    conf: cfg.ConfigOpts
    clock: Clock
    database: Database
    messaging: oslo_messaging.transport.RPCTransport
    meters: Meters = field(default_factory=Meters)
    notifications: Notifications | None = None  # None where nobody is to be told
    places: dict[str, str] = field(default_factory=dict)

    @functools.cached_property
    def identity(self) -> Identity | None:
        """Logins at Keystone, for those that need them; None where callers prove in another way who they are.

        Raises ConfigurationError where the settings do not say how the service itself logs in.
        """
        return Identity(self.conf) if self.conf.auth_strategy == "keystone" else None


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
        self._port: MetricsPort | None = None

    def start(self) -> None:
        """Start every role. Where one cannot start, those before it are stopped again."""
        try:
            if self.shared.conf.metrics.port:
                port = MetricsPort(self.shared.conf, self.shared.meters)
                port.start()
                self._port = port
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
        if self._port is not None:
            self._port.stop()
        if self.shared.notifications is not None:
            self.shared.notifications.stop()
        self.shared.messaging.cleanup()
        self.shared.database.dispose()


def build(conf: cfg.ConfigOpts, roles: Sequence[type[Role]]) -> Application:
    """Make the shared parts once and every role over them. ``conf`` has been read already."""
    settings.register_opts(conf)
    clock = Clock()
    database = Database(conf.database.connection, clock=clock)
    meters = Meters()
    database.listen(meters.observe)
    told = open_notifications(conf)
    if told is not None:
        meters.watch_dropped(lambda: told.dropped)
        told.start()
        database.listen(told.observe)
    shared = Shared(conf, clock, database, transport.open_transport(conf), meters, told)
    return Application(shared, [role(shared) for role in roles])
