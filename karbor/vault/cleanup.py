# SPDX-License-Identifier: Apache-2.0
"""How is the space of what nobody refers to given back, while others go on writing?

One pass over one domain: give up writers whose lease ran out, delete what earlier passes condemned and what nobody came
to need since, condemn what nobody refers to now. doc/source/reference/cleanup.rst has the protocol, what it assumes and
why nothing alive can be deleted. A pass may end anywhere, also by a crash: the next one goes on.
"""

import logging
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, fields, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from karbor.model import errors
from karbor.vault import format, listing
from karbor.vault.claim import Claim
from karbor.vault.compaction import rewrite_index, rewrite_packs
from karbor.vault.condemned import Condemned, CondemnedLists
from karbor.vault.leases import Held, Leases
from karbor.vault.marks import Marks
from karbor.vault.pace import Pace
from karbor.vault.records import Records
from karbor.vault.references import References
from karbor.vault.store import ChunkStore

LOG = logging.getLogger(__name__)
_SMALL = format.INDEX_ENTRIES * 20 // 4  # bytes of an index object that is a quarter full
_PASSES = 4
_BATCH = 100  # deletes between two looks whether we may still delete


@dataclass(frozen=True)
class Settings:
    """``grace``: seconds between condemning and deleting, at least. ``thin``: packs of which less than this share is
    referred to are written anew. ``tombstones``: seconds that a tombstone is kept. ``small_index``: so many small index
    objects are written into one. ``claim``: seconds after which the claim of a dead process is void."""

    grace: float = 3600
    thin: float = 0.5
    tombstones: float = 30 * 86400
    small_index: int = 16
    claim: float = 900
    bytes_per_second: int | None = None
    requests_per_second: int | None = None


@dataclass
class Report:
    """What clean-up did, and found; sizes in bytes. ``condemned``: what will be deleted by a later pass."""

    domains: int = 0
    streams: int = 0
    packs: int = 0
    pack_bytes: int = 0
    leases: int = 0
    leases_given_up: int = 0
    streams_deleted: int = 0
    packs_deleted: int = 0
    bytes_deleted: int = 0
    index_objects_deleted: int = 0
    tombstones_deleted: int = 0
    bytes_rewritten: int = 0
    condemned_streams: int = 0
    condemned_packs: int = 0
    condemned_bytes: int = 0
    condemned_index_objects: int = 0
    lists_waiting: int = 0
    objects_kept: int = 0
    chunks_lost: int = 0

    def add(self, other: "Report") -> None:
        for field in fields(self):
            setattr(self, field.name, getattr(self, field.name) + getattr(other, field.name))

    def to_dict(self) -> dict[str, int]:
        return {field.name: getattr(self, field.name) for field in fields(self)}


@dataclass(frozen=True)
class Found:
    """What could be condemned."""

    streams: frozenset[str]
    packs: Mapping[bytes, int]  # id -> size; nothing in them is needed
    thin: Mapping[bytes, int]  # what is needed of them must be stored elsewhere first
    index: frozenset[str]  # small index objects


class CleanUp:
    """Cleans up one domain; see the module text. Made for one call of ``run`` or ``estimate``."""

    def __init__(
        self, store: ChunkStore, records: Records, leases: Leases, *, settings: Settings, scratch: Path,
        pause: Callable[[float], None],
    ) -> None:  # fmt: skip
        self._store, self._records, self._leases = store, records, leases
        self._settings, self._scratch, self._pause = settings, scratch, pause
        self._clock = leases.clock
        here: dict[str, Any] = {"prefix": store.prefix, "codec": store.codec}
        self._lists = CondemnedLists(store.bank, **here)
        self._references = References(store.bank, records=records, **here)
        self._pace = Pace(
            self._clock, pause, bytes_per_second=settings.bytes_per_second, requests=settings.requests_per_second
        )
        self._claim = _claim(store, leases, settings.claim)
        self._swept: set[str] = set()
        self.report = Report(domains=1)

    def estimate(self) -> Report:
        """What a pass would find, without writing to the bank."""
        held = self._leases.newest()
        self.report.leases = len(held)
        lists = self._known_lists()
        self.report.lists_waiting = len(lists)
        with Marks(self._store, self._scratch, pace=self._pace) as marks:
            unnamed = self._mark(marks, lists, held)
            self._count(self._find(marks, unnamed, held))
        return self.report

    def run(self) -> Report:
        """One pass; where there is no grace, more of them, until nothing is condemned.

        Raises Conflict where somebody else is at it, IntegrityError where damage makes it unknown what is needed."""
        self._claim.take()
        finished = False
        try:
            for _ in range(_PASSES):
                if not self._pass() or self._settings.grace > 0:
                    break
            finished = True
        finally:
            try:
                self._claim.let_go(finished=finished)
            except (errors.BankUnavailable, errors.LeaseLost) as fault:
                LOG.warning("claim to clean up not given back %s", fault.operator_text())
        return self.report

    def _pass(self) -> bool:
        """Whether something was condemned."""
        self._give_up_expired()
        self.report.tombstones_deleted += self._references.clear(
            self._settings.tombstones, now=self._clock.now(), spare={held.record for held in self._held().values()}
        )
        lists = self._known_lists()
        held = self._held()  # after the lists: whoever is not seen here takes heed of all of them
        ready = [condemned for condemned in lists if self._is_ready(condemned, held)]
        # A record that was put before its lease was removed must be seen below.
        self._pause(self._store.bank.capabilities.list_lag)
        with Marks(self._store, self._scratch, pace=self._pace) as marks:
            unnamed = self._mark(marks, ready, held)
            if ready:
                unnamed -= self._sweep(marks, ready, unnamed)
            self.report.lists_waiting = len(lists) - len(ready)
            if self.report.lists_waiting:
                return False
            return self._condemn(marks, self._find(marks, unnamed, held))

    def _give_up_expired(self) -> None:
        for job, held in self._leases.newest().items():
            if self._leases.expired(held):
                stands = self._leases.end(job, held.record)
                self.report.leases_given_up += 1
                LOG.info("write lease given up job=%s committed=%s", job, stands)

    def _held(self) -> Mapping[str, Held]:
        held = self._leases.newest()
        self.report.leases = len(held)
        return held

    def _known_lists(self) -> Sequence[Condemned]:
        found = []
        for list_id in self._lists.ids():
            try:
                found.append(self._lists.get(list_id))
            except errors.ObjectNotFound:
                continue
        return found

    def _is_ready(self, condemned: Condemned, held: Mapping[str, Held]) -> bool:
        """Whether nobody is left who may rely on what is condemned."""
        old = self._clock.now() >= condemned.at + timedelta(seconds=self._grace())
        return old and all(condemned.id in lease.seen for lease in held.values())

    def _grace(self) -> float:
        """Lists of the bank that are late must have shown the condemned list to every writer that we do not see."""
        return max(self._settings.grace, 2 * self._store.bank.capabilities.list_lag)

    def _mark(self, marks: Marks, ready: Sequence[Condemned], held: Mapping[str, Held]) -> frozenset[str]:
        """Mark all that must stay. The streams that no record names.

        Streams that are not condemned count as alive, also where no record names them (yet): writers may take them, or
        what they refer to, as a base.
        """
        self._store.follow()
        self._store.scan()
        prefix = self._store.prefix
        cutoff = self._cutoff(held)
        packs = listing.objects(self._store.bank, f"{prefix}pack/")
        self.report.packs, self.report.pack_bytes = marks.packs_here(packs, cutoff=cutoff)
        if self._store.index_objects.passed_over():
            marks.spare_unknown()
        going = {stream_id for condemned in ready for stream_id in condemned.streams}
        named = self._references.named()
        seen: set[str] = set()
        # Lists are no snapshots: look again until nothing new is there.
        while new := self._references.streams() - seen:
            seen |= new
            for rank, chosen in ((1, new & named), (2, self._unnamed_alive(new - named, going))):
                unread = marks.walk(self._references.tops(chosen, tolerant=rank == 2), rank)
                if unread and rank == 1:
                    raise errors.IntegrityError(
                        "Stored data is damaged: it cannot be told what is needed.",
                        detail=f"{unread} nodes of recipes are damaged or lost in {prefix}",
                        next_action="verify the checkpoints of this bank; delete those that cannot be mended",
                    )
        self.report.streams = len(seen)
        return frozenset(seen - named)

    def _unnamed_alive(self, unnamed: Set[str], going: Set[str]) -> Set[str]:
        return unnamed - going

    def _cutoff(self, held: Mapping[str, Held]) -> float:
        """What is newer, by the bank's clock, may belong to somebody who still writes; only to condemn less in vain."""
        moments = [self._clock.now().timestamp() - self._settings.grace]
        moments += [lease.begun.timestamp() - self._leases.terms.skew for lease in held.values()]
        return min(moments)

    def _find(self, marks: Marks, unnamed: frozenset[str], held: Mapping[str, Held]) -> Found:
        self.report.chunks_lost = marks.lost()
        cutoff = self._cutoff(held)
        young = {info.name for info in self._listed("stream/") if info.modified > cutoff}
        streams = {one for one in unnamed if self._store.prefix + format.stream_name(one) not in young}
        dead, thin = marks.shares(thin=self._settings.thin)
        small = {
            info.name.removeprefix(self._store.prefix)
            for info in self._listed("index/")
            if info.size < _SMALL and info.modified <= cutoff
        }
        small = self._not_kept(small) if len(small) >= self._settings.small_index else set()
        packs = self._packs_not_kept(share.pack_id for share in (*dead, *thin))
        return Found(
            frozenset(one for one in streams if self._not_kept({format.stream_name(one)})),
            {share.pack_id: share.size for share in dead if share.pack_id in packs},
            {share.pack_id: share.size for share in thin if share.pack_id in packs},
            frozenset(small if len(small) >= self._settings.small_index else ()),
        )

    def _not_kept(self, names: Iterable[str]) -> set[str]:
        """Those that the bank does not keep for a lock that lasts, or that lasted for somebody who has gone since. By
        the bank's own time where it has one: it would refuse to delete them."""
        bank = self._store.bank
        if not bank.capabilities.object_lock:
            return set(names)
        now = bank.now() or self._clock.now()
        free = set()
        for name in names:
            self._pace.spend()
            try:
                until = bank.retained(self._store.prefix + name)
            except errors.ObjectNotFound:
                until = None
            if until is None or until <= now:
                free.add(name)
            else:
                self.report.objects_kept += 1
        return free

    def _packs_not_kept(self, packs: Iterable[bytes]) -> set[bytes]:
        """As ``_not_kept``. A pack stays too where an index object is kept that lists it."""
        found = {format.pack_id_of(name) for name in self._not_kept(map(format.pack_name, packs))}
        sources = {pack_id: set(self._store.index.sources_of(pack_id)) for pack_id in found}
        free = self._not_kept(set().union(*sources.values()))
        return {pack_id for pack_id, names in sources.items() if names <= free}

    def _condemn(self, marks: Marks, found: Found) -> bool:
        moved, written = rewrite_packs(self._store, found.thin, moving=marks.moving, pace=self._pace)
        self.report.bytes_rewritten += sum(written.values())
        marks.arrived(written)
        # What would not be deleted anyway, for want of a proven copy elsewhere, need not be condemned.
        marks.doom({*found.packs, *moved})
        packs = frozenset({*found.packs, *moved} - marks.needed(1))
        found = replace(
            found, packs={one: size for one, size in {**found.packs, **found.thin}.items() if one in packs}, thin={}
        )
        if not (packs or found.streams or found.index):
            return False
        index = found.index.union(*(self._store.index.sources_of(pack_id) for pack_id in packs))
        put = self._lists.put(at=self._clock.now(), packs=packs, streams=found.streams, index=index)
        if set(self._lists.ids()) - self._swept - {put.id}:
            # Somebody else condemned at the same time: each might count on copies that the other means to delete.
            self._lists.delete(put.id)
            return False
        self._count(found)
        return True

    def _count(self, found: Found) -> None:
        self.report.condemned_streams = len(found.streams)
        self.report.condemned_packs = len(found.packs) + len(found.thin)
        self.report.condemned_bytes = sum(found.packs.values()) + sum(found.thin.values())
        self.report.condemned_index_objects = len(found.index)

    def _sweep(self, marks: Marks, ready: Sequence[Condemned], unnamed: frozenset[str]) -> frozenset[str]:
        """Roots, then index objects, then packs, then the lists: at any moment what is left can be read. The streams
        that were deleted."""
        marks.doom(pack_id for condemned in self._known_lists() for pack_id in condemned.packs)
        condemned = self._packs_not_kept(frozenset[bytes]().union(*(one.packs for one in ready)))
        index = self._not_kept(frozenset[str]().union(*(one.index for one in ready)))
        dead = {pack_id: size for pack_id, size in self._dead(marks, index).items() if pack_id in condemned}
        streams = unnamed & frozenset[str]().union(*(one.streams for one in ready))
        streams = frozenset(one for one in streams if self._not_kept({format.stream_name(one)}))
        self._delete(ready, (format.stream_name(stream_id) for stream_id in sorted(streams)))
        self.report.streams_deleted += len(streams)
        going = rewrite_index(self._store, index, keep=marks.here() - set(dead), pace=self._pace)
        self._delete(ready, (name for one in going for name in (one, format.proof_name(one))))
        self.report.index_objects_deleted += len(going)
        self._delete(ready, (format.pack_name(pack_id) for pack_id in sorted(dead)))
        for name in going:
            self._store.index.drop_source(name)
        for pack_id in dead:
            self._store.index.forget(pack_id)
        self._store.index.prune()
        self.report.packs_deleted += len(dead)
        self.report.bytes_deleted += sum(dead.values())
        # A host that does not see a list any more must not see index objects that were deleted before it.
        self._pause(self._store.bank.capabilities.list_lag)
        for one in ready:
            self._lists.delete(one.id)
            self._swept.add(one.id)
        marks.deleted(dead)
        self._forget_damage(marks.here())
        return streams

    def _forget_damage(self, here: Set[bytes]) -> None:
        """Remove notes of damage in packs that are gone."""
        for info in list(self._listed(format.damage_name(""))):
            name = info.name.removeprefix(self._store.prefix)
            try:
                packs = self._store.codec.open_document(name, self._store.bank.get(info.name))["packs"]
            except (errors.ObjectNotFound, errors.IntegrityError):
                continue
            if here.isdisjoint(map(bytes.fromhex, packs)):
                self._store.bank.delete(info.name)

    def _dead(self, marks: Marks, index: Set[str]) -> Mapping[bytes, int]:
        return marks.dead(index)

    def _delete(self, ready: Sequence[Condemned], names: Iterable[str]) -> None:
        for number, name in enumerate(names):
            if number % _BATCH == 0:
                self._claim.check()
                if not all(self._lists.there(one.id) for one in ready):
                    raise errors.LeaseLost("Somebody else cleaned this up.")
            self._pace.spend()
            try:
                self._store.bank.delete(self._store.prefix + name)
            except errors.ObjectLocked:  # somebody locked it since we looked
                self.report.objects_kept += 1

    def _listed(self, beginning: str) -> Iterator[Any]:
        return listing.objects(self._store.bank, self._store.prefix + beginning)


def is_due(store: ChunkStore, leases: Leases, interval: float) -> bool:
    """Whether nobody finished a clean-up of this domain within so many seconds."""
    last = _claim(store, leases, Settings.claim).last_finished()
    return last is None or leases.clock.now() >= last + timedelta(seconds=interval)


def _claim(store: ChunkStore, leases: Leases, term: float) -> Claim:
    shared: dict[str, Any] = {"prefix": store.prefix, "codec": store.codec, "clock": leases.clock}
    return Claim(store.bank, **shared, owner=secrets.token_hex(16), term=term, skew=leases.terms.skew)
