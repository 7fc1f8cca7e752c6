# SPDX-License-Identifier: Apache-2.0
"""Are objects of different kinds kept apart by their names?"""

import pytest

from karbor.model import errors
from karbor.sdk.streams import Extent, Kind
from karbor.vault.layout import Run, Same, Window, plan
from tests.support.vaults import KIB, MIB, full, parts


def planned(extents, size, base_size=None):
    return list(plan(extents, size=size, base_size=base_size))


def test_data_is_read_in_windows_of_the_stream():
    assert planned(parts(10 * MIB, [(MIB, 8 * MIB)], rest=Kind.ZERO), 10 * MIB) == [
        Window((Run(MIB, 3 * MIB),)),
        Window((Run(4 * MIB, 4 * MIB),)),
        Window((Run(8 * MIB, MIB),)),
    ]


def test_small_runs_are_read_together_however_far_apart_they_lie():
    extents = parts(9 * MIB, [(0, 4096), (8192, 4096), (5 * MIB, 4096)], rest=Kind.ZERO)
    assert planned(extents, 9 * MIB) == [Window((Run(0, 4096), Run(8192, 4096), Run(5 * MIB, 4096)))]


def test_runs_come_with_what_lies_between_them():
    extents = parts(9 * MIB, [(0, 4096), (8192, 4096)], rest=Kind.SAME)
    assert planned(extents, 9 * MIB, 9 * MIB) == [
        Window((Run(0, 4096), Same(4096, 8192), Run(8192, 4096), Same(12288, 9 * MIB)))
    ]


def test_no_window_reads_more_than_its_size_or_has_parts_without_number():
    runs = [(at * 128 * KIB, 64 * KIB) for at in range(1000)]
    found = planned(parts(128 * MIB, runs, rest=Kind.SAME), 128 * MIB, 128 * MIB)
    assert [window.length for window in found] == [4 * MIB] * 15 + [40 * 64 * KIB]
    runs = [(at * 128 * KIB, 512) for at in range(1000)]
    found = planned(parts(128 * MIB, runs, rest=Kind.SAME), 128 * MIB, 128 * MIB)
    assert [len(window.parts) for window in found] == [512, 512, 512, 464]


def test_neighbours_of_one_kind_are_one():
    extents = [Extent(0, 4096, Kind.DATA), Extent(4096, 4096, Kind.DATA), Extent(8192, 1, Kind.SAME)]
    extents += [Extent(8193, 1, Kind.SAME)]
    assert planned(extents, 8194, 8194) == [Window((Run(0, 8192), Same(8192, 8194)))]


def test_same_behind_a_shorter_base_is_read():
    assert planned([Extent(0, 100, Kind.SAME)], 100, 60) == [Window((Same(0, 60), Run(60, 40)))]
    assert planned([Extent(0, 100, Kind.SAME)], 100, 0) == [Window((Run(0, 100),))]


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
