# SPDX-License-Identifier: Apache-2.0
"""Which files does a checkpoint hold, for those who ask the API?"""

import contextlib
import stat
from collections.abc import Iterator, Mapping
from typing import Any

from karbor.model import errors
from karbor.model.checkpoint import CheckpointRecord
from karbor.protection import export
from karbor.protection.providers import Provider
from karbor.virt.files.box import Box, Entry

KINDS = {stat.S_IFDIR: "directory", stat.S_IFREG: "file", stat.S_IFLNK: "link"}
_MOST = 100_000  # entries of a directory: they are sorted in memory


def list_files(provider: Provider, wish: Mapping[str, Any], *, project_id: str, checkpoint_id: str) -> dict[str, Any]:
    """``volumes`` of the disk, ``files`` of a directory of one of them, and a ``note`` ("" for none).

    ``wish``: ``resource``, ``stream``, ``volume`` (each may be None), ``path`` (None: only the volumes), ``after`` and
    ``limit``. Raises InvalidInput for what is not there or cannot be read, NotFound, NotSupported.
    """
    with opened(provider, wish, project_id=project_id, checkpoint_id=checkpoint_id) as (box, record):
        volumes = [dict(volume) for volume in box.volumes()]
        files = [] if wish["path"] is None else _page(box, wish)
    return {"volumes": volumes, "files": files, "note": export.not_frozen(record)}


@contextlib.contextmanager
def opened(
    provider: Provider, wish: Mapping[str, Any], *, project_id: str, checkpoint_id: str
) -> Iterator[tuple[Box, CheckpointRecord]]:
    """The disk that ``wish`` names, and the record of its checkpoint. What is wrong with the disk is told in the block
    as InvalidInput: whoever asked chose it; damage of the bank as Conflict."""
    domain = provider.vault.domain(project_id)
    record = export.open_record(domain, checkpoint_id)
    if record.project_id != project_id:
        raise errors.NotFound(f"The checkpoint {checkpoint_id} could not be found.")
    try:
        yield Box(export.one_stream(domain, record, resource=wish["resource"], stream=wish["stream"])), record
    except errors.StepFailed as fault:
        raise errors.InvalidInput(fault.message, detail=fault.detail) from fault
    except errors.IntegrityError as fault:
        raise errors.Conflict(
            "The checkpoint is damaged where this lies.",
            detail=fault.operator_text(),
            next_action="verify the checkpoint, and read the file from another one",
        ) from fault


def _page(box: Box, wish: Mapping[str, Any]) -> list[dict[str, Any]]:
    """In order of the names, behind ``after``."""
    found: list[Entry] = []
    for entry in box.list(wish["volume"], [part for part in wish["path"].split("/") if part]):
        found.append(entry)
        if len(found) > _MOST:
            raise errors.InvalidInput(f"The directory has more than {_MOST} entries.")
    chosen = sorted((entry for entry in found if entry.name > wish["after"]), key=lambda entry: entry.name)
    return [_shown(entry) for entry in chosen[: wish["limit"]]]


def _shown(entry: Entry) -> dict[str, Any]:
    return {
        "name": storable(entry.name),
        "kind": "unreadable" if entry.unreadable else KINDS.get(stat.S_IFMT(entry.mode), "other"),
        "mode": stat.S_IMODE(entry.mode),
        "size": entry.size,
        "uid": entry.uid,
        "gid": entry.gid,
        "modified": entry.mtime,
        "target": None if entry.target is None else storable(entry.target),
    }


def storable(text: str) -> str:
    """A text from a disk, without halves of surrogate pairs, which JSON of the wire cannot hold."""
    return text.encode(errors="backslashreplace").decode()
