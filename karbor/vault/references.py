# SPDX-License-Identifier: Apache-2.0
"""Which streams do records and holds name, and which tombstones have done their service?

A stream is named where its id occurs anywhere in a record: the vault need not know what a record looks like, and
whoever names a stream keeps it.
"""

import re
from collections.abc import Iterator, Set
from datetime import datetime, timedelta
from typing import Any

from karbor.model import errors
from karbor.sdk.bank import Bank
from karbor.vault import format, listing
from karbor.vault.codec import Codec
from karbor.vault.records import Records

_RECORDS, _TOMBSTONES, _STREAMS, _HOLDS = "record/", "gone/record/", "stream/", format.HOLDS
_ID = re.compile(r"[0-9a-f]{32}")


class References:
    """Looks at one domain. ``hold/`` objects are sealed documents that name records or streams that must stay."""

    def __init__(self, bank: Bank, *, prefix: str, codec: Codec, records: Records) -> None:
        self._bank = bank
        self._prefix = prefix
        self._codec = codec
        self._records = records

    def named(self) -> Set[str]:
        """Ids of streams that a record names that was not deleted, or that are held. Raises IntegrityError."""
        held = self._held()
        gone = set(self._names(_TOMBSTONES)) - held
        found = {one for one in held if _ID.fullmatch(one)}
        for name in self._names(_RECORDS):
            if name not in gone or self._records.stays(name):
                try:
                    found |= _ids(self._open(_RECORDS + name))
                except errors.ObjectNotFound:
                    continue  # deleted since it was listed
        return found

    def of_record(self, record: str) -> Set[str]:
        """Ids of streams that one record (KIND/ID) names. Raises ObjectNotFound, IntegrityError."""
        return _ids(self._open(_RECORDS + record)) & self.streams()

    def streams(self) -> Set[str]:
        """Ids of all streams."""
        return set(self._names(_STREAMS))

    def tops(self, streams: Set[str], *, tolerant: bool) -> Iterator[bytes]:
        """The top nodes of these streams. Damaged roots are an IntegrityError, or left out."""
        for stream_id in sorted(streams):
            try:
                top = self._open(_STREAMS + stream_id)["root"]
            except errors.ObjectNotFound:
                continue
            except errors.IntegrityError:
                if tolerant:
                    continue
                raise
            if top:
                yield bytes.fromhex(top)

    def clear(self, keep: float, *, now: datetime, spare: Set[tuple[str, str]]) -> int:
        """Remove records that have a tombstone, and tombstones that are older than ``keep`` seconds, but for those of
        records in ``spare``, those that are held and those that are locked. How many tombstones were removed."""
        held = self._held()
        left = set(self._names(_RECORDS))
        removed = 0
        for info in list(listing.objects(self._bank, self._prefix + _TOMBSTONES)):
            name = info.name.removeprefix(self._prefix + _TOMBSTONES)
            if name in held:
                continue
            if name in left:
                if not self._records.stays(name):  # asked by name, after the tombstone was seen
                    self._remove(_RECORDS + name)
                continue
            kind, _, record_id = name.partition("/")
            if (kind, record_id) in spare or now.timestamp() - info.modified < keep:
                continue
            # The clock of the bank may be off; ours is in the tombstone.
            try:
                at = datetime.fromisoformat(self._open(_TOMBSTONES + name)["at"] + "+00:00")
            except errors.ObjectNotFound:
                continue
            if now - at >= timedelta(seconds=keep) and not self._records.locks.count(name):
                removed += self._forget(name)
        return removed

    def _forget(self, name: str) -> bool:
        """Remove a tombstone, and before it what is known of locks. Whether that was possible."""
        try:
            self._records.locks.forget(name)
        except errors.ObjectLocked:
            return False
        return self._remove(_TOMBSTONES + name)

    def _remove(self, name: str) -> bool:
        """Whether the bank does not keep it: its clock may be behind ours."""
        try:
            self._bank.delete(self._prefix + name)
        except errors.ObjectLocked:
            return False
        return True

    def _held(self) -> set[str]:
        """All strings in the holds: streams by id, records as KIND/ID. Locks of records are asked for by name."""
        others = (name for name in self._names(_HOLDS) if format.lock_parts(_HOLDS + name) is None)
        return {text for name in others for text in _strings(self._open(_HOLDS + name))}

    def _names(self, beginning: str) -> Iterator[str]:
        for name in listing.names(self._bank, self._prefix, beginning):
            yield name.removeprefix(beginning)

    def _open(self, name: str) -> dict[str, Any]:
        return self._codec.open_document(name, self._bank.get(self._prefix + name))


def _ids(document: Any) -> set[str]:
    return {text for text in _strings(document) if _ID.fullmatch(text)}


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from _strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _strings(inner)
