# SPDX-License-Identifier: Apache-2.0
"""Which objects does a locked record need, and how is the bank told to keep each of them as long?

Objects are shared: what several locked records need is kept until the last of their locks ends, because a bank never
moves such a moment to an earlier one. Only for banks that can lock objects; clean-up keeps what is needed in all.
"""

from collections.abc import Iterable, Set
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

from karbor.common.clock import Clock
from karbor.model import errors
from karbor.vault import format, listing
from karbor.vault.marks import Marks
from karbor.vault.pace import Pace
from karbor.vault.references import References
from karbor.vault.store import ChunkStore

_THREADS = 8
_TRIES = 5


class Retainer:
    """Keeps what one record of a domain needs."""

    def __init__(self, store: ChunkStore, references: References, *, scratch: Path, clock: Clock, keys_of: str) -> None:
        """``keys_of``: the domain whose key opens this one."""
        self._store, self._references, self._keys_of = store, references, keys_of
        self._scratch, self._clock = scratch, clock

    def keep(self, record: str, until: datetime) -> int:
        """Have the bank keep the record (KIND/ID) and all that it needs until then; how many objects. May be called
        again. Raises IntegrityError where a part of it is damaged or lost, ObjectNotFound where there is no record.
        """
        streams = self._references.of_record(record)
        fixed = [f"record/{record}", *map(format.stream_name, sorted(streams))]
        wanted = [self._store.prefix + name for name in fixed] + self._keys()
        for attempt in range(_TRIES):
            packs = self._packs(streams)
            try:
                self._retain([*wanted, *(self._store.prefix + format.pack_name(one) for one in sorted(packs))], until)
            except errors.ObjectNotFound:  # a pack was written anew meanwhile, and the old one is gone
                if attempt == _TRIES - 1:
                    raise
                continue
            index = frozenset[str]().union(*(self._store.index.sources_of(one) for one in packs))
            return len(wanted) + len(packs) + self._retain_there(index, until)
        raise AssertionError("unreachable")

    def _keys(self) -> list[str]:
        """Without its keys nothing can be read."""
        places = {format.VAULT_KEYS, f"{self._store.prefix}key/", format.key_place(self._keys_of)}
        return [info.name for place in places for info in listing.objects(self._store.bank, place)]

    def _packs(self, streams: Set[str]) -> set[bytes]:
        self._store.follow()
        pace = Pace(self._clock, lambda _seconds: None, bytes_per_second=None, requests=None)
        with Marks(self._store, self._scratch, pace=pace) as marks:
            marks.packs_here(listing.objects(self._store.bank, f"{self._store.prefix}pack/"), cutoff=float("inf"))
            unread = marks.walk(self._references.tops(streams, tolerant=False), 1)
            if unread or marks.lost():
                raise errors.IntegrityError(
                    "Stored data is damaged: it cannot be kept whole.", next_action="verify the checkpoint"
                )
            return marks.holders()

    def _retain(self, names: Iterable[str], until: datetime) -> None:
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="vault-retain") as pool:
            for _ in pool.map(lambda name: self._store.bank.retain(name, until), names):
                pass

    def _retain_there(self, index: Iterable[str], until: datetime) -> int:
        """Index objects spare work, and the packs tell the same: one that is gone is no loss."""
        kept = 0
        for name in sorted(index):
            try:
                self._store.bank.retain(self._store.prefix + name, until)
                kept += 1
            except errors.ObjectNotFound:
                continue
        return kept
