# SPDX-License-Identifier: Apache-2.0
"""Do the bodies of a noun follow from its fields?"""

from karbor.schema.noun import Field, Noun
from karbor.schema.types import NAME, UUID

THING = Noun(
    "thing",
    "things",
    {
        "id": Field(UUID, "Its id."),
        "name": Field(NAME, "Its name.", create="required", update="optional"),
        "secret": Field(NAME, "A password.", create="optional", shown=False),
    },
)


def test_what_is_shown_is_closed_and_complete():
    shown = THING.show["properties"]["thing"]
    assert list(shown["properties"]) == shown["required"] == ["id", "name"]
    assert shown["additionalProperties"] is False


def test_a_creation_takes_only_what_may_be_given():
    given = THING.create["properties"]["thing"]
    assert list(given["properties"]) == ["name", "secret"]
    assert given["required"] == ["name"]
    assert given["x-read-only"] == ["id"]


def test_an_update_requires_nothing():
    given = THING.update["properties"]["thing"]
    assert list(given["properties"]) == ["name"]
    assert "required" not in given


def test_a_list_has_the_link_to_the_next_page():
    assert list(THING.list["properties"]) == ["things", "things_links"]
    assert THING.list["required"] == ["things"]


def test_each_field_carries_its_meaning():
    assert THING.object["properties"]["name"]["description"] == "Its name."
