# SPDX-License-Identifier: Apache-2.0
"""Who asks, and on whose behalf?"""

from typing import Any

from oslo_context import context


class RequestContext(context.RequestContext):
    """oslo.context's RequestContext; ``project_id``, ``user_id``, ``roles`` and ``request_id`` are what we use."""

    @property
    def sees_all_projects(self) -> bool:
        """Whether an all-tenants list may be asked for."""
        return bool(self.is_admin)


def for_service(**values: Any) -> RequestContext:
    """The context of work that no request stands behind (polling, recovery)."""
    return RequestContext(is_admin=True, **values)
