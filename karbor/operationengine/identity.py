# SPDX-License-Identifier: Apache-2.0
"""As whom does the engine ask for the work of a tenant?"""

import base64
import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping

from oslo_config import cfg

from karbor.model import errors
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


def make_identity(conf: cfg.ConfigOpts) -> Identity:
    """As the settings say."""
    given = conf.operationengine
    if conf.auth_strategy == "noauth":
        return NoAuthIdentity()
    if conf.auth_strategy == "http_basic" and given.username and given.password:
        return BasicIdentity(given.username, given.password)
    if conf.auth_strategy == "http_basic":
        return NoIdentity("The engine has no login: its settings name no user of the project *.")
    return NoIdentity(f"The engine has no way to log in where auth_strategy is {conf.auth_strategy}.")
