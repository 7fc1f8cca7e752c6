# SPDX-License-Identifier: Apache-2.0
"""Does an entity tag stand for what is shown, and for nothing else?"""

from karbor.api.tags import tag_of


def test_equal_things_have_equal_tags_in_any_order_of_their_fields():
    assert tag_of({"a": 1, "b": [2]}) == tag_of({"b": [2], "a": 1})


def test_every_field_counts_but_those_left_out():
    thing = {"name": "n", "summary": {"checkpoints": 1}}
    assert tag_of(thing) != tag_of({**thing, "name": "m"})
    assert tag_of(thing) != tag_of({**thing, "summary": {}})
    assert tag_of(thing, without=("summary",)) == tag_of({**thing, "summary": {}}, without=("summary",))
