# SPDX-License-Identifier: Apache-2.0
"""What does clean-up mean to delete, and how does every writer learn of it before it relies on it?

A *condemned list* is a sealed object that names packs, streams and index objects that nothing refers to any more. It is
put long before anything of it is deleted. A writer that began after it was put stores what it needs anew instead of
referring to what is on the list; clean-up waits for the end of all others. (reference/cleanup.rst has the argument.)
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from karbor.common.clock import iso
from karbor.model import errors
from karbor.sdk.bank import Bank
from karbor.vault import format, listing
from karbor.vault.codec import Codec


@dataclass(frozen=True)
class Condemned:
    """One list. ``at`` is when it was put, by the clock of who put it."""

    id: str
    at: datetime
    packs: frozenset[bytes] = frozenset()
    streams: frozenset[str] = frozenset()
    index: frozenset[str] = field(default=frozenset())  # names of index objects, relative to the domain

    def to_dict(self) -> dict[str, Any]:
        return {
            "version": format.VERSION,
            "at": iso(self.at),
            "packs": b"".join(sorted(self.packs)).hex(),
            "streams": sorted(self.streams),
            "index": sorted(self.index),
        }

    @classmethod
    def from_dict(cls, list_id: str, document: dict[str, Any]) -> "Condemned":
        if document["version"] != format.VERSION:
            raise errors.NotSupported("This condemned list was written by another version.", detail=list_id)
        joined = bytes.fromhex(document["packs"])
        size = format.ID_SIZE
        return cls(
            list_id,
            datetime.fromisoformat(document["at"] + "+00:00"),
            frozenset(joined[at : at + size] for at in range(0, len(joined), size)),
            frozenset(document["streams"]),
            frozenset(document["index"]),
        )


class CondemnedLists:
    """The condemned lists of one domain. Thread-safe. Ids are random and never used again."""

    def __init__(self, bank: Bank, *, prefix: str, codec: Codec) -> None:
        self._bank = bank
        self._prefix = prefix
        self._codec = codec

    def ids(self) -> Sequence[str]:
        """Those that are there now."""
        beginning = format.condemned_name("")
        return [name.removeprefix(beginning) for name in listing.names(self._bank, self._prefix, beginning)]

    def get(self, list_id: str) -> Condemned:
        """Raises ObjectNotFound, IntegrityError, NotSupported."""
        name = format.condemned_name(list_id)
        return Condemned.from_dict(list_id, self._codec.open_document(name, self._bank.get(self._prefix + name)))

    def put(
        self, *, at: datetime, packs: frozenset[bytes], streams: frozenset[str], index: frozenset[str]
    ) -> Condemned:
        """Tell all writers from now on."""
        made = Condemned(secrets.token_hex(16), at, packs, streams, index)
        name = format.condemned_name(made.id)
        self._bank.put_own(self._prefix + name, self._codec.seal_document(name, made.to_dict()))
        return made

    def there(self, list_id: str) -> bool:
        """Whether the list still is there."""
        try:
            self._bank.stat(self._prefix + format.condemned_name(list_id))
        except errors.ObjectNotFound:
            return False
        return True

    def delete(self, list_id: str) -> None:
        """All that was condemned is deleted, or may live on."""
        self._bank.delete(self._prefix + format.condemned_name(list_id))
