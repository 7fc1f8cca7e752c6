# SPDX-License-Identifier: Apache-2.0
"""Who is writing into a domain, and how do all others know that it is still alive?

A writer (a protect or copy job) holds a lease: a sealed object per job, claim (fence) and renewal. Clean-up deletes
nothing that the holder of a lease may rely on. Clocks decide only *when* a silent owner is given up, never *whether*
data is safe: before a lease is removed, the fate of the record it was held for is decided for good, by one write-once
object (``Records.give_up``), so that a writer that comes back later cannot commit. (reference/cleanup.rst)
"""

import logging
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from karbor.common.clock import Clock, iso
from karbor.model import errors
from karbor.sdk.bank import Bank
from karbor.vault import format, listing
from karbor.vault.codec import Codec
from karbor.vault.condemned import CondemnedLists
from karbor.vault.records import Records

LOG = logging.getLogger(__name__)
_LATE_RENEWALS = 4  # of one lease, that lists of a bank may not show yet


@dataclass(frozen=True)
class Terms:
    """Seconds. A lease is renewed when a third of ``term`` has passed; its owner stops ``margin`` before its end;
    others give it up ``skew`` after its end, which is how far the clocks of two sites may be apart."""

    term: float = 3600
    margin: float = 300
    skew: float = 300

    def __post_init__(self) -> None:
        if not 0 <= self.margin < self.term * 2 / 3 or self.skew < 0:
            raise errors.ConfigurationError("The margin of a write lease must be shorter than two thirds of its term.")


@dataclass(frozen=True)
class Held:
    """What a lease object says. ``seen``: the condemned lists that its owner takes heed of, from its beginning on."""

    job: str
    fence: int
    number: int
    begun: datetime  # the first claim
    until: datetime
    record: tuple[str, str]  # kind and id of the record that the job wants to put
    seen: frozenset[str]

    @property
    def name(self) -> str:
        return format.lease_name(self.job, self.fence, self.number)

    def to_dict(self) -> dict[str, Any]:
        return {
            "version": format.VERSION,
            "begun": iso(self.begun),
            "until": iso(self.until),
            "record": list(self.record),
            "seen": sorted(self.seen),
        }


class Leases:
    """The leases of one domain. Thread-safe."""

    def __init__(
        self, bank: Bank, *, prefix: str, codec: Codec, records: Records, lists: CondemnedLists, clock: Clock,
        terms: Terms,
    ) -> None:  # fmt: skip
        self._bank = bank
        self._prefix = prefix
        self._codec = codec
        self.records = records
        self._lists = lists
        self.clock = clock
        self.terms = terms

    def begin(self, job: str, *, fence: int, record: tuple[str, str]) -> "Lease":
        """Take the lease of a job, or take it over from an earlier claim on the same job.

        May be called again, also after a crash. Raises Conflict where the record was deleted or given up, LeaseLost
        where there is a later claim.
        """
        self._require_open(record)
        seen = self.list_ids()
        begun, number = self.clock.now(), 0
        earlier = self._newest(job)
        if earlier is not None:
            if earlier.fence > fence:
                raise errors.LeaseLost(detail=f"job {job}: claim {earlier.fence} came after {fence}")
            # What earlier claims stored was chosen by what they had seen.
            seen, begun = seen & earlier.seen, earlier.begun
            number = earlier.number + 1 if earlier.fence == fence else 0
        lease = Lease(self, Held(job, fence, number, begun, begun, record, seen))
        lease.renew()
        lease.heeds = self.list_ids()
        self._require_open(record)  # whoever gave the job up before it saw the new lease had the last word
        return lease

    def newest(self) -> Mapping[str, Held]:
        """The lease of each job that has one: that of the latest claim, at its last renewal. Raises IntegrityError."""
        found: dict[str, Held] = {}
        latest: dict[str, str] = {}
        for name in listing.names(self._bank, self._prefix, "lease/"):
            job, fence, number = format.lease_parts(name)
            if job not in latest or format.lease_parts(latest[job])[1:] < (fence, number):
                latest[job] = name
        for job, name in latest.items():
            try:
                found[job] = self._open(name)
            except errors.ObjectNotFound:  # renewed or ended since it was listed
                held = self._newest(job)
                if held is not None:
                    found[job] = held
        return found

    def expired(self, held: Held) -> bool:
        """Whether the owner cannot think any more that it holds the lease."""
        return self.clock.now() > held.until + timedelta(seconds=self.terms.skew)

    def put(self, held: Held) -> bool:
        """Put a lease object. False where the name is taken: by an earlier try of the same owner."""
        if self._bank.put_own(self._prefix + held.name, self._codec.seal_document(held.name, held.to_dict())):
            return True
        try:  # a put that was done twice on its way finds itself there
            return self._open(held.name) == held
        except errors.ObjectNotFound:
            return False

    def there(self, held: Held) -> bool:
        """Whether the bank has this lease object."""
        try:
            self._bank.stat(self._prefix + held.name)
        except errors.ObjectNotFound:
            return False
        return True

    def remove(self, job: str, *, fence: int | None = None, below: int | None = None) -> None:
        """Remove the lease objects of a job: all, or those of earlier claims than ``fence`` and of this claim those
        with a number less than ``below``."""
        for name in list(self.of_job(job)):
            _, its_fence, number = format.lease_parts(name)
            if fence is None or its_fence < fence or (its_fence == fence and below is not None and number < below):
                self._bank.delete(self._prefix + name)

    def end(self, job: str, record: tuple[str, str]) -> bool:
        """Decide the fate of the record, then remove the lease. True where the record stands. May be called again."""
        given_up = self.records.give_up(*record)
        self.remove(job)
        return not given_up

    def of(self, job: str, fence: int) -> Held | None:
        """The lease of that claim on a job at its last renewal, or that of a later claim; None where there is neither.

        Lists of the bank may be late: what they do not show yet is asked for by its name.
        """
        listed = [format.lease_parts(name) for name in self.of_job(job)]
        if any(its_fence > fence for _job, its_fence, _number in listed):
            return self._newest(job)
        number = max((its_number for _job, its_fence, its_number in listed if its_fence == fence), default=0)
        found, missed = None, 0
        while missed < _LATE_RENEWALS:  # a renewal leaves the object before it in place, so the last two are there
            try:
                found = self._open(format.lease_name(job, fence, number))
            except errors.ObjectNotFound:
                missed += 1
                if found is not None:
                    break
            number += 1
        return found

    def list_ids(self) -> frozenset[str]:
        """The condemned lists that there are now."""
        return frozenset(self._lists.ids())

    def has_list(self, list_id: str) -> bool:
        """Whether a condemned list is there, also where lists of the bank do not show it yet."""
        return self._lists.there(list_id)

    def of_job(self, job: str) -> Iterator[str]:
        """Names of the lease objects of a job, the earliest first."""
        return listing.names(self._bank, self._prefix, f"lease/{format.word(job)}.")

    def _newest(self, job: str) -> Held | None:
        for name in reversed(list(self.of_job(job))):
            try:
                return self._open(name)
            except errors.ObjectNotFound:
                continue  # ended, and the list is late; a renewal leaves the object before it in place
        return None

    def _open(self, name: str) -> Held:
        document = self._codec.open_document(name, self._bank.get(self._prefix + name))
        if document["version"] != format.VERSION:
            raise errors.NotSupported("This lease was written by another version.", detail=name)
        job, fence, number = format.lease_parts(name)
        kind, record_id = document["record"]
        begun, until = (datetime.fromisoformat(document[name] + "+00:00") for name in ("begun", "until"))
        return Held(job, fence, number, begun, until, (kind, record_id), frozenset(document["seen"]))

    def _require_open(self, record: tuple[str, str]) -> None:
        if self.records.is_deleted(*record):
            raise errors.Conflict(
                "This checkpoint was given up: its write lease had run out, or it was deleted.",
                detail="/".join(record),
                next_action="make a new checkpoint",
            )


class Lease:
    """A lease that this process holds. Thread-safe. ``check`` often; ``confirm`` before each commit.

    Both raise WriteLeaseLost where it ran out, LeaseLost where a later claim on the job took it over.

    ``heeds``: condemned lists that were there when the lease was. Clean-up need not wait for the end of the lease with
    those, whether it saw the lease or not; with all later ones it does.
    """

    def __init__(self, leases: Leases, first: Held) -> None:
        self.job, self.fence, self.record, self.seen = first.job, first.fence, first.record, first.seen
        self._leases = leases
        self._lock = threading.Lock()  # held while the lease is renewed
        self._next = first
        self.heeds = first.seen
        self._wall = 0.0  # when the lease began that is held now, by either clock
        self._steady: float | None = None

    def check(self) -> None:
        """Raise where the lease is about to end; renew it where that is due. Cheap."""
        if self._due() and self._alive() and self._lock.acquire(blocking=False):
            try:
                if self._due():
                    self._renew()
            except errors.BankUnavailable as fault:
                LOG.warning("write lease not renewed job=%s %s", self.job, fault.operator_text())
            finally:
                self._lock.release()
        if not self._alive():
            raise errors.WriteLeaseLost(detail=f"job {self.job} claim {self.fence}")

    def confirm(self) -> None:
        """``check``, and ask the bank whether a later claim took the lease over or somebody gave it up."""
        self.check()
        latest = max((format.lease_parts(name)[1] for name in self._leases.of_job(self.job)), default=0)
        if latest > self.fence:
            raise errors.LeaseLost(detail=f"the write lease of job {self.job} was taken over by {latest}")
        if not self._leases.there(replace(self._next, number=self._next.number - 1)):  # a list may not show it yet
            raise errors.WriteLeaseLost(detail=f"job {self.job} claim {self.fence} was given up")
        self.check()

    def renew(self) -> None:
        """Put the next lease object."""
        with self._lock:
            self._renew()

    def end(self, *, committed: bool = False) -> bool:
        """The job ended: decide the fate of its record unless it is known, then let go. True where the record stands.
        May be called again."""
        if committed:
            self._leases.remove(self.job)
            return True
        return self._leases.end(self.job, self.record)

    def _renew(self) -> None:
        """Put the next object; the one before it, or that of an earlier claim, stays until the next renewal: lists of
        some banks are late, and at any moment one of the two must be seen."""
        leases, put, first = self._leases, False, self._steady is None
        while not put:
            now, steady = leases.clock.now(), leases.clock.monotonic()
            until = now + timedelta(seconds=leases.terms.term)
            put = leases.put(replace(self._next, until=until))
            self._next = replace(self._next, number=self._next.number + 1)
        self._wall, self._steady = now.timestamp(), steady
        if not first:
            leases.remove(self.job, fence=self.fence, below=self._next.number - 2)

    def _due(self) -> bool:
        return self._age() >= self._leases.terms.term / 3

    def _age(self) -> float:
        """Of two clocks the one that ran further: one stands while a host sleeps, the other may be set back."""
        clock = self._leases.clock
        return max(clock.now().timestamp() - self._wall, clock.monotonic() - (self._steady or 0.0))

    def _alive(self) -> bool:
        return self._age() < self._leases.terms.term - self._leases.terms.margin
