# SPDX-License-Identifier: Apache-2.0
"""Does a choice take what has everything it asks for, leave out what it shall, and say why?"""

import pytest

from karbor.model.resource import Resource
from karbor.model.selection import NAMED, Choice, Chosen, Traits

WEB = Traits(Resource("A::B", "1", "web-1"), "web-1", frozenset({"db", "gold"}), {"tier": "one"})


@pytest.mark.parametrize(
    ("asked", "fits"),
    [
        ({"name": "web-*"}, True),
        ({"name": "web-?"}, True),
        ({"name": "web-[12]"}, True),
        ({"name": "*"}, True),
        ({"name": "WEB-*"}, False),
        ({"name": "web"}, False),
        ({"name": "eb-*"}, False),
        ({"tags": ["db"]}, True),
        ({"tags": ["db", "gold"]}, True),
        ({"tags": ["db", "silver"]}, False),
        ({"metadata": {"tier": "one"}}, True),
        ({"metadata": {"tier": "two"}}, False),
        ({"metadata": {"other": "one"}}, False),
        ({"name": "web-*", "tags": ["db"], "metadata": {"tier": "one"}}, True),
        ({"name": "web-*", "tags": ["silver"]}, False),
        ({"name": "*", "exclude": {"ids": ["1"]}}, False),
        ({"name": "*", "exclude": {"ids": ["2"]}}, True),
        ({"name": "*", "exclude": {"tags": ["silver", "gold"]}}, False),
        ({"name": "*", "exclude": {"metadata": {"tier": "one"}, "name": "x"}}, False),
        ({"name": "*", "exclude": {"name": "db-*"}}, True),
    ],
)
def test_a_choice_wants_everything_and_leaves_out_what_has_anything(asked, fits):
    choice = Choice.from_dict({"type": "A::B", **asked})
    assert choice.fits(WEB) is fits
    assert choice.to_dict() == {"type": "A::B", **asked}


def test_a_pattern_of_many_stars_is_answered_at_once():
    name = "a" * 200
    choice = Choice.from_dict({"type": "A::B", "name": "*a" * 100 + "b"})
    assert not choice.fits(Traits(Resource("A::B", "1", name), name))


def test_the_reason_says_what_fits_and_the_words_also_what_is_left_out():
    choice = Choice.from_dict(
        {"type": "A::B", "tags": ["db"], "metadata": {"k": "v"}, "name": "w*", "exclude": {"ids": ["9"], "name": "x"}}
    )
    assert choice.reason == "tag=db, k=v, name=w*"
    assert choice.in_words() == "A::B with tag=db, k=v, name=w*, without name=x, id=9"
    assert choice.goes_by == {"tags", "metadata", "name"}


def test_what_is_chosen_twice_is_there_once_with_both_reasons():
    one, two = Resource("A::B", "1", "one"), Resource("A::B", "2", "two")
    chosen = Chosen()
    chosen.add([one], NAMED)
    chosen.add([one, two], "tag=db")
    chosen.add([two], "tag=db")
    assert chosen.roots == [one, two]
    assert chosen.to_dict() == {
        "resources": [
            {"type": "A::B", "id": "1", "name": "one", "reasons": [NAMED, "tag=db"]},
            {"type": "A::B", "id": "2", "name": "two", "reasons": ["tag=db"]},
        ],
        "empty": [],
    }
