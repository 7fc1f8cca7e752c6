# SPDX-License-Identifier: Apache-2.0
"""What does the bank itself know of the locks and holds of a record?

Each change is an object of its own, numbered from 1 and written once; of two that want the same number one wins, and
the other looks again. What they come to in their order counts: the catalog of a site only shows it. A record that is
locked is kept whatever tombstone it has.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from karbor.common.clock import Clock, iso
from karbor.model import errors
from karbor.model.lock import CLOSE, LOCK, Lock, fold
from karbor.sdk.bank import Bank
from karbor.vault import format, listing
from karbor.vault.codec import Codec
from karbor.vault.locktime import LockTime

_TRIES = 20


class Locks:
    """The locks of one domain. Thread-safe. A record is ``KIND/ID``."""

    def __init__(self, bank: Bank, *, prefix: str, codec: Codec, clock: Clock, time: LockTime) -> None:
        self._bank = bank
        self._prefix = prefix
        self._codec = codec
        self._clock = clock
        self._time = time

    def of(self, record: str) -> Lock:
        """What there is of a record, found by name: no list is asked, which might be late. Raises IntegrityError."""
        return fold(self._events(record))

    def count(self, record: str) -> bool:
        """Whether the record must stay now."""
        return self._counts(self.of(record))

    def require_none(self, record: str) -> None:
        """Raise CheckpointLocked where the record must stay."""
        self._refuse(record, self.of(record))

    def close(self, record: str) -> None:
        """From now on nothing locks this record: it is being deleted. May be called again.

        Raises CheckpointLocked where it must stay. Of a lock and a deletion at the same time the first to have the next
        number wins, so whoever was told that a record is locked can rely on it.
        """
        for _ in range(_TRIES):
            known = list(self._events(record))
            found = fold(known)
            self._refuse(record, found)
            if found.closed or self._put(record, len(known) + 1, {"event": CLOSE}):
                return
        raise _crowded()

    def add(
        self,
        record: str,
        action: str,
        *,
        mode: str | None = None,
        until: datetime | None = None,
        reason: str = "",
    ) -> Lock:
        """One more change; what is asked for twice is no error. What holds now.

        Raises CheckpointLocked for what would weaken a compliance lock, InvalidInput for a lock that ends in the past,
        Conflict where the record is being deleted.
        """
        event: dict[str, Any] = {"event": action}
        if action == LOCK and until is not None:
            event |= {"mode": mode, "until": iso(until)}
        if reason or action == "hold":
            event["reason"] = reason
        for _ in range(_TRIES):
            known = list(self._events(record))
            found = fold(known)
            found.check(action, mode, until, now=self._time.now())
            if found.after(event) != found:
                if not self._put(record, len(known) + 1, event):
                    continue
                found = found.after(event)
            self._keep(record, found)
            return found
        raise _crowded()

    def _counts(self, found: Lock) -> bool:
        # Where the clocks of this host say that it counts, the bank need not be asked.
        return found.counts(self._time.here()) or (found.until is not None and found.counts(self._time.now()))

    def _refuse(self, record: str, found: Lock) -> None:
        if self._counts(found):
            raise found.refusal(f"The {record.partition('/')[0]}")

    def _put(self, record: str, number: int, event: Mapping[str, Any]) -> bool:
        """Whether it is the one of that number."""
        name = format.lock_name(record, number)
        document = {"version": format.VERSION, "record": record, **event, "at": iso(self._clock.now())}
        return self._bank.put_if_absent(self._prefix + name, self._codec.seal_document(name, document))

    def names(self, record: str) -> list[str]:
        """The objects that say so, below the domain."""
        return [format.lock_name(record, number) for number, _ in enumerate(self._events(record), 1)]

    def forget(self, record: str) -> None:
        """Remove what is known of a record that is gone, the newest first. Raises ObjectLocked."""
        for name in reversed(self.names(record)):
            self._bank.delete(self._prefix + name)

    def records(self) -> Iterator[str]:
        """Records that have or had a lock, as a list of the bank shows them."""
        for name in listing.names(self._bank, self._prefix, format.HOLDS):
            parts = format.lock_parts(name)
            if parts is not None and parts[1] == 1:
                yield parts[0]

    def _keep(self, record: str, found: Lock) -> None:
        """Where the bank can, let it keep the objects that say so."""
        if found.compliance_until is not None and self._bank.capabilities.object_lock:
            for name in self.names(record):
                self._bank.retain(self._prefix + name, found.compliance_until)

    def _events(self, record: str) -> Iterator[Mapping[str, Any]]:
        number = 0
        while True:
            number += 1
            name = format.lock_name(record, number)
            try:
                yield self._codec.open_document(name, self._bank.get(self._prefix + name))
            except errors.ObjectNotFound:
                return


def _crowded() -> errors.Conflict:
    return errors.Conflict("Others lock this at the same time.", next_action="try again")
