# SPDX-License-Identifier: Apache-2.0
"""Are objects of different kinds kept apart by their names?"""

import pytest

from karbor.model import errors
from karbor.sdk.streams import Extent, Kind
from karbor.vault.layout import Same, Window, plan
from tests.support.vaults import MIB, full, parts


def planned(extents, size, base_size=None):
    return list(plan(extents, size=size, base_size=base_size))


def test_data_is_read_in_windows_of_the_stream():
    assert planned(parts(10 * MIB, [(MIB, 8 * MIB)], rest=Kind.ZERO), 10 * MIB) == [
        Window(((MIB, 3 * MIB),)),
        Window(((4 * MIB, 4 * MIB),)),
        Window(((8 * MIB, MIB),)),
    ]


def test_small_runs_of_one_window_are_read_together():
    extents = parts(9 * MIB, [(0, 4096), (8192, 4096), (5 * MIB, 4096)], rest=Kind.ZERO)
    assert planned(extents, 9 * MIB) == [Window(((0, 4096), (8192, 4096))), Window(((5 * MIB, 4096),))]


def test_neighbours_of_one_kind_are_one():
    extents = [Extent(0, 4096, Kind.DATA), Extent(4096, 4096, Kind.DATA), Extent(8192, 1, Kind.SAME)]
    extents += [Extent(8193, 1, Kind.SAME)]
    assert planned(extents, 8194, 8194) == [Window(((0, 8192),)), Same(8192, 8194)]


def test_same_behind_a_shorter_base_is_read():
    assert planned([Extent(0, 100, Kind.SAME)], 100, 60) == [Same(0, 60), Window(((60, 40),))]
    assert planned([Extent(0, 100, Kind.SAME)], 100, 0) == [Window(((0, 100),))]


@pytest.mark.parametrize(
    "extents",
    [
        [Extent(0, 50, Kind.DATA)],
        [Extent(10, 90, Kind.DATA)],
        [Extent(0, 60, Kind.DATA), Extent(50, 50, Kind.ZERO)],
        [Extent(0, 100, Kind.DATA), Extent(100, 0, Kind.ZERO)],
        [Extent(0, 101, Kind.DATA)],
    ],
)
def test_a_source_that_breaks_its_contract_is_refused(extents):
    with pytest.raises(errors.InvalidInput):
        planned(extents, 100)


def test_same_without_a_base_is_refused():
    with pytest.raises(errors.InvalidInput):
        planned([Extent(0, 100, Kind.SAME)], 100)


def test_an_empty_source_has_no_portions():
    assert planned(full(0), 0) == []
