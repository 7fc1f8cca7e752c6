# SPDX-License-Identifier: Apache-2.0
"""How does a process play the operation engine?"""

import os
import secrets
from collections.abc import Mapping
from datetime import timedelta

from karbor.app.wiring import Role, Shared
from karbor.conf.leftovers import hold_of
from karbor.operationengine.engine import Engine, EngineSettings
from karbor.operationengine.happenings import Happenings
from karbor.operationengine.hearing import Hearing
from karbor.operationengine.identity import make_identity
from karbor.operationengine.northbound import RestNorthbound
from karbor.operationengine.promises import Promises
from karbor.operationengine.steps import Steps, StepSettings
from karbor.operationengine.telling import open_channels
from karbor.operationengine.trusts import KeeperSettings, TrustKeeper
from karbor.operationengine.watch import Watch, WatchSettings
from karbor.rpc.listener import open_listener
from karbor.sdk.trigger import Limits, TriggerType, load_types

_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - where everybody may come in, so may we


class EngineRole(Role):
    """karbor-operationengine: follows triggers and begins scheduled operations, through the REST API."""

    name = "operationengine"

    def __init__(self, shared: Shared) -> None:
        super().__init__(shared)
        conf = shared.conf
        given = conf.operationengine
        kinds = load_types(Limits(conf.min_interval, conf.min_window_time, conf.max_window_time))
        north = RestNorthbound(
            self._url,
            make_identity(conf, shared.database, shared.identity),
            timeout=min(given.request_timeout, given.lease / 2),
        )
        happenings = Happenings(kinds, interval_ms=conf.event_interval * 1000)
        self._listener = open_listener(conf, Hearing(shared.database, happenings).hear)
        pace = StepSettings(
            lease=given.lease * 1000,
            watch=int(given.watch * 1000),
            retry=given.retry_delay * 1000,
            breaker_failures=given.breaker_failures,
            breaker_pause=given.breaker_pause * 1000,
        )
        steps = Steps(shared.database, north, pace, happenings)
        settings = EngineSettings(
            lease_ms=given.lease * 1000,
            poll=given.poll,
            threads=given.threads,
            project_runs=given.project_runs,
            provider_runs=given.provider_runs,
            report_interval=conf.report_interval,
            keep_days=given.keep_runs,
        )
        self._keeper = make_keeper(shared)
        self._watch = make_watch(shared, kinds)
        owner = f"{conf.host}:{os.getpid()}:{secrets.token_hex(4)}"
        self.engine = Engine(shared.database, steps, kinds, settings, clock=shared.clock, owner=owner, host=conf.host)

    def start(self) -> None:
        self.engine.start()
        if self._keeper is not None:
            self._keeper.start()
        if self._listener is not None:
            self._listener.start()
        self._watch.start()

    def stop(self, grace: float) -> None:
        self._watch.stop(grace)
        if self._listener is not None:
            self._listener.stop()
        self.engine.stop(grace)
        if self._keeper is not None:
            self._keeper.stop(grace)

    def _url(self) -> str:
        """Where the API is: as the settings say, or in this process, or where its settings say."""
        conf = self.shared.conf
        listening = local_url(conf.osapi_karbor_listen, conf.osapi_karbor_listen_port)
        return str(conf.operationengine.api_url or self.shared.places.get("api") or listening)


def make_keeper(shared: Shared) -> TrustKeeper | None:
    """Whoever looks after trusts, where there is a Keystone."""
    if shared.identity is None:
        return None
    own = shared.conf.clients
    settings = KeeperSettings(own.trust_sweep_interval, own.trust_check_interval, hold_of(shared.conf))
    return TrustKeeper(shared.database, shared.identity, settings, clock=shared.clock)


def make_watch(shared: Shared, kinds: Mapping[str, TriggerType]) -> Watch:
    """Whoever raises alarms about plans."""
    own = shared.conf.alarms
    settings = WatchSettings(
        interval=own.interval,
        message_interval=own.message_interval,
        keep=own.keep_hours * 3600.0,
        timeout=own.timeout,
        plans=own.message_plans,
    )
    promises = Promises(kinds, grace=timedelta(seconds=own.grace))
    return Watch(shared.database, promises, open_channels(shared.conf), settings)


def local_url(listen: str, port: int) -> str:
    """The address of an API that listens so, for processes of the same host."""
    address = _ANY.get(listen, listen)
    return f"http://{f'[{address}]' if ':' in address else address}:{port}"
