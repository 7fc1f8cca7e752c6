# SPDX-License-Identifier: Apache-2.0
"""What does an operation of the API get to work with?"""

import functools
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from oslo_config import cfg
from webob.multidict import MultiDict

from karbor.api.limits import Rate
from karbor.api.policy import Policy
from karbor.clients.elsewhere import Elsewhere
from karbor.clients.identity import Identity
from karbor.common.clock import Clock
from karbor.common.context import RequestContext
from karbor.db.database import Database
from karbor.model.page import PageRequest
from karbor.rpc.interface import Protection
from karbor.schema.operation import Endpoint


@dataclass(frozen=True)
class Services:
    """What all requests share. ``identity``: logins at Keystone, and ``elsewhere``: at those of other clouds; both None
    where callers log in another way."""

    conf: cfg.ConfigOpts
    database: Database
    protection: Protection
    clock: Clock
    policy: Policy
    endpoints: tuple[Endpoint, ...]
    work_rate: Rate
    identity: Identity | None = None
    elsewhere: Elsewhere | None = None


@dataclass(frozen=True)
class Call:
    """One valid, permitted request. ``path`` holds the ids of the URL, ``body`` what lies inside the envelope.

    ``url`` is the address without query string; ``page`` says which part of a list is asked for. ``headers`` holds
    those that the operation declares, and no others.
    """

    services: Services
    context: RequestContext
    rule: str | None
    path: Mapping[str, str]
    query: "MultiDict[str, str]"
    body: Any
    url: str
    base_url: str
    page: PageRequest = PageRequest()
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def project_id(self) -> str:
        """The caller's project."""
        return str(self.context.project_id)

    @property
    def scope(self) -> str | None:
        """The project that a thing must belong to so that the caller can see it; None where all are seen."""
        return None if self.context.sees_all_projects else self.project_id

    def href(self, path: str) -> str:
        """The address of something below the caller's project, as clients reach it."""
        return self._home + path

    @functools.cached_property
    def _home(self) -> str:
        return f"{self.base_url}/v1/{quote(self.project_id, safe='~:@')}"

    def allow(self, *, project_id: str) -> None:
        """Check the rule of this operation against a thing of that project. Raises Forbidden.

        For the caller's own project that was done before the operation began.
        """
        if self.rule is not None and project_id != self.project_id:
            self.services.policy.check(self.rule, self.context, project_id=project_id)

    def require(self, rule: str, *, project_id: str) -> None:
        """Check one of the operation's other rules against a thing of that project. Raises Forbidden."""
        self.services.policy.check(rule, self.context, project_id=project_id)


def canonical(text: str) -> str:
    """A valid uuid in the one form we store."""
    return str(uuid.UUID(text))
