# SPDX-License-Identifier: Apache-2.0
"""Are the banks and hypervisors of this worker fit for use, and is what dead processes left behind mended?"""

import logging
import threading

from sqlalchemy.exc import SQLAlchemyError

from karbor.model import errors
from karbor.protection.operation import Parts
from karbor.protection.providers import Provider
from karbor.sdk.environment import Environment

LOG = logging.getLogger(__name__)


class Watcher:
    """Describes the providers in the database, watches their banks, recovers hypervisors once, gives signs of life."""

    def __init__(self, parts: Parts, environment: Environment, *, binary: str, interval: float) -> None:
        self._parts = parts
        self._environment = environment
        self._binary = binary
        self._interval = interval
        self._unrecovered = set(environment.hypervisors)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="watcher", daemon=True)

    def start(self) -> None:
        """Look once now, so that whoever starts us finds the providers described, then every ``interval`` seconds."""
        self.look()
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(10)

    def look(self) -> None:
        """One look at everything."""
        self._recover()
        with self._parts.database.write() as rows:
            rows.services.heartbeat(binary=self._binary, host=self._environment.host)
        for provider in self._parts.providers:
            self._describe(provider)
        if self._parts.lender is not None:
            self._parts.lender.sweep(self._is_live)

    def _loop(self) -> None:
        while not self._stop.wait(self._interval):
            try:
                self.look()
            except SQLAlchemyError as fault:
                LOG.error("cannot write the state of this service cause=%s", fault)

    def _describe(self, provider: Provider) -> None:
        reason = ""
        try:
            identity = provider.check()
        except errors.KarborError as fault:
            reason = fault.message
            LOG.warning("provider not usable provider=%s %s", provider.id, fault.operator_text())
        with self._parts.database.write() as rows:
            rows.providers.put(provider.info)
            if not reason:
                known = rows.providers.bank_identity(provider.id)
                if known is None:
                    rows.providers.set_bank_identity(provider.id, identity)
                elif known != identity:
                    reason = "The bank is not the one that this provider used before."
                    LOG.error("bank changed provider=%s was=%s is=%s", provider.id, known, identity)
            rows.providers.set_available(provider.id, available=not reason, reason=reason)
            # Once more: a bank or a key manager that does not answer takes long for each provider.
            rows.services.heartbeat(binary=self._binary, host=self._environment.host)

    def _recover(self) -> None:
        for name in sorted(self._unrecovered):
            try:
                for line in self._environment.hypervisors[name].recover(self._is_wanted):
                    LOG.info("recovered hypervisor=%s %s", name, line)
                self._unrecovered.discard(name)
            except errors.KarborError as fault:
                LOG.warning("hypervisor not usable hypervisor=%s %s", name, fault.operator_text())

    def _is_live(self, job_id: str) -> bool:
        with self._parts.database.read() as rows:
            try:
                return rows.jobs.get(job_id).state in ("queued", "running")
            except errors.NotFound:
                return False

    def _is_wanted(self, scope: str, token: str) -> bool:
        """Whether a job will come back for the capture of checkpoint ``token``."""
        with self._parts.database.read() as rows:
            return bool(rows.jobs.live_for(checkpoint_id=token))
