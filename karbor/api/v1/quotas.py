# SPDX-License-Identifier: Apache-2.0
"""Quotas: how much may a project have, and how much has it?"""

import logging
import uuid
from typing import Any

from karbor.api.call import Call
from karbor.api.node import Item, Node
from karbor.api.operation import Answer, operation
from karbor.conf import quota as settings
from karbor.db.database import Transaction
from karbor.model import errors
from karbor.model.quota import DEFAULT_CLASS, KINDS
from karbor.schema.nouns.quota import QUOTA, QUOTA_CHANGE, QUOTA_DETAIL
from karbor.schema.types import END, PROJECT_ID

LOG = logging.getLogger(__name__)


def _project(call: Call) -> str:
    """The project asked about. Raises InvalidInput for what is no project id, Forbidden for another project."""
    found = call.path["quota_project_id"]
    if found != call.project_id:  # stand-alone services may have given theirs another form
        try:
            uuid.UUID(found)
        except ValueError:
            raise errors.InvalidInput("The project id in the URL is not a uuid.") from None
    call.allow(project_id=found)
    return found


def _limits(call: Call, rows: Transaction, project_id: str) -> dict[str, Any]:
    return {"id": project_id, **rows.quotas.limits(project_id, settings.defaults(call.services.conf))}


class Detail(Node):
    """``/quotas/{project_id}/detail``"""

    @operation("quota:get_detail", response=QUOTA_DETAIL, errors=(400, 404))
    def get(self, call: Call) -> Answer:
        """Show the limits of a project with what it has."""
        project_id = _project(call)
        with call.services.database.read() as rows:
            limits = _limits(call, rows, project_id)
            usage = rows.quotas.usage(project_id)
        return {"quota": {"id": project_id, **{kind: {"limit": limits[kind], **usage[kind]} for kind in KINDS}}}


class Defaults(Node):
    """``/quotas/{project_id}/defaults``"""

    @operation("quota:get_default", response=QUOTA, errors=(400, 404))
    def get(self, call: Call) -> Answer:
        """Show the limits of a project that was given none of its own."""
        project_id = _project(call)
        with call.services.database.read() as rows:
            limits = rows.quotas.class_limits(DEFAULT_CLASS, settings.defaults(call.services.conf))
        return {"quota": {"id": project_id, **limits}}


class Quota(Node):
    """``/quotas/{project_id}``"""

    below = {"detail": Detail, "defaults": Defaults}

    @operation("quota:get", response=QUOTA, errors=(400, 404))
    def get(self, call: Call) -> Answer:
        """Show the limits of a project."""
        project_id = _project(call)
        with call.services.database.read() as rows:
            return {"quota": _limits(call, rows, project_id)}

    @operation("quota:update", role="admin", body=QUOTA_CHANGE, response=QUOTA, errors=(400, 404))
    def put(self, call: Call) -> Answer:
        """Give a project limits of its own. What is not named stays; what the project has already, it keeps."""
        project_id = _project(call)
        given = {kind: int(call.body[kind]) for kind in KINDS if kind in call.body}  # 50.0 is whole, too

        def change(rows: Transaction) -> dict[str, Any]:
            rows.quotas.set(project_id, given)
            return _limits(call, rows, project_id)

        limits = call.services.database.retrying(change)
        LOG.info("quota changed project=%s limits=%s request=%s", project_id, given, call.context.request_id)
        return {"quota": limits}

    @operation("quota:delete", role="admin", status=204, errors=(400, 404))
    def delete(self, call: Call) -> Answer:
        """Take the limits of its own from a project. The defaults hold again."""
        project_id = _project(call)
        call.services.database.retrying(lambda rows: rows.quotas.reset(project_id))
        LOG.info("quota reset project=%s request=%s", project_id, call.context.request_id)
        return None


class Quotas(Node):
    """``/quotas``: only the quotas of one project have an address."""

    item = Item(
        "quota_project_id",
        {
            **PROJECT_ID,
            "pattern": r"^[A-Za-z0-9_.~:@-]{1,64}" + END,
            "description": "The project asked about; another than yours only for administrators.",
        },
        Quota,
    )
