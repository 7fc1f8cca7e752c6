# SPDX-License-Identifier: Apache-2.0
"""What does a stream consist of, and how is that written so that increments share what did not change?

A recipe is a tree over the offsets of the stream. A *leaf* covers 1 MiB and lists its pieces; an inner node has room
for 32 children of equal span. Nodes are chunks like any other, named by content: two streams that agree on a span
share its node. What is not mentioned is zero. Both spans were chosen by arithmetic: see format.rst, "Spans".
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice, repeat
from typing import NamedTuple, Protocol

from karbor.model import errors
from karbor.vault.format import Cursor, put_varint

LEAF_SPAN = 1 << 20
FANOUT_BITS = 5
FANOUT = 1 << FANOUT_BITS
_LEAF = 1
_INNER = 2
_MAX_SHIFT = 12
_AT_ONCE = (8, 64, 256)  # leaves that are read together: few at first, for those who want the first piece soon


class Piece(NamedTuple):
    """``length`` bytes of the stream from ``offset`` on are those of a chunk from ``within`` on."""

    offset: int
    length: int
    chunk: bytes
    within: int


def span(level: int) -> int:
    """Bytes under one node. Leaves are level 0."""
    return LEAF_SPAN << (FANOUT_BITS * level)


def height(size: int) -> int:
    """The level of the root of a stream of ``size`` bytes: the lowest that covers it."""
    level = 0
    while span(level) < size:
        level += 1
    return level


def encode_leaf(pieces: Sequence[Piece], start: int) -> bytes:
    """``pieces`` ascend and lie within the leaf that begins at ``start``. Equal pieces give equal bytes."""
    bits = 1 << _MAX_SHIFT
    for piece in pieces:
        bits |= (piece.offset - start) | piece.length | piece.within
    shift = (bits & -bits).bit_length() - 1
    numbers: dict[bytes, int] = {}
    body = bytearray()
    put_varint(body, len(pieces))
    end = start
    for piece in pieces:
        put_varint(body, (piece.offset - end) >> shift)
        put_varint(body, piece.length >> shift)
        put_varint(body, numbers.setdefault(piece.chunk, len(numbers)))
        put_varint(body, piece.within >> shift)
        end = piece.offset + piece.length
    out = bytearray((_LEAF, shift))
    put_varint(out, len(numbers))
    return bytes(out) + b"".join(numbers) + bytes(body)


def decode_leaf(data: bytes, start: int) -> Sequence[Piece]:
    """The inverse. Raises IntegrityError for anything that ``encode_leaf`` does not make."""
    cursor = Cursor(data)
    kind, shift = cursor.take(2)
    if kind != _LEAF or shift > _MAX_SHIFT:
        raise errors.IntegrityError(detail="not a leaf of a recipe")
    ids = cursor.ids(cursor.varint())
    count = cursor.varint()
    numbers = iter(_varints(cursor, 4 * count))
    pieces = []
    at = start
    for gap, length, number, within in zip(numbers, numbers, numbers, numbers, strict=True):
        if number >= len(ids) or not length:
            raise errors.IntegrityError(detail="a leaf of a recipe names a chunk it does not list")
        at += gap << shift
        pieces.append(Piece(at, length << shift, ids[number], within << shift))
        at += length << shift
    cursor.end()
    if at > start + LEAF_SPAN:
        raise errors.IntegrityError(detail="a leaf of a recipe is longer than its span")
    return pieces


def _varints(cursor: Cursor, count: int) -> Sequence[int]:
    """So many numbers. A stream has many of them, so nothing is called in here."""
    data, at = cursor.data, cursor.at
    found = []
    try:
        for _ in range(count):
            byte = data[at]
            at += 1
            value, shift = byte & 0x7F, 7
            while byte > 0x7F and shift < 63:
                byte = data[at]
                value |= (byte & 0x7F) << shift
                at += 1
                shift += 7
            found.append(value)
    except IndexError:
        raise errors.IntegrityError(detail="number runs past the end") from None
    cursor.at = at
    return found


def encode_inner(level: int, children: Mapping[int, bytes]) -> bytes:
    """``children`` maps slots (0 to 31, ascending) to node ids."""
    bitmap = sum(1 << slot for slot in children)
    return bytes((_INNER, level)) + bitmap.to_bytes(FANOUT // 8, "little") + b"".join(children.values())


def decode_inner(data: bytes, level: int) -> Sequence[tuple[int, bytes]]:
    """(slot, node id), ascending. Raises IntegrityError."""
    cursor = Cursor(data)
    if tuple(cursor.take(2)) != (_INNER, level):
        raise errors.IntegrityError(detail="not the node of a recipe that is wanted here")
    bitmap = int.from_bytes(cursor.take(FANOUT // 8), "little")
    slots = [slot for slot in range(FANOUT) if bitmap >> slot & 1]
    ids = cursor.ids(len(slots))
    cursor.end()
    return list(zip(slots, ids, strict=True))


class Nodes(Protocol):
    """Anything that finds the plain bytes of a node by its id. Raises IntegrityError where there is none."""

    def node(self, node_id: bytes) -> bytes: ...

    def load_nodes(self, ids: Iterable[bytes]) -> None:
        """Have these at hand: together they take fewer requests than one by one. Raises as ``node`` does."""


class Tree(NamedTuple):
    """A recipe that can be walked. ``root`` None: all zeroes."""

    nodes: Nodes
    root: bytes | None
    size: int

    @property
    def level(self) -> int:
        return height(self.size)

    def children(self, level: int, index: int, node_id: bytes) -> Iterator[tuple[int, bytes]]:
        """(index on the level below, node id) of an inner node."""
        for slot, child in decode_inner(self.nodes.node(node_id), level):
            yield (index << FANOUT_BITS) + slot, child

    def node_at(self, level: int, index: int) -> bytes | None:
        """The id of the node at a place of the tree; None where there is none."""
        node_id, at = self.root, self.level
        if index >> FANOUT_BITS * max(at - level, 0):
            return None
        while node_id is not None and at > level:
            at -= 1
            slot = index >> FANOUT_BITS * (at - level) & FANOUT - 1
            node_id = dict(decode_inner(self.nodes.node(node_id), at + 1)).get(slot)
        return node_id if at == level else None

    def leaf(self, index: int, node_id: bytes) -> Sequence[Piece]:
        return decode_leaf(self.nodes.node(node_id), index * LEAF_SPAN)

    def pieces(self, start: int, stop: int) -> Iterator[Piece]:
        """What lies between two offsets, ascending, cut to fit; gaps are zeroes. Reads only nodes that it must."""
        if self.root is None:
            return
        stop = min(stop, self.size)
        leaves = self._leaves(self.level, 0, self.root, start, stop)
        for count in chain(_AT_ONCE, repeat(_AT_ONCE[-1])):
            batch = list(islice(leaves, count))
            if not batch:
                return
            self.load([node_id for _, node_id in batch])
            for index, node_id in batch:
                yield from between(self.leaf(index, node_id), start, stop)

    def _leaves(self, level: int, index: int, node_id: bytes, start: int, stop: int) -> Iterator[tuple[int, bytes]]:
        """(index, id) of the leaves between two offsets, ascending."""
        if not level:
            yield index, node_id
            return
        below = span(level - 1)
        children = [
            (child, child_id)
            for child, child_id in self.children(level, index, node_id)
            if child * below < stop and (child + 1) * below > start
        ]
        if level > 1:
            self.load([child_id for _, child_id in children])
        for child, child_id in children:
            yield from self._leaves(level - 1, child, child_id, start, stop)

    def load(self, ids: Sequence[bytes]) -> None:
        """Have these nodes at hand, as far as they are whole."""
        try:
            if len(ids) > 1:
                self.nodes.load_nodes(ids)
        except errors.IntegrityError:
            return  # whoever asks for the damaged one is told, and has had what lies before it


class Walk:
    """A tree that is visited from left to right: each node on the way is decoded once. Not thread-safe."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self._inner: dict[int, tuple[bytes, Mapping[int, bytes]]] = {}
        self._leaf: tuple[bytes, int, Sequence[Piece]] | None = None

    def children(self, level: int, node_id: bytes) -> Mapping[int, bytes]:
        """Node ids by their slots."""
        held = self._inner.get(level)
        if held is None or held[0] != node_id:
            held = self._inner[level] = node_id, dict(decode_inner(self.tree.nodes.node(node_id), level))
        return held[1]

    def leaf(self, index: int, node_id: bytes) -> Sequence[Piece]:
        """The pieces of a leaf."""
        if self._leaf is None or self._leaf[:2] != (node_id, index):
            self._leaf = node_id, index, self.tree.leaf(index, node_id)
        return self._leaf[2]

    def node_at(self, level: int, index: int) -> bytes | None:
        """See Tree.node_at."""
        node_id, at = self.tree.root, self.tree.level
        if index >> FANOUT_BITS * max(at - level, 0):
            return None
        while node_id is not None and at > level:
            slot = index >> FANOUT_BITS * (at - level - 1) & FANOUT - 1
            node_id = self.children(at, node_id).get(slot)
            at -= 1
        return node_id if at == level else None


def between(pieces: Sequence[Piece], start: int, stop: int) -> Iterator[Piece]:
    """Those of ascending pieces that lie between two offsets, cut to fit."""
    for piece in pieces[bisect_right(pieces, start, key=_end) : bisect_left(pieces, stop, key=_offset)]:
        if piece.offset < start or piece.offset + piece.length > stop:
            first = max(piece.offset, start)
            length = min(piece.offset + piece.length, stop) - first
            yield Piece(first, length, piece.chunk, piece.within + first - piece.offset)
        else:
            yield piece


def _offset(piece: Piece) -> int:
    return piece.offset


def _end(piece: Piece) -> int:
    return piece.offset + piece.length


def part_of(piece: Piece, chunk: bytes) -> memoryview:
    """The bytes of a piece. Raises IntegrityError where the chunk is too short for it."""
    part = memoryview(chunk)[piece.within : piece.within + piece.length]
    if len(part) != piece.length:
        raise errors.IntegrityError(detail=f"chunk {piece.chunk.hex()} is shorter than the recipe says")
    return part
