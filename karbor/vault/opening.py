# SPDX-License-Identifier: Apache-2.0
"""What does a domain work with, and when does it open its keys?"""

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from karbor.common.clock import Clock
from karbor.model import errors
from karbor.sdk.bank import Bank
from karbor.vault import format
from karbor.vault.condemned import CondemnedLists
from karbor.vault.keyed import Keyed
from karbor.vault.keys import DomainKeys
from karbor.vault.leases import Leases, Terms
from karbor.vault.locks import Locks
from karbor.vault.locktime import LockTime
from karbor.vault.records import Records
from karbor.vault.rooms import Rooms
from karbor.vault.sealring import Sealers, SealRing
from karbor.vault.store import AHEAD, READS, REQUEST, UPLOADS, ChunkStore
from karbor.vault.wrapping import Wrapping


class Opened(NamedTuple):
    """A domain whose keys are known."""

    store: ChunkStore
    records: Records
    leases: Leases
    project_domain: str  # the domain whose key opens this one: itself as a rule


class Means(Keyed):
    """What all domains of one vault work with; see Vault for the arguments."""

    def __init__(
        self,
        bank: Bank,
        *,
        master_key: Wrapping | Sealers,
        cache_dir: Path,
        clock: Clock,
        compression_level: int = 1,
        threads: int = 2,
        terms: Terms = Terms(),  # noqa: B008 - frozen
        shared: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(bank, master_key=master_key, clock=clock, shared=shared)
        self.terms = terms
        self.cache_dir = cache_dir
        self.compression_level = compression_level
        self.threads = threads
        self.uploads = threading.Semaphore(UPLOADS)
        self.rooms = Rooms(READS, REQUEST)
        self.windows = Rooms(threads + AHEAD - 1, format.WINDOW)  # beside the one that each stream has for itself
        self.lock_time = LockTime(bank, clock)


class Opening:
    """A domain as far as its keys are opened: when something is read that is there, or written. Thread-safe."""

    def __init__(self, vault: Means, project_id: str, *, sealed: str | None = None) -> None:
        """``sealed``: the name of a domain that was sealed for the project."""
        self._vault = vault
        self._sealed = sealed
        self._project_id = project_id
        self._lock = threading.Lock()
        self._opened: Opened | None = None

    def close(self) -> None:
        with self._lock:
            if self._opened is not None:
                self._opened.store.index.close()
                self._opened = None

    def forget_if_destroyed(self) -> bool:
        """Whether the key of the project was destroyed since it was loaded; then it is known here no longer."""
        with self._lock:
            opened = self._opened
        if opened is None:
            return False
        try:
            self._vault.bank.stat(format.key_place(opened.project_domain) + format.DESTROYED)
        except errors.ObjectNotFound:
            return False
        opened.store.codec.forget()
        with self._lock:
            if self._opened is opened:
                self._opened = None
        opened.store.forget()
        return True

    def _existing(self, what: str) -> Opened:
        opened = self._for_reading()
        if opened is None:
            raise errors.ObjectNotFound(detail=f"{what}: the project has stored nothing")
        return opened

    def _for_reading(self) -> Opened | None:
        """None where the project has stored nothing."""
        with self._lock:
            if self._opened is None and self._sealed:
                self._opened = self._open(self._sealed, self._vault.keyring.sealed_keys(self._sealed))
            if self._opened is None:
                name = self._vault.keyring.domain_name(self._project_id)
                keys = self._vault.keyring.domain_keys(name) if name else None
                if name and keys:
                    self._opened = self._open(name, keys)
            return self._opened

    def _for_writing(self) -> Opened:
        if self._sealed:
            return self._existing("its key")
        with self._lock:
            if self._opened is None:
                name = self._vault.keyring.make_domain_name(self._project_id)
                self._opened = self._open(name, self._vault.keyring.make_domain_keys(name, self._project_id))
            return self._opened

    def _open(self, name: str, keys: DomainKeys) -> Opened:
        vault = self._vault
        store = ChunkStore(
            vault.bank,
            domain=name,
            keys=keys,
            index_path=vault.cache_dir / f"{format.word(vault.bank.identity())}-{name}.index",
            compression_level=vault.compression_level,
            uploads=vault.uploads,
            rooms=vault.rooms,
            windows=vault.windows,
        )
        shared: dict[str, Any] = {"prefix": store.prefix, "codec": store.codec}
        locks = Locks(vault.bank, clock=vault.clock, time=vault.lock_time, **shared)
        records = Records(vault.bank, clock=vault.clock, locks=locks, **shared)
        lists = CondemnedLists(vault.bank, **shared)
        leases = Leases(vault.bank, records=records, lists=lists, clock=vault.clock, terms=vault.terms, **shared)
        sealed = self._sealed is not None or isinstance(vault.keyring, SealRing)
        return Opened(store, records, leases, (vault.keyring.parent(name) if sealed else None) or name)
