# SPDX-License-Identifier: Apache-2.0
"""As whom does the engine ask for the work of a tenant?"""

import base64
import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping

from oslo_config import cfg

from karbor.clients.identity import Identity as Keystone
from karbor.db.database import Database
from karbor.model import errors
from karbor.model.scheduled_operation import NO_PERMISSION
from karbor.model.scheduled_run import ScheduledRun

LOG = logging.getLogger(__name__)


class Identity(ABC):
    """A way to log in on behalf of the project of a run. Used by many threads."""

    @abstractmethod
    def headers(self, run: ScheduledRun) -> Mapping[str, str]:
        """The headers that let a request for this run in.

        Raises Forbidden where the tenant's permission is gone (nothing helps but the tenant), Unavailable where nobody
        can be asked just now.
        """

    def refused(self, run: ScheduledRun) -> None:
        """The headers were not taken: forget what is remembered of them."""
        LOG.warning("login refused run=%s project=%s", run.id, run.project_id)


class NoAuthIdentity(Identity):
    """A service without login: everybody names a user and a project."""

    def headers(self, run: ScheduledRun) -> Mapping[str, str]:
        return {"X-Auth-Token": f"{run.user_id or 'karbor-operationengine'}:{run.project_id}"}


class BasicIdentity(Identity):
    """One user of the service itself, which may act in every project (project ``*`` in the file of users)."""

    def __init__(self, username: str, password: str) -> None:
        self._given = base64.b64encode(f"{username}:{password}".encode()).decode()

    def headers(self, run: ScheduledRun) -> Mapping[str, str]:
        return {"Authorization": f"Basic {self._given}"}


class NoIdentity(Identity):
    """Nobody said as whom the engine may ask. The runs show it."""

    def __init__(self, reason: str) -> None:
        LOG.warning("schedules are not run reason=%s", reason)
        self._reason = reason

    def headers(self, run: ScheduledRun) -> Mapping[str, str]:
        raise errors.Forbidden(self._reason)


class TrustIdentity(Identity):
    """The user of the schedule, by the schedule's trust. Whether that lets us log in is shown with the schedule."""

    def __init__(self, database: Database, keystone: Keystone) -> None:
        self._database = database
        self._keystone = keystone

    def headers(self, run: ScheduledRun) -> Mapping[str, str]:
        id = run.scheduled_operation_id
        with self._database.read() as rows:
            trust_id, lost = rows.trusts.of_schedule(id)
        if trust_id is None:
            raise errors.Forbidden(NO_PERMISSION)
        try:
            token = self._keystone.login(trust_id, fresh=lost is not None)
        except errors.Forbidden as fault:
            note_permission(self._database, id, trust_id=trust_id, reason=fault.message)
            raise
        if lost is not None:
            note_permission(self._database, id, trust_id=trust_id, reason=None)
        return {"X-Auth-Token": token}

    def refused(self, run: ScheduledRun) -> None:
        super().refused(run)
        with self._database.read() as rows:
            trust_id, _lost = rows.trusts.of_schedule(run.scheduled_operation_id)
        if trust_id is not None:
            self._keystone.forget(trust_id)


def note_permission(database: Database, id: str, *, trust_id: str | None, reason: str | None) -> None:
    """Show whether the permission of a schedule holds; ``reason`` says why not. One log line where that changed."""
    changed = database.retrying(
        lambda rows: rows.scheduled_operations.note_permission(id, trust_id=trust_id, reason=reason)
    )
    if changed and reason is None:
        LOG.info("permission is back scheduled_operation=%s trust=%s", id, trust_id)
    elif changed:
        LOG.warning("permission lost scheduled_operation=%s trust=%s cause=%s", id, trust_id, reason)


def make_identity(conf: cfg.ConfigOpts, database: Database, keystone: Keystone | None) -> Identity:
    """As the settings say. ``keystone`` where auth_strategy is keystone."""
    given = conf.operationengine
    if conf.auth_strategy == "noauth":
        return NoAuthIdentity()
    if conf.auth_strategy == "http_basic" and given.username and given.password:
        return BasicIdentity(given.username, given.password)
    if conf.auth_strategy == "http_basic":
        return NoIdentity("The engine has no login: its settings name no user of the project *.")
    if keystone is not None:
        return TrustIdentity(database, keystone)
    return NoIdentity(f"The engine has no way to log in where auth_strategy is {conf.auth_strategy}.")
