# SPDX-License-Identifier: Apache-2.0
"""How is a JSON document kept in a domain: sealed, written once, and gone for good once deleted?

A record that is locked stays: a tombstone that somebody puts nevertheless does not count as long as a lock does, but
for that of a record that was given up, which never was one. A deletion closes the locks first (``Locks.close``); of a
lock and a deletion at the same time one wins, and the other is told.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from karbor.common.clock import Clock, iso
from karbor.model import errors
from karbor.model.lock import Lock
from karbor.sdk.bank import Bank
from karbor.vault import format
from karbor.vault.codec import Codec
from karbor.vault.locks import Locks

_PAGE = 1000
_RECORDS = "record/"
_VOID = "void"  # a document with this never was, and never will be, a record


class Records:
    """The records of one domain. Thread-safe. ``kind`` and ``record_id`` appear in names: never text of a user."""

    def __init__(self, bank: Bank, *, prefix: str, codec: Codec, clock: Clock, locks: Locks) -> None:
        self._bank = bank
        self._prefix = prefix
        self._codec = codec
        self._clock = clock
        self.locks = locks

    def put(
        self, kind: str, record_id: str, document: Mapping[str, Any], *, confirm: Callable[[], None] | None = None
    ) -> None:
        """Store a document. The same again is no error. Raises Conflict where another one, or a tombstone, is there.

        ``confirm`` is called at the last moment before. It cannot be the last word, so a tombstone that is there after
        the document was put makes it void too: whoever put it decided first.
        """
        name = format.record_name(kind, record_id)
        self._require_not_deleted(name)
        if confirm is not None:
            confirm()
        if not self._bank.put_if_absent(self._prefix + name, self._codec.seal_document(name, document)):
            found = self._open(name)
            if found.get(_VOID):
                raise errors.Conflict("This was given up.", detail=name)
            if found != dict(document):
                raise errors.Conflict("Something else is stored under this id.", detail=name)
        self._require_not_deleted(name)

    def give_up(self, kind: str, record_id: str) -> bool:
        """Decide that this record will never count, unless it was put before. May be called again.

        One object decides: of a record and the mark that it is void, both under its name, the first to be put stays.
        The tombstone follows, and only then is the mark removed. False where the record stands. Locks do not matter:
        what they would keep never was.
        """
        name = format.record_name(kind, record_id)
        if not self._deleted(name):
            void = {"version": format.VERSION, _VOID: True}
            made = self._bank.put_if_absent(self._prefix + name, self._codec.seal_document(name, void))
            if not made and not self._given_up(name):
                return self._deleted(name)
            self._bury(name, {_VOID: True})
        self._bank.delete(self._prefix + name)
        return True

    def is_deleted(self, kind: str, record_id: str) -> bool:
        """Whether there is a tombstone: then no record of this name counts, whether it is there or not."""
        return self._deleted(format.record_name(kind, record_id))

    def get(self, kind: str, record_id: str) -> dict[str, Any]:
        """The document. Raises ObjectNotFound, IntegrityError."""
        name = format.record_name(kind, record_id)
        document = self._open(name)
        if document.get(_VOID) or self._deleted(name):
            raise errors.ObjectNotFound(detail=f"{name} was deleted")
        return document

    def list(self, kind: str, after: str, limit: int) -> Sequence[str]:
        """Ids in byte order, at most ``limit``, behind ``after``; fewer than ``limit`` means the end was reached."""
        beginning = format.record_name(kind, "-").removesuffix("-")
        found: list[str] = []
        for page in self._pages(beginning, after):
            gone = {name for part in self._pages(format.tombstone_name(beginning), after, page[-1]) for name in part}
            found += [one for one in page if one not in gone or self.stays(f"{kind}/{one}")]
            after = page[-1]
            if len(found) >= limit:
                break
        return found[:limit]

    def delete(self, kind: str, record_id: str) -> None:
        """Tombstone first, then the object: from the first moment on it is gone for all. May be called again.

        Raises CheckpointLocked where there is a record and it is locked. What was locked and never was, is given up.
        """
        name, record = format.record_name(kind, record_id), f"{kind}/{record_id}"
        if self.locks.count(record) and self.give_up(kind, record_id):
            return
        self.locks.close(record)
        self._bury(name, {})
        self._bank.delete(self._prefix + name)

    def lock(self, kind: str, record_id: str, action: str, **wish: Any) -> Lock:
        """Add to the locks of a record that is there; see ``Locks.add``. Raises ObjectNotFound, Conflict where it is
        being deleted."""
        self.get(kind, record_id)
        return self.locks.add(f"{kind}/{record_id}", action, **wish)

    def _bury(self, name: str, more: Mapping[str, Any]) -> None:
        tombstone = format.tombstone_name(name)
        document = {"version": format.VERSION, "at": iso(self._clock.now()), **more}
        self._bank.put_own(self._prefix + tombstone, self._codec.seal_document(tombstone, document))

    def _open(self, name: str) -> dict[str, Any]:
        return self._codec.open_document(name, self._bank.get(self._prefix + name))

    def _given_up(self, name: str) -> bool:
        try:
            return bool(self._open(name).get(_VOID))
        except errors.ObjectNotFound:  # deleted since it was found to be taken: a tombstone was there before
            return True

    def _require_not_deleted(self, name: str) -> None:
        if self._buried(name):
            raise errors.Conflict("This was deleted.", detail=name)

    def stays(self, record: str) -> bool:
        """Whether KIND/ID is locked, so that a tombstone does not count; one says that it never was."""
        return self.locks.count(record) and not self._never_was(record)

    def _deleted(self, name: str) -> bool:
        return self._buried(name) and not self.stays(name.removeprefix(_RECORDS))

    def _buried(self, name: str) -> bool:
        try:
            self._bank.stat(self._prefix + format.tombstone_name(name))
        except errors.ObjectNotFound:
            return False
        return True

    def _never_was(self, record: str) -> bool:
        """Whether the tombstone of KIND/ID says that the record was given up."""
        name = format.tombstone_name(_RECORDS + record)
        try:
            return bool(self._codec.open_document(name, self._bank.get(self._prefix + name)).get(_VOID))
        except errors.ObjectNotFound:
            return False

    def _pages(self, beginning: str, after: str, last: str | None = None) -> Iterator[Sequence[str]]:
        """Pages of the ids behind ``after``, up to ``last``."""
        prefix = self._prefix + beginning
        while True:
            infos = self._bank.list(prefix, prefix + after if after else "", _PAGE)
            page = [info.name.removeprefix(prefix) for info in infos]
            wanted = [record_id for record_id in page if last is None or record_id <= last]
            if wanted:
                yield wanted
            if len(page) < _PAGE or len(wanted) < len(page):
                return
            after = page[-1]
