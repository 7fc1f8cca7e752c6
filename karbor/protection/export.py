# SPDX-License-Identifier: Apache-2.0
"""How are the streams of a checkpoint offered over NBD, and how are they used from there?"""

import contextlib
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

from karbor.model import errors
from karbor.model.checkpoint import RECORD, CheckpointRecord
from karbor.protection.providers import ProviderRegistry
from karbor.vault.domain import Domain
from karbor.vault.reader import READER_CACHE, ChunkedReader
from karbor.virt.nbdexport import NbdExport

if TYPE_CHECKING:  # an export is a process of its own, which must be there at once: it knows no database
    from karbor.db.database import Database


class Served(NamedTuple):
    """One stream that is offered."""

    resource: str
    stream: str
    size: int
    uri: str

    def to_dict(self) -> dict[str, str | int]:
        """For people and programs: what it is and commands that use it."""
        uri = shlex.quote(self.uri)
        return {
            "resource": self.resource,
            "stream": self.stream,
            "size": self.size,
            "uri": self.uri,
            "copy": f"nbdcopy {uri} disk.img",
            "convert": f"qemu-img convert -f raw -O qcow2 {uri} disk.qcow2",
            "overlay": f"qemu-img create -f qcow2 -F raw -b {uri} overlay.qcow2",
        }


def find(database: "Database", providers: ProviderRegistry, checkpoint_id: str) -> tuple[Domain, CheckpointRecord]:
    """Where a checkpoint lies, and what it holds; also of a damaged one, for what is left of it. Raises NotFound and
    what ``open_record`` raises."""
    with database.read() as rows:
        checkpoint = rows.checkpoints.get(checkpoint_id)
    domain = providers.get(checkpoint.provider_id).vault.holder(checkpoint.project_id, RECORD, checkpoint.id)
    return domain, open_record(domain, checkpoint_id)


def open_record(domain: Domain, checkpoint_id: str) -> CheckpointRecord:
    """What a checkpoint holds. Raises ObjectNotFound (it is not whole yet, or deleted), IntegrityError, NotSupported
    for a record of another release."""
    try:
        return CheckpointRecord.from_dict(domain.get_record(RECORD, checkpoint_id))
    except (ValueError, KeyError) as fault:
        raise errors.NotSupported("The record of this checkpoint is of another release.", detail=str(fault)) from fault


@contextlib.contextmanager
def serve(
    domain: Domain,
    record: CheckpointRecord,
    listen: Path | int,
    *,
    resource: str | None = None,
    stream: str | None = None,
    cache: int = 8 * READER_CACHE,
) -> Iterator[Sequence[Served]]:
    """Offer the streams of a checkpoint while the block runs: of one resource, or of one name, where these are given.

    ``listen`` as for NbdExport. ``cache`` bounds the bytes that are kept at hand, for all streams together. Raises
    NotFound where there is no such stream, ObjectNotFound and IntegrityError where one cannot be opened.
    """
    readers = _open(domain, record, resource, stream, cache)
    with NbdExport({f"{key}/{name}": reader for (key, name), reader in readers.items()}, listen) as export:
        yield [
            Served(key, name, reader.size, uri(listen, export.port, f"{key}/{name}" if len(readers) > 1 else ""))
            for (key, name), reader in readers.items()
        ]


def one_stream(
    domain: Domain, record: CheckpointRecord, *, resource: str | None, stream: str | None, cache: int = 4 * READER_CACHE
) -> ChunkedReader:
    """The one stream of these names. Raises NotFound, and InvalidInput where there are several."""
    found = _open(domain, record, resource, stream, cache)
    if len(found) > 1:
        there = ", ".join(f"{key} ({name})" for key, name in found)
        raise errors.InvalidInput("Say which stream.", detail=f"there are: {there}")
    return next(iter(found.values()))


def not_frozen(record: CheckpointRecord) -> str:
    """A word for readers of file systems that were not frozen; "" where they were."""
    if record.consistency in ("filesystem", "application"):
        return ""
    return "the file systems were not frozen: they are shown without their journal, and the newest files may be missing"


def uri(listen: Path | int, port: int | None, name: str) -> str:
    """How NBD clients name an export; the empty name means the only one."""
    if isinstance(listen, Path):
        return f"nbd+unix:///{quote(name, safe='')}?socket={quote(str(listen))}"
    return f"nbd://127.0.0.1:{port}/{quote(name, safe='')}"


def _open(
    domain: Domain, record: CheckpointRecord, resource: str | None, stream: str | None, cache: int
) -> Mapping[tuple[str, str], ChunkedReader]:
    wanted = {
        (saved.key, name): stream_id
        for saved in record.resources
        for name, stream_id in sorted(saved.streams.items())
        if resource in (None, saved.key) and stream in (None, name)
    }
    if not wanted:
        there = ", ".join(f"{saved.key} ({name})" for saved in record.resources for name in sorted(saved.streams))
        raise errors.NotFound("The checkpoint has no such stream.", detail=f"it has: {there or 'none'}")
    share = max(cache // len(wanted), READER_CACHE)
    return {place: domain.open_stream(stream_id, cache=share) for place, stream_id in wanted.items()}
