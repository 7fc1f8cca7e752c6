# SPDX-License-Identifier: Apache-2.0
"""Files: what lies on the disks of a checkpoint?"""

import logging
from datetime import UTC, datetime
from typing import Any

from karbor.api import paging
from karbor.api.call import Call
from karbor.api.node import Node
from karbor.api.operation import Answer, operation
from karbor.api.v1.views import moment
from karbor.model import errors
from karbor.schema.nouns.file import FILES, PARAMETERS

LOG = logging.getLogger(__name__)
_LIMIT = 1000


class Files(Node):
    """``/providers/{id}/checkpoints/{id}/files``"""

    @operation(
        "provider:checkpoint_files",
        role="member",
        response=FILES,
        parameters=PARAMETERS,
        errors=(400, 404, 409, 501, 503),
    )
    def get(self, call: Call) -> Answer:
        """List the files of a checkpoint.

        Nothing is restored, and no machine is started. File systems that were not frozen are shown without their
        journal. Content is not read here: export the disk, or ask an operator.
        """
        with call.services.database.read() as rows:
            provider = rows.providers.get(call.path["provider_id"])
            checkpoint = rows.checkpoints.get(
                call.path["checkpoint_id"], project_id=call.scope, provider_id=provider.id
            )
        call.allow(project_id=checkpoint.project_id)
        if checkpoint.status != "available":
            raise errors.Conflict(f"The checkpoint is {checkpoint.status}; only files of an available one are listed.")
        if not provider.available:
            raise errors.Unavailable(f"The provider {provider.name} is not available: {provider.reason}")
        wish: dict[str, Any] = {name: call.query.get(name) for name in ("resource", "stream", "volume", "path")}
        most = min(_LIMIT, call.services.conf.osapi_max_limit)
        wish |= {"after": call.query.get("marker", ""), "limit": paging.limit(call.query, max_limit=most)}
        found = call.services.protection.list_files(
            project_id=checkpoint.project_id, provider_id=provider.id, checkpoint_id=checkpoint.id, wish=wish
        )
        LOG.info(
            "files listed checkpoint=%s project=%s user=%s request=%s",
            checkpoint.id,
            checkpoint.project_id,
            call.context.user_id,
            call.context.request_id,
        )
        files = [{**file, "modified": moment(datetime.fromtimestamp(file["modified"], UTC))} for file in found["files"]]
        return {"files": files, "volumes": list(found["volumes"]), "note": found["note"] or None}
