# SPDX-License-Identifier: Apache-2.0
"""Does a recipe built from a base share what did not change, and store what did?"""

import hashlib

from hypothesis import given, settings
from hypothesis import strategies as st

from karbor.vault.builder import RecipeBuilder
from karbor.vault.recipe import Piece, Tree, between, height
from tests.support.vaults import GIB, KIB, MIB, TIB


class Nodes:
    """Nodes in a dict; counts what is asked for."""

    def __init__(self):
        self.stored = {}
        self.loaded = []

    def put(self, data):
        node_id = hashlib.md5(data).digest()
        self.stored[node_id] = data
        return node_id

    def node(self, node_id):
        self.loaded.append(node_id)
        return self.stored[node_id]

    def load_nodes(self, ids):
        assert self.stored.keys() >= set(ids)


def built(nodes, size, pieces):
    builder = RecipeBuilder(size, nodes.put)
    for piece in pieces:
        builder.piece(piece)
    return Tree(nodes, builder.root(), size)


def content(seed, start, stop):
    """Pieces of 256 KiB between two offsets."""
    pieces = [
        Piece(at, 256 * KIB, hashlib.md5(f"{seed} {at}".encode()).digest(), 0)
        for at in range(start - start % (256 * KIB), stop, 256 * KIB)
    ]
    return plain(pieces, start, stop)


def plain(pieces, start, stop):
    return list(between(pieces, start, stop))


SIZES = st.one_of(st.integers(0, 5 * MIB), st.integers(0, 70 * MIB), st.sampled_from([MIB, 32 * MIB, 33 * MIB]))


@st.composite
def generations(draw):
    """(size, [(start, stop, kind)]) for a chain of streams, each against the one before."""
    chain = []
    before = 0
    for _ in range(draw(st.integers(1, 4))):
        size = draw(SIZES)
        borders = sorted({0, size, *(b for b in draw(st.lists(st.integers(0, 70 * MIB), max_size=6)) if b < size)})
        ranges = []
        for start, stop in zip(borders, borders[1:], strict=False):
            kind = draw(st.sampled_from(["data", "zero", "same", "same"]))
            if kind == "same" and start < before < stop:
                ranges += [(start, before, "same"), (before, stop, "data")]
            else:
                ranges.append((start, stop, "data" if kind == "same" and start >= before else kind))
        chain.append((size, ranges))
        before = size
    return chain


@settings(deadline=None)
@given(generations())
def test_an_increment_gives_the_very_tree_that_a_full_write_gives(chain):
    nodes = Nodes()
    base, known = Tree(nodes, None, 0), []
    for number, (size, ranges) in enumerate(chain):
        builder = RecipeBuilder(size, nodes.put)
        wanted = []
        for start, stop, kind in ranges:
            if kind == "same":
                builder.base_range(base, start, stop)
                wanted += plain(known, start, stop)
            elif kind == "data":
                for piece in content(number, start, stop):
                    builder.piece(piece)
                    wanted.append(piece)
        tree = Tree(nodes, builder.root(), size)
        assert tree.root == built(nodes, size, wanted).root
        assert normal(tree.pieces(0, size)) == normal(wanted)
        assert normal(tree.pieces(size // 3, size // 2)) == normal(plain(wanted, size // 3, size // 2))
        base, known = tree, wanted


def normal(pieces):
    """The same pieces whatever was merged or cut: neighbours from one chunk as one."""
    found = []
    for piece in pieces:
        last = found[-1] if found else None
        end = last and (last.chunk, last.offset + last.length, last.within + last.length)
        if end == (piece.chunk, piece.offset, piece.within):
            found[-1] = last._replace(length=last.length + piece.length)
            continue
        found.append(piece)
    return found


def test_a_stream_of_zeroes_has_no_node():
    nodes = Nodes()
    assert built(nodes, TIB, []).root is None
    assert nodes.stored == {}


def test_an_unchanged_stream_is_taken_over_without_reading_a_node():
    nodes = Nodes()
    base = built(nodes, GIB, content(1, 0, 64 * MIB))
    before = dict(nodes.stored)
    builder = RecipeBuilder(GIB, nodes.put)
    builder.base_range(base, 0, GIB)
    assert builder.root() == base.root
    assert nodes.loaded == []
    assert nodes.stored == before


def test_a_small_change_reads_and_writes_one_node_per_level():
    nodes = Nodes()
    base = built(nodes, TIB, content(1, 0, 2 * GIB))
    before = len(nodes.stored)
    builder = RecipeBuilder(TIB, nodes.put)
    at = GIB + 5 * MIB
    builder.base_range(base, 0, at)
    builder.piece(Piece(at, 64 * KIB, b"n" * 16, 0))
    builder.base_range(base, at + 64 * KIB, TIB)
    assert builder.root() != base.root
    assert len(nodes.stored) - before == height(TIB) + 1
    assert len(set(nodes.loaded)) == height(TIB) + 1


def test_neighbours_from_one_chunk_become_one_piece():
    nodes = Nodes()
    tree = built(nodes, MIB, [Piece(0, 4096, b"c" * 16, 0), Piece(4096, 4096, b"c" * 16, 4096)])
    assert list(tree.pieces(0, MIB)) == [Piece(0, 8192, b"c" * 16, 0)]


def test_a_node_is_found_by_its_place():
    nodes = Nodes()
    tree = built(nodes, GIB, content(1, 0, 40 * MIB))
    assert tree.node_at(2, 0) == tree.root
    for index, child in tree.children(2, 0, tree.root):
        assert tree.node_at(1, index) == child
        for leaf, leaf_id in tree.children(1, index, child):
            assert tree.node_at(0, leaf) == leaf_id
    assert tree.node_at(0, 41) is None
    assert tree.node_at(1, 99) is None
    assert tree.node_at(3, 0) is None
