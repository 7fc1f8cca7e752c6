# SPDX-License-Identifier: Apache-2.0
"""Which bytes of which stream are lost? One run looks at many streams and at nothing twice.

The recipe is walked and what it needs is looked at in portions. Where anything was found lost, the part of the recipe
that leads to it is walked a second time to tell which bytes that costs.
"""

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from karbor.model import errors
from karbor.sdk.streams import Advance
from karbor.vault import format
from karbor.vault.checkstate import Bad, CheckState
from karbor.vault.examine import Examiner
from karbor.vault.examineobjects import CLOSED, MISSING
from karbor.vault.recipe import FANOUT_BITS, LEAF_SPAN, Tree, decode_inner, decode_leaf, span
from karbor.vault.report import LEVELS, Damage, Flaw, Ranges, StreamReport
from karbor.vault.session import TICK
from karbor.vault.store import ChunkStore

_PORTION = 16384  # chunks that are looked at in one go


class Check:
    """One run over streams of one domain. Thread-safe; streams are looked at one after the other.

    Use as a context manager. Nothing in the bank is changed, but by ``note_damage``.
    """

    def __init__(
        self,
        store: ChunkStore,
        *,
        level: str,
        threads: int,
        directory: Path,
        tree_of: Callable[[str], Tree],
        flaws: Iterable[Flaw] = (),
    ) -> None:
        if level not in LEVELS:
            raise errors.InvalidInput(f"There is no level {level!r} of a check.")
        self.level = level
        self._tree_of = tree_of
        self._turn = threading.Lock()
        self.state = CheckState(directory)
        self.examiner = Examiner(store, self.state, level=level, threads=threads)
        self._followed = False
        self._told = 0, 0  # flaws and unproven index objects that a report told of
        self.store = store
        self.examiner.objects.flaws += flaws

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.examiner.close()
        self.state.close()

    def stream(self, stream_id: str, advance: Advance) -> StreamReport:
        """Look at a stream. ``advance`` is told its bytes, holes too, up to its size; what it raises ends the look.

        Raises BankUnavailable where nobody can tell; damage is no error but in the report.
        """
        with self.turn(advance):
            name = format.stream_name(stream_id)
            size: int | None = None
            omitted = 0
            try:
                tree = self._tree_of(stream_id)
            except errors.ObjectNotFound:
                damage: tuple[Damage, ...] = (Damage(0, None, MISSING, (self.store.prefix + name,)),)
            except errors.IntegrityError:
                damage = (Damage(0, None, CLOSED, (self.store.prefix + name,)),)
            else:
                size = tree.size
                self.state.next_round()
                ranges = _Look(self, tree, advance).ranges()
                damage, omitted = ranges.damage, ranges.omitted
            self.state.saw_object(name)
            flaws, unproven = self.flaws[self._told[0] :], self.unproven[self._told[1] :]
            self._told = len(self.flaws), len(self.unproven)
            return StreamReport(stream_id, self.level, size, damage, flaws, unproven, omitted)

    def record(self, kind: str, record_id: str) -> dict[str, Any]:
        """Read a record anew. Raises ObjectNotFound, IntegrityError."""
        name = format.record_name(kind, record_id)
        self.state.saw_object(name)
        return self.store.codec.open_document(name, self.store.bank.get(self.store.prefix + name))

    def note_damage(self) -> None:
        """Put into the bank which copies of chunks are lost, so that no host relies on them for what it writes next."""
        if self.examiner.lost:
            self.store.index_objects.note_damage(self.examiner.lost)
            self.examiner.lost = set()

    @property
    def flaws(self) -> tuple[Flaw, ...]:
        """All flaws that were found so far."""
        return tuple(self.examiner.objects.flaws)

    @property
    def unproven(self) -> tuple[str, ...]:
        """See StreamReport; all that were found so far."""
        return tuple(self.examiner.objects.unproven)

    @contextlib.contextmanager
    def turn(self, advance: Advance) -> Iterator[None]:
        """Alone in this run."""
        while not self._turn.acquire(timeout=TICK):
            advance(0)
        try:
            if not self._followed:
                self.store.follow()
                self._followed = True
            yield
        finally:
            self._turn.release()


class _Look:
    """At one stream."""

    def __init__(self, check: Check, tree: Tree, advance: Advance) -> None:
        self._state, self._examiner = check.state, check.examiner
        self._tree = tree
        self._advance = advance
        self._needs: dict[bytes, int] = {}
        self._reached = 0  # everything before was walked
        self._told = 0

    def ranges(self) -> Ranges:
        """Every range that is lost."""
        found = Ranges()
        if self._tree.root is not None:
            self._walk(self._tree.level, [(0, self._tree.root)])
            self._look()
            self._map(self._tree.level, [(0, self._tree.root)], found)
        self._tell(self._tree.size)
        return found

    def _walk(self, level: int, nodes: Sequence[tuple[int, bytes]]) -> None:
        fresh = self._state.enter([node_id for _, node_id in nodes])
        plain = self._examiner.nodes(fresh, self._advance)
        for index, node_id in nodes:
            data = plain.get(node_id)
            if data is not None:
                self._node(level, index, node_id, data)
            self._reached = min((index + 1) * span(level), self._tree.size)
        self._advance(0)

    def _node(self, level: int, index: int, node_id: bytes, data: bytes) -> None:
        try:
            if level:
                children = [(_below(index, slot), child) for slot, child in decode_inner(data, level)]
            else:
                pieces = decode_leaf(data, index * LEAF_SPAN)
        except errors.IntegrityError as fault:  # sealed so by a fault of the writer
            self._state.add_bad(node_id, Bad(fault.detail, ""))
            return
        if level:
            self._walk(level - 1, children)
            return
        for piece in pieces:
            self._needs[piece.chunk] = max(piece.within + piece.length, self._needs.get(piece.chunk, 0))
        if len(self._needs) >= _PORTION:
            self._look()

    def _look(self) -> None:
        self._examiner.content(self._needs, lambda proven: self._tell(min(self._told + proven, self._reached)))
        self._needs = {}
        self._tell(self._reached)

    def _tell(self, reached: int) -> None:
        self._advance(max(reached - self._told, 0))
        self._told = max(reached, self._told)

    def _map(self, level: int, nodes: Sequence[tuple[int, bytes]], found: Ranges) -> bool:
        """Add what is lost below these nodes; True where nothing is."""
        unclear = {node_id for _, node_id in nodes if not self._state.is_clean(node_id)}
        plain = self._examiner.nodes(unclear - self._state.bad(unclear).keys(), self._advance)
        bad = self._state.bad(unclear)
        whole = True
        for index, node_id in nodes:
            start = index * span(level)
            if node_id in bad:
                _add(found, start, min(start + span(level), self._tree.size) - start, bad[node_id])
                whole = False
            elif node_id in plain:
                if self._map_node(level, index, plain[node_id], found):
                    self._state.mark_clean(node_id)
                else:
                    whole = False
        return whole

    def _map_node(self, level: int, index: int, data: bytes, found: Ranges) -> bool:
        if level:
            children = [(_below(index, slot), child) for slot, child in decode_inner(data, level)]
            return self._map(level - 1, children, found)
        pieces = decode_leaf(data, index * LEAF_SPAN)
        bad: Mapping[bytes, Bad] = self._state.bad({piece.chunk for piece in pieces})
        for piece in pieces:
            if piece.chunk in bad:
                _add(found, piece.offset, piece.length, bad[piece.chunk])
        return not bad


def _below(index: int, slot: int) -> int:
    return (index << FANOUT_BITS) + slot


def _add(found: Ranges, offset: int, length: int, bad: Bad) -> None:
    found.add(offset, length, bad.reason, (bad.object,) if bad.object else ())
