# SPDX-License-Identifier: Apache-2.0
"""Which parts can a process play: the front door, the engine, the worker?"""

import logging
import os
import secrets
import threading
from pathlib import Path

from cheroot import wsgi
from oslo_config import cfg

from karbor.api.app import check_listen, make_app
from karbor.app.clouds import open_clouds
from karbor.app.engine import EngineRole as EngineRole
from karbor.app.engine import local_url
from karbor.app.vaults import open_providers
from karbor.app.wiring import Role, Shared
from karbor.common import loading
from karbor.model import errors
from karbor.model.service import WORKER
from karbor.protection import exports, sweeper
from karbor.protection.attempt import JobSettings
from karbor.protection.cleaner import Cleaner, settings_from
from karbor.protection.hosts import Hosts
from karbor.protection.hostwork import HostWork
from karbor.protection.keywatch import KeyWatch
from karbor.protection.lanes import Lanes
from karbor.protection.lending import lender_from
from karbor.protection.operation import Parts
from karbor.protection.protectables import ProtectableRegistry
from karbor.protection.providers import ProviderRegistry
from karbor.protection.purger import Purger, keep_from
from karbor.protection.service import ProtectionService
from karbor.protection.sweeper import Sweeper
from karbor.protection.watcher import Watcher
from karbor.protection.worker import Worker
from karbor.rpc import client, interface, server
from karbor.sdk.environment import Environment

LOG = logging.getLogger(__name__)
#: What a worker does that cannot read: nothing that needs an earlier point.
ONLY_SEALS = ("protect",)
#: Bytes of the largest request line with headers; a token of Keystone has a few hundred.
MAX_HEADER = 64 * 1024


class ApiRole(Role):
    """karbor-api: REST over HTTP."""

    name = "api"

    def __init__(self, shared: Shared) -> None:
        super().__init__(shared)
        conf = shared.conf
        protection = client.make_client(interface.Protection, shared.messaging, timeout=conf.rpc_answer_timeout)
        check_listen(conf)
        application = make_app(
            conf,
            database=shared.database,
            protection=protection,
            clock=shared.clock,
            meters=shared.meters,
            identity=shared.identity,
        )
        address = (conf.osapi_karbor_listen, conf.osapi_karbor_listen_port)
        self._server = wsgi.Server(
            address, application, numthreads=conf.api_threads, server_name="karbor", shutdown_timeout=10
        )
        self._server.max_request_header_size = MAX_HEADER
        self._thread = threading.Thread(target=self._server.serve, name="http", daemon=True)

    @property
    def port(self) -> int:
        """The port in use; differs from the setting where that is 0."""
        return int(self._server.bind_addr[1])

    def start(self) -> None:
        self._server.prepare()
        self.shared.places["api"] = local_url(self.shared.conf.osapi_karbor_listen, self.port)
        self._thread.start()

    def stop(self, grace: float) -> None:
        self._server.stop()
        self._thread.join(grace)


class ProtectionRole(Role):
    """karbor-protection: does the work."""

    name = "protection"

    def __init__(self, shared: Shared) -> None:
        super().__init__(shared)
        conf = shared.conf
        self.environment = make_environment(shared)
        self.providers = make_providers(shared, self.environment)
        clouds = open_clouds(conf)
        protectables = make_protectables(shared, self.environment, in_cloud=clouds is not None)
        lender = lender_from(conf, shared.clock)
        parts = Parts(
            shared.database,
            self.providers,
            protectables,
            shared.clock,
            clouds,
            lender=lender,
            max_passing=conf.max_passing,
            hosts=Hosts(
                shared.database,
                conf.host,
                shared.clock,
                down=conf.service_down_time,
                lease=conf.jobs.lease,
                wake=self._wake_host,
            ),
        )
        self._steps = Lanes(conf.max_parallel_steps, conf.max_parallel_snapshots)
        owner = f"{conf.host}:{os.getpid()}:{secrets.token_hex(4)}"
        self.worker = Worker(parts, self._steps, job_settings(conf), owner=owner, host=conf.host)
        self._host_steps = Lanes(conf.max_parallel_steps, conf.max_parallel_snapshots)
        self._host_work = HostWork(
            parts, self._host_steps, host=conf.host, owner=owner, lease=conf.jobs.lease, poll=conf.jobs.poll
        )
        self._watcher = Watcher(parts, self.environment, binary=WORKER, interval=shared.conf.report_interval)
        self._cleaner = Cleaner(self.providers, settings_from(conf), interval=conf.cleanup.interval)
        self._key_watch = KeyWatch(self.providers, interval=conf.vault.key_check_interval)
        self._sweeper = Sweeper(
            shared.database, self.providers, clouds, shared.clock, sweeper.settings_from(conf), meters=shared.meters
        )
        self._purger = Purger(shared.database, shared.clock, keep_from(conf), interval=conf.purge.interval)
        self._exports = exports.Exports(
            shared.database, exports.place_from(conf), self.providers.ids, shared.clock, poll=conf.jobs.poll
        )
        service = ProtectionService(
            self.worker,
            protectables,
            self.providers,
            shared.clock,
            wake=self._wake_others,
            clouds=clouds,
            max_passing=conf.max_passing,
            file_readers=conf.export.file_readers,
        )
        self._server = server.make_server(interface.Protection, service, shared.messaging, host=conf.host)

    def start(self) -> None:
        self._watcher.start()
        self.worker.start()
        self._host_work.start()
        self._exports.start()
        self._cleaner.start()
        self._purger.start()
        self._sweeper.start()
        self._key_watch.start()
        self._server.start()

    def stop(self, grace: float) -> None:
        self._server.stop()
        self._server.wait()
        self._exports.stop()
        self.worker.stop(grace)
        self._host_work.stop(grace)
        self._watcher.stop()
        self._cleaner.stop()
        self._purger.stop()
        self._sweeper.stop()
        self._key_watch.stop()
        for lanes in (self._steps, self._host_steps):
            lanes.shutdown(wait=False, cancel_futures=True)
        self.providers.close()

    def _wake_others(self) -> None:
        """Whoever else in this process looks for work."""
        self._host_work.wake()
        self._exports.wake()

    def _wake_host(self, host: str, job_id: str) -> None:
        """Tell the worker of another host; one that does not hear it looks by itself, later."""
        conf = self.shared.conf
        there = client.make_client(
            interface.Protection, self.shared.messaging, timeout=conf.rpc_answer_timeout, host=host
        )
        try:
            there.run(job_id)
        except errors.KarborError as fault:
            LOG.warning("worker not woken host=%s %s", host, fault.operator_text())


def job_settings(conf: cfg.ConfigOpts) -> JobSettings:
    """How a worker does its jobs, as the settings say."""
    return JobSettings(
        lease=conf.jobs.lease,
        poll=conf.jobs.poll,
        attempts=conf.jobs.attempts,
        retry_delay=conf.jobs.retry_delay,
        concurrent=conf.max_concurrent_operations,
        operations=ONLY_SEALS if conf.vault.sealer_dir else None,
    )


def make_environment(shared: Shared) -> Environment:
    """Load the hypervisor drivers that this host has."""
    conf = shared.conf
    hypervisors = {}
    for name in conf.enabled_hypervisors:
        driver = loading.plugin_class("karbor.hypervisors", name)
        state_dir = Path(conf.state_path) / name
        state_dir.mkdir(parents=True, exist_ok=True)
        state_dir.chmod(0o711)  # the hypervisor's own processes pass through
        hypervisors[name] = driver(loading.settings_from(conf, name, driver.Settings), state_dir=str(state_dir))
    return Environment(
        host=conf.host, state_dir=conf.state_path, default_project=conf.default_project, hypervisors=hypervisors
    )


def make_protectables(shared: Shared, environment: Environment, *, in_cloud: bool) -> ProtectableRegistry:
    """Load the plug-ins that find resources; those of clouds only where there is one."""
    conf = shared.conf
    plugins = [
        plugin(loading.settings_from(conf, name.replace("-", "_"), plugin.Settings), environment)
        for name, plugin in loading.plugin_classes("karbor.protectables").items()
        if in_cloud or not plugin.acts_in_cloud
    ]
    return ProtectableRegistry(plugins, max_chosen=conf.max_chosen)


def make_providers(shared: Shared, environment: Environment) -> ProviderRegistry:
    """Load the provider files."""
    return open_providers(shared.conf, shared.clock, environment)
