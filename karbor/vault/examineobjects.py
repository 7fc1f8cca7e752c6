# SPDX-License-Identifier: Apache-2.0
"""Are packs, index objects and their markers what they should be, apart from the chunks?"""

import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

from karbor.model import errors
from karbor.sdk.bank import Bank
from karbor.vault import format
from karbor.vault.checkstate import CheckState
from karbor.vault.pack import Directory, Entry
from karbor.vault.report import Flaw
from karbor.vault.store import ChunkStore

MISSING = "the object is missing"
CLOSED = "a sealed part does not open"
UNREADABLE = "the bank is there and cannot read it"  # seen twice; it may pass, so it proves nothing
UNLISTED = "no index object lists this pack"
T = TypeVar("T")


class Objects:
    """What one run finds of whole objects: ``flaws``, and ``unproven`` (markers that are not there). Thread-safe."""

    def __init__(self, store: ChunkStore, state: CheckState, *, reads_all: bool) -> None:
        self.flaws: list[Flaw] = []
        self.unproven: list[str] = []
        self._store = store
        self._state = state
        self._reads_all = reads_all
        self._lock = threading.RLock()  # held while a pack or an index object is looked at: each is, once
        self._markers: set[str] | None = None
        self._searched = False
        self._blamed = False  # an index object is missing or damaged: it may have listed what is listed nowhere

    def flaw(self, name: str, reason: str) -> None:
        """Note that an object is not as it was written. ``name`` is relative to the domain."""
        self.flaws.append(Flaw(self._store.prefix + name, reason))

    def look_at(self, pack_id: bytes, *, needed: bool = True) -> int | None:
        """The size of a pack, None where it is missing. Notes what is wrong with it, but for its chunks.

        A pack that nobody needs may be listed nowhere: its writer has not come that far, or never did.
        """
        with self._lock:
            known = self._state.pack(pack_id)
            if known.seen:
                return known.size
            for source in self._store.index.sources_of(pack_id):
                self.look_at_index(source)
            listed = self._state.pack(pack_id).listed
            if needed and not listed:
                self._search()
                listed = self._state.pack(pack_id).listed
            name = format.pack_name(pack_id)
            size = self._size(name)
            self._state.saw_pack(pack_id, size)
            if size is None:
                return None
            if needed and not listed:
                self.blame()
                if not self._blamed:
                    self.flaw(name, UNLISTED)
            expected = self._state.pack(pack_id).expected
            if self._reads_all or expected is None:
                directory = self._directory(pack_id, told=True)
                expected = directory.pack_size if directory else expected
            if expected is not None and size != expected:
                self.flaw(name, f"it has {size} bytes instead of {expected}")
            return size

    def entries(self, pack_id: bytes) -> Sequence[Entry]:
        """What a pack itself says that it holds; nothing where it cannot be read."""
        directory = self._directory(pack_id, told=False)
        return directory.entries if directory else ()

    def _directory(self, pack_id: bytes, *, told: bool) -> Directory | None:
        reason = UNREADABLE
        try:
            found = asked_twice(self._store.bank, lambda: self._store.index_objects.directory(pack_id))
        except (errors.ObjectNotFound, errors.IntegrityError) as fault:
            found, reason = None, f"its own directory cannot be read ({fault.detail})"
        if found is None and told:
            self.flaw(format.pack_name(pack_id), reason)
        return found

    def look_at_index(self, name: str) -> None:
        """Read an index object anew and note what is wrong with it or with its marker."""
        with self._lock:
            if not self._state.saw_object(name):
                return
            try:
                directories = asked_twice(self._store.bank, lambda: self._store.index_objects.get(name))
            except errors.ObjectNotFound:
                return  # replaced by another one; where nothing replaced it, its packs are listed nowhere
            except errors.IntegrityError:
                self._blamed = True
                self.flaw(name, CLOSED)
                return
            if directories is None:
                self._blamed = True
                self.flaw(name, UNREADABLE)
                return
            self._state.expect_packs([(directory.pack_id, directory.pack_size) for directory in directories])
            self._look_at_marker(format.proof_name(name))

    def _look_at_marker(self, marker: str) -> None:
        if marker not in self._known_markers():
            self.unproven.append(self._store.prefix + marker)
            return
        try:
            data = asked_twice(self._store.bank, lambda: self._store.bank.get(self._store.prefix + marker))
            if data is None:
                self.flaw(marker, UNREADABLE)
            else:
                self._store.codec.open_object(marker, data)
        except errors.ObjectNotFound:
            self.unproven.append(self._store.prefix + marker)
        except errors.IntegrityError:
            self.flaw(marker, CLOSED)

    def blame(self) -> None:
        """Something is listed nowhere: note which index objects may be to blame."""
        with self._lock:
            if not self._blamed:
                there = self._search()
                for marker in sorted(self._known_markers()):
                    name = format.index_name(marker.rpartition("/")[2])
                    if name not in there:
                        self._blamed = True
                        self.flaw(name, MISSING)

    def _search(self) -> set[str]:
        """Look at all index objects that there are now; returns their names."""
        there = set(self._store.index_objects.names(format.index_name("")))
        if not self._searched:
            self._searched = True
            for name in sorted(there):
                self.look_at_index(name)
        return there

    def _known_markers(self) -> set[str]:
        if self._markers is None:
            self._markers = set(self._store.index_objects.names(format.proof_name("")))
        return self._markers

    def _size(self, name: str) -> int | None:
        try:
            return self._store.bank.stat(self._store.prefix + name).size
        except errors.ObjectNotFound:
            return None


def asked_twice(bank: Bank, ask: Callable[[], T]) -> T | None:
    """The answer; None where the bank is there and fails at this alone, twice. Raises whatever else ``ask`` raises,
    and BankUnavailable where the bank itself is gone."""
    for _attempt in range(2):
        try:
            return ask()
        except errors.BankUnavailable:
            bank.identity()
    return None
