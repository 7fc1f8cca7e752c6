# SPDX-License-Identifier: Apache-2.0
"""How is it asked for that a record of a domain must stay, and what has the bank then to keep?"""

from collections.abc import Sequence
from typing import Any

from karbor.model.lock import Lock
from karbor.vault.opening import Opened, Opening
from karbor.vault.references import References
from karbor.vault.retain import Retainer


class Locking(Opening):
    """The locks and holds of the records of one domain."""

    def lock_record(self, kind: str, record_id: str, action: str, **wish: Any) -> Lock:
        """Add to what keeps a record (``karbor.vault.locks``); durable when this returns, and where the bank can lock
        objects, it then keeps everything that a record with a compliance lock needs. May be called again.

        What holds now. Raises ObjectNotFound, CheckpointLocked, InvalidInput, Conflict.
        """
        opened = self._existing(f"{kind} {record_id}")
        found = opened.records.lock(kind, record_id, action, **wish)
        self._retain(opened, f"{kind}/{record_id}", found)
        return found

    def settle_locks(self, kind: str, record_id: str) -> Lock:
        """What keeps a record, after the bank was told to keep all that it needs: an earlier try may have been killed
        before. May be called again."""
        found = self.locks_of(kind, record_id)
        if found.compliance_until is not None:
            self._retain(self._existing(f"{kind} {record_id}"), f"{kind}/{record_id}", found)
        return found

    def locks_of(self, kind: str, record_id: str) -> Lock:
        """What keeps a record, by the bank's own word."""
        opened = self._for_reading()
        return opened.records.locks.of(f"{kind}/{record_id}") if opened else Lock()

    def require_unlocked(self, kind: str, record_id: str) -> None:
        """Raise CheckpointLocked where the record must stay."""
        opened = self._for_reading()
        if opened is not None:
            opened.records.locks.require_none(f"{kind}/{record_id}")

    def locked_records(self) -> Sequence[str]:
        """Records (KIND/ID) that must stay now: as long as there is one, the keys of the project must, too."""
        opened = self._for_reading()
        if opened is None:
            return []
        return [record for record in opened.records.locks.records() if opened.records.locks.count(record)]

    def _retain(self, opened: Opened, record: str, found: Lock) -> None:
        store, bank = opened.store, self._vault.bank
        if found.compliance_until is None or not bank.capabilities.object_lock:
            return
        references = References(bank, prefix=store.prefix, codec=store.codec, records=opened.records)
        work = Retainer(
            store, references, scratch=self._vault.cache_dir, clock=self._vault.clock, keys_of=opened.project_domain
        )
        work.keep(record, found.compliance_until)
