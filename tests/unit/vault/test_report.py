# SPDX-License-Identifier: Apache-2.0
"""Is damage told once, in as few ranges as it takes?"""

from karbor.vault.report import MOST, Damage, Flaw, Ranges, StreamReport


def test_neighbours_with_one_cause_are_one_range():
    ranges = Ranges()
    ranges.add(0, 4, "gone", ["a"])
    ranges.add(4, 4, "gone", ["a"])
    ranges.add(8, 4, "gone", ["b"])
    ranges.add(16, 4, "gone", ["b"])
    assert ranges.damage == (Damage(0, 8, "gone", ("a",)), Damage(8, 4, "gone", ("b",)), Damage(16, 4, "gone", ("b",)))


def test_the_number_of_ranges_is_bounded_and_the_rest_is_counted():
    ranges = Ranges()
    for at in range(MOST + 3):
        ranges.add(2 * at, 1, "gone", [])
    assert len(ranges.damage) == MOST and ranges.omitted == 3


def test_a_stream_without_damage_is_whole_whatever_flaws_there_are():
    flawed = StreamReport("s", "data", 10, flaws=(Flaw("index/1", "gone"),))
    assert flawed.whole and flawed.lost == 0


def test_the_lost_bytes_are_counted():
    report = StreamReport("s", "data", 10, (Damage(0, 3, "x"), Damage(5, 2, "x"), Damage(0, None, "x")))
    assert not report.whole and report.lost == 5


def test_all_can_be_written_as_json():
    assert Damage(1, 2, "gone", ("a",)).to_dict() == {"offset": 1, "length": 2, "reason": "gone", "objects": ["a"]}
    assert Flaw("a", "gone").to_dict() == {"object": "a", "reason": "gone"}
