# SPDX-License-Identifier: Apache-2.0
"""Where does a daemon without a front door show what its process counts?"""

import threading

from cheroot import wsgi
from oslo_config import cfg

from karbor.api.auth import is_loopback
from karbor.api.metrics import Metrics
from karbor.common.meters import Meters
from karbor.model import errors


class MetricsPort:
    """A small server with one page, ``/metrics``, of this process alone: it never asks the database."""

    def __init__(self, conf: cfg.ConfigOpts, meters: Meters) -> None:
        """Raises ConfigurationError where everybody could read it from other hosts, and nobody said so."""
        own = conf.metrics
        local = is_loopback(own.listen)
        if not (local or own.token or own.public):
            raise errors.ConfigurationError(
                f"The metrics may not be shown on {own.listen} to everybody.",
                next_action="set [metrics] token, or public, or listen = 127.0.0.1",
            )
        page = Metrics(conf, [meters.registry], open_to_all=local)
        self._server = wsgi.Server((own.listen, own.port), page, numthreads=2, server_name="karbor-metrics")
        self._thread = threading.Thread(target=self._server.serve, name="metrics", daemon=True)

    @property
    def port(self) -> int:
        """The port in use."""
        return int(self._server.bind_addr[1])

    def start(self) -> None:
        """Begin to serve. Raises ConfigurationError where the port cannot be had."""
        try:
            self._server.prepare()
        except OSError as fault:
            raise errors.ConfigurationError(
                "The port of the metrics cannot be used.", detail=str(fault), next_action="set another [metrics] port"
            ) from fault
        self._thread.start()

    def stop(self) -> None:
        """Serve no more."""
        self._server.stop()
        self._thread.join(10)
