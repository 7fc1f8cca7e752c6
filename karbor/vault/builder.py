# SPDX-License-Identifier: Apache-2.0
"""How does a recipe grow from left to right, in memory that does not depend on the size of the stream?

One node per level is open. Whole nodes of a base are taken over by name, without being read.
"""

from collections.abc import Callable

from karbor.vault.recipe import (
    FANOUT,
    FANOUT_BITS,
    LEAF_SPAN,
    Piece,
    Tree,
    Walk,
    between,
    encode_inner,
    encode_leaf,
    height,
    span,
)


class RecipeBuilder:
    """Fed with pieces and subtrees in ascending order. ``put_node`` stores the bytes of a node and returns its id."""

    def __init__(self, size: int, put_node: Callable[[bytes], bytes]) -> None:
        self._size = size
        self._height = height(size)
        self._put_node = put_node
        self._root: bytes | None = None
        self._pieces: list[Piece] = []
        self._base: Walk | None = None
        self._open = [0] * (self._height + 1)  # index of the open node of each level
        self._children: list[dict[int, bytes]] = [{} for _ in range(self._height + 1)]

    def piece(self, piece: Piece) -> None:
        """Append a piece; it may cross borders of leaves."""
        at, stop = piece.offset, piece.offset + piece.length
        while at < stop:
            index = at // LEAF_SPAN
            border = min(stop, (index + 1) * LEAF_SPAN)
            self._in_leaf(index, Piece(at, border - at, piece.chunk, piece.within + at - piece.offset))
            at = border

    def base_range(self, base: Tree, start: int, stop: int) -> None:
        """Append what the base holds between two offsets. Reads only the nodes that the borders cut."""
        stop = min(stop, base.size)
        if self._base is None or self._base.tree != base:
            self._base = Walk(base)
        if base.root is not None and start < stop:
            self._from_base(self._base, base.level, 0, base.root, start, stop)

    def root(self) -> bytes | None:
        """Close all nodes. The id of the root; None where nothing was appended."""
        for level in range(self._height + 1):
            self._close(level)
        return self._root

    def _in_leaf(self, index: int, piece: Piece) -> None:
        """Append a piece that lies in one leaf."""
        if index != self._open[0]:
            self._close(0)
            self._open[0] = index
        self._append(piece)

    def _append(self, piece: Piece) -> None:
        if self._pieces:
            last = self._pieces[-1]
            end = last.offset + last.length
            if end == piece.offset and last.chunk == piece.chunk and last.within + last.length == piece.within:
                self._pieces[-1] = last._replace(length=last.length + piece.length)
                return
        self._pieces.append(piece)

    def _from_base(self, base: Walk, level: int, index: int, node_id: bytes, start: int, stop: int) -> None:
        """What lies between two offsets, of a node that lies there at least in part."""
        first, end = index * span(level), (index + 1) * span(level)
        size = base.tree.size
        # A node that sticks out over the end of both streams holds nothing there, so it fits as it is.
        whole = start <= first and (end <= stop or stop == size == self._size)
        if whole and level <= self._height:
            self._subtree(level, index, node_id)
        elif level:
            children, below = base.children(level, node_id), span(level - 1)
            low = max(index << FANOUT_BITS, start // below)
            high = min(index + 1 << FANOUT_BITS, -(-stop // below))
            for child in range(low, high):
                child_id = children.get(child & FANOUT - 1)
                if child_id is not None:
                    self._from_base(base, level - 1, child, child_id, start, stop)
        else:
            for piece in between(base.leaf(index, node_id), start, stop):
                self._in_leaf(index, piece)

    def _subtree(self, level: int, index: int, node_id: bytes) -> None:
        for lower in range(level + 1):
            self._close(lower)
        self._child(level + 1, index, node_id)

    def _child(self, level: int, index: int, node_id: bytes) -> None:
        if level > self._height:
            self._root = node_id
            return
        parent, slot = divmod(index, FANOUT)
        if parent != self._open[level]:
            self._close(level)
            self._open[level] = parent
        self._children[level][slot] = node_id

    def _close(self, level: int) -> None:
        index = self._open[level]
        if level == 0 and self._pieces:
            data = encode_leaf(self._pieces, index * LEAF_SPAN)
            self._pieces = []
        elif level and self._children[level]:
            data = encode_inner(level, self._children[level])
            self._children[level] = {}
        else:
            return
        self._child(level + 1, index, self._put_node(data))
