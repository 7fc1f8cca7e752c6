# SPDX-License-Identifier: Apache-2.0
"""Who asks, and on whose behalf?"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from oslo_context import context

from karbor.model.operation import Job


class RequestContext(context.RequestContext):
    """oslo.context's RequestContext; ``project_id``, ``user_id``, ``roles`` and ``request_id`` are what we use.

    ``sees_all_projects``: whether things of every project are shown, and an all-tenants list may be asked for.
    ``trust_id``: the trust (at Keystone) that the login came by; None for a login of the user's own.
    """

    def __init__(self, *values: Any, **named: Any) -> None:
        super().__init__(*values, **named)
        self.sees_all_projects = bool(self.is_admin)
        self.trust_id: str | None = None


def begin(*, request_id: str | None, global_request_id: str | None = None, auth_token: str | None = None) -> None:
    """From here on, log lines and calls of this thread belong to that request, whatever it did before."""
    RequestContext(request_id=request_id, global_request_id=global_request_id, auth_token=auth_token, overwrite=True)


def forget_token() -> None:
    """The request of this thread was answered: what it did in a user's name is over."""
    current = context.get_current()
    if current is not None:
        current.auth_token = None


@contextmanager
def with_token(token: str) -> Iterator[None]:
    """While this lasts, questions of this thread are asked with that token instead of the one of the request."""
    current = context.get_current()
    assert current is not None
    before = current.auth_token
    current.auth_token = token
    try:
        yield
    finally:
        current.auth_token = before


def begin_job(job: Job) -> None:
    """From here on, log lines of this thread belong to the request that asked for the job."""
    begin(request_id=job.request_id, global_request_id=job.payload.get("global_request_id"))


def for_service(**values: Any) -> RequestContext:
    """The context of work that no request stands behind (polling, recovery)."""
    return RequestContext(is_admin=True, **values)
