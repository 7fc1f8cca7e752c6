# SPDX-License-Identifier: Apache-2.0
"""Files: what lies on the disks of a checkpoint?"""

import base64
import hashlib
import logging
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any

import webob

from karbor.api import download, paging
from karbor.api.call import Call, Services
from karbor.api.limits import Concurrency
from karbor.api.node import Node
from karbor.api.operation import Answer, operation
from karbor.api.v1.views import moment
from karbor.model import errors
from karbor.model.checkpoint import Checkpoint
from karbor.rpc.interface import FILE_PART
from karbor.schema.nouns.file import CONTENT_PARAMETERS, FILES, MEDIA, PARAMETERS

LOG = logging.getLogger(__name__)
_LIMIT = 1000


class FileContent(Node):
    """``/providers/{id}/checkpoints/{id}/files/content``"""

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        own = services.conf.export
        self._all = Concurrency(own.downloads, what="downloads of files")
        self._of_project = Concurrency(own.project_downloads, what="downloads of files of this project")

    @operation(
        "provider:checkpoint_file_content",
        role="member",
        media=MEDIA,
        parameters=CONTENT_PARAMETERS,
        errors=(400, 404, 409, 413, 416, 501, 503),
    )
    def get(self, call: Call) -> webob.Response:
        """Read a file of a checkpoint.

        The content as the disk has it, or a range of it. Nothing is restored, and no machine is started. Only files
        with content are read, no links and no devices. The operator bounds how large a file may be, how fast it comes,
        and how many are read at a time.
        """
        checkpoint, wish = _asked(call)
        if wish["path"] is None:
            raise errors.InvalidInput("Say with path which file.")
        with ExitStack() as stack:
            stack.enter_context(self._of_project.hold(call.project_id))
            stack.enter_context(self._all.hold(""))
            LOG.info(
                "file read checkpoint=%s project=%s user=%s request=%s",
                checkpoint.id,
                checkpoint.project_id,
                call.context.user_id,
                call.context.request_id,
            )
            most = call.services.conf.export.file_max << 20
            pace = download.settings(call, FILE_PART)
            read = _reader(call, checkpoint, wish)
            return download.respond(call, read, pace, media=MEDIA, most=most, held=stack)


def _reader(call: Call, checkpoint: Checkpoint, wish: Mapping[str, Any]) -> Callable[[int, int], download.Part]:
    """Asks a worker for a part of the file."""

    def read(offset: int, length: int) -> download.Part:
        found = call.services.protection.read_file(
            project_id=checkpoint.project_id,
            provider_id=checkpoint.provider_id,
            checkpoint_id=checkpoint.id,
            wish=wish,
            offset=offset,
            length=length,
        )
        named = repr((checkpoint.id, sorted(wish.items()), found["size"], found["modified"]))
        tag = hashlib.sha256(named.encode()).hexdigest()[:32]
        data = base64.b64decode(found["data"])
        return download.Part(data, found["size"], found["name"], tag, found["modified"])

    return read


class Files(Node):
    """``/providers/{id}/checkpoints/{id}/files``"""

    below = {"content": FileContent}

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
        journal. What is in a file is read below `content`.
        """
        checkpoint, wish = _asked(call)
        most = min(_LIMIT, call.services.conf.osapi_max_limit)
        wish |= {"after": call.query.get("marker", ""), "limit": paging.limit(call.query, max_limit=most)}
        found = call.services.protection.list_files(
            project_id=checkpoint.project_id, provider_id=checkpoint.provider_id, checkpoint_id=checkpoint.id, wish=wish
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


def _asked(call: Call) -> tuple[Checkpoint, dict[str, Any]]:
    """The checkpoint of the request, where files of it can be read, and what of it. Raises what is not right."""
    with call.services.database.read() as rows:
        provider = rows.providers.get(call.path["provider_id"])
        checkpoint = rows.checkpoints.get(call.path["checkpoint_id"], project_id=call.scope, provider_id=provider.id)
    call.allow(project_id=checkpoint.project_id)
    if checkpoint.status != "available":
        raise errors.Conflict(f"The checkpoint is {checkpoint.status}; only files of an available one are read.")
    if not provider.available:
        raise errors.Unavailable(f"The provider {provider.name} is not available: {provider.reason}")
    return checkpoint, {name: call.query.get(name) for name in ("resource", "stream", "volume", "path")}
