# SPDX-License-Identifier: Apache-2.0
"""Is the live inventory shown with its dependents, to whom it belongs, and made into a graph?"""

import pytest

from karbor.model import errors
from karbor.model.resource import Resource
from karbor.model.selection import Choice
from karbor.protection.protectables import ProtectableRegistry
from karbor.sdk.environment import Environment
from tests.support.memory import MemoryProtectable

ENVIRONMENT = Environment("here", "/state")


class Guests(MemoryProtectable):
    """Guests; an id is found in any case, as some inventories do."""

    resource_type = "Guest"

    def get(self, project_id, resource_id, *, parameters=None):
        return super().get(project_id, resource_id.lower(), parameters=parameters)


class Disks(MemoryProtectable):
    """Disks of guests; ``pages`` notes how many parents were asked for at once."""

    resource_type = "Disk"
    parent_types = ("Guest",)
    standalone = False

    def __init__(self, settings, environment):
        super().__init__(settings, environment)
        self.below = {}
        self.pages = []

    def children(self, project_id, parents):
        self.pages.append(len(parents))
        return {
            parent.id: [
                Resource("Disk", name, name, {"target": name}, per_parent=True) for name in self.below[parent.id]
            ]
            for parent in parents
            if parent.id in self.below
        }


@pytest.fixture
def guests():
    found = Guests(Guests.Settings(), ENVIRONMENT)
    for id_ in ("one", "three", "two"):
        found.add("mine", id_)
    found.add("foreign", "zero")
    return found


@pytest.fixture
def disks():
    found = Disks(Disks.Settings(), ENVIRONMENT)
    found.below = {"one": ["vda", "vdb"], "two": ["vda"]}
    return found


@pytest.fixture
def registry(guests, disks):
    return ProtectableRegistry([guests, disks])


def _page(registry, *, after="", limit=10):
    return registry.list_instances("mine", "Guest", after=after, limit=limit, parameters=None)


def test_types_are_shown_with_what_lies_below(registry):
    assert registry.types() == [
        {"name": "Disk", "dependent_types": []},
        {"name": "Guest", "dependent_types": ["Disk"]},
    ]
    assert "Guest" in registry and "Other" not in registry


def test_an_unknown_type_is_not_found(registry):
    with pytest.raises(errors.NotFound, match="Other"):
        registry.plugin("Other")
    with pytest.raises(errors.NotFound, match="Other"):
        registry.list_instances("mine", "Other", after="", limit=1, parameters=None)


def test_a_page_shows_each_resource_with_its_own_dependents(registry):
    shown = _page(registry)
    assert [entry["id"] for entry in shown] == ["one", "three", "two"]
    below = [[child["id"] for child in entry["dependent_resources"]] for entry in shown]
    assert below == [["vda", "vdb"], [], ["vda"]]
    assert shown[0]["dependent_resources"][0] == {
        "type": "Disk",
        "id": "vda",
        "name": "vda",
        "extra_info": {"target": "vda"},
    }


def test_dependents_of_a_page_are_asked_for_at_once(registry, disks):
    _page(registry)
    assert disks.pages == [3]


def test_an_empty_page_asks_nobody(registry, disks):
    assert _page(registry, after="zzz") == []
    assert disks.pages == []


def test_pages_go_on_where_the_last_one_ended(registry):
    assert [entry["id"] for entry in _page(registry, limit=2)] == ["one", "three"]
    assert [entry["id"] for entry in _page(registry, after="three", limit=2)] == ["two"]


def test_one_resource_is_shown_with_its_dependents(registry):
    shown = registry.show_instance("mine", "Guest", "one", parameters=None)
    assert (shown["id"], len(shown["dependent_resources"])) == ("one", 2)


def test_a_resource_asked_for_by_another_spelling_of_its_id_is_shown_as_itself(registry):
    shown = registry.show_instance("mine", "Guest", "ONE", parameters=None)
    assert (shown["id"], len(shown["dependent_resources"])) == ("one", 2)


@pytest.mark.parametrize("id_", ["zero", "nonsense", "../one"])
def test_a_foreign_resource_is_answered_like_a_missing_one(registry, id_):
    with pytest.raises(errors.ResourceNotFound):
        registry.show_instance("mine", "Guest", id_, parameters=None)


def test_no_extra_info_is_null():
    bare = ProtectableRegistry([Bare(Bare.Settings(), ENVIRONMENT)])
    assert bare.show_instance("mine", "Bare", "any", parameters=None)["extra_info"] is None


class Bare(MemoryProtectable):
    """Whatever is asked for is there."""

    resource_type = "Bare"

    def get(self, project_id, resource_id, *, parameters=None):
        return Resource("Bare", resource_id, resource_id)


def test_a_plan_may_name_what_is_there(registry):
    assert registry.why_not("mine", [Resource("Guest", "one", "one")])[0] is None


@pytest.mark.parametrize("id_", ["zero", "nonsense"])
def test_a_plan_may_not_name_what_is_missing_or_foreign(registry, id_):
    assert id_ in registry.why_not("mine", [Resource("Guest", id_, id_)])[0]


def test_a_plan_that_names_a_part_is_told_what_to_name_instead(registry):
    assert "Guest" in registry.why_not("mine", [Resource("Disk", "vda", "vda")])[0]


def test_a_type_that_nobody_finds_is_left_to_its_protection(registry):
    other = Resource("Other", "id", "name", {"some": "thing"})
    assert registry.why_not("mine", [other]) == [None]
    assert registry.find("mine", [other]) == [other]


def test_the_graph_is_of_today(registry, guests):
    guests.contents["one"] = b"grown"
    graph = registry.graph("mine", [Resource("Guest", "one", "old name", {"size": "0"}), Resource("Other", "x", "x")])
    assert [node.key.text for node in graph] == ["Disk#vda@one", "Disk#vdb@one", "Guest#one", "Other#x"]
    assert list(graph)[2].resource.name == "one"
    assert list(graph)[2].resource.extra_info == {"size": "5"}


def test_a_graph_of_what_is_gone_cannot_be_made(registry, guests):
    del guests.owners["one"]
    with pytest.raises(errors.ResourceNotFound):
        registry.graph("mine", [Resource("Guest", "one", "one")])


class Rented(Guests):
    """Guests in a cloud."""

    resource_type = "Rented"
    acts_in_cloud = True

    def list(self, project_id, *, after="", limit=1000, parameters=None):
        return [Resource("Rented", self.cloud, self.cloud)]


def test_what_lies_in_a_cloud_is_looked_for_in_that_of_the_caller(guests):
    registry = ProtectableRegistry([guests, Rented(Rented.Settings(), ENVIRONMENT)])
    ours = registry.for_caller(lambda: "ours")
    assert [one["id"] for one in ours.list_instances("mine", "Rented", after="", limit=1, parameters=None)] == ["ours"]
    assert len(_page(ours)) == 3


def test_where_nobody_may_look_into_a_cloud_its_types_are_left_to_their_protections(guests):
    registry = ProtectableRegistry([guests, Rented(Rented.Settings(), ENVIRONMENT)]).for_caller(None)
    named = Resource("Rented", "id", "name")
    assert registry.find("mine", [named]) == [named]
    with pytest.raises(errors.NotFound):
        registry.list_instances("mine", "Rented", after="", limit=1, parameters=None)


def test_many_resources_of_a_plan_are_asked_for_at_once(registry, guests):
    asked = []
    guests.get_many = lambda project_id, ids: asked.append(list(ids)) or {}
    named = [Resource("Guest", name, name) for name in ("one", "two", "nothing")]
    assert [reason is None for reason in registry.why_not("mine", named)] == [True, True, False]
    assert asked == [["one", "two", "nothing"]]


def test_the_graph_asks_for_the_dependents_of_a_level_at_once(registry, disks):
    registry.graph("mine", [Resource("Guest", name, name) for name in ("one", "two", "three")])
    assert disks.pages == [3]


def _plan(*choices, named=()):
    resources = [{"type": "Guest", "id": id_, "name": id_} for id_ in named]
    return {"resources": resources, "selection": [{"type": "Guest", **choice} for choice in choices]}


def test_a_plan_leads_to_what_it_names_and_to_what_its_choices_fit_today(registry, guests):
    plan = _plan({"name": "t*"}, {"name": "x*"}, named=["two"])
    assert registry.choose("mine", plan).to_dict() == {
        "resources": [
            {"type": "Guest", "id": "two", "name": "two", "reasons": ["named in the plan", "name=t*"]},
            {"type": "Guest", "id": "three", "name": "three", "reasons": ["name=t*"]},
        ],
        "empty": ["Guest with name=x*"],
    }
    guests.add("mine", "xenial")
    assert [one.id for one in registry.choose("mine", plan).roots] == ["two", "three", "xenial"]


def test_nothing_of_others_is_chosen(registry):
    assert [one.id for one in registry.choose("mine", _plan({"name": "*"})).roots] == ["one", "three", "two"]


def test_a_plan_that_leads_to_nothing_is_an_error_that_says_what_was_looked_for(registry):
    with pytest.raises(errors.ResourceNotFound, match=r"Guest with name=web-\*"):
        registry.choose("mine", _plan({"name": "web-*"}))


@pytest.mark.parametrize("choices", [[{"name": "*"}], [{"name": "t*"}, {"name": "o*"}]])
def test_more_than_the_operator_allows_are_not_chosen(guests, choices):
    registry = ProtectableRegistry([guests], max_chosen=2).for_caller(None)
    with pytest.raises(errors.InvalidInput, match="ore than 2 resources"):
        registry.choose("mine", _plan(*choices))


@pytest.mark.parametrize(
    ("choice", "reason"),
    [
        ({"type": "Guest", "tags": ["db"]}, "cannot be chosen by tags, only by: name"),
        ({"type": "Guest", "name": "*", "exclude": {"metadata": {"k": "v"}}}, "cannot be chosen by metadata"),
        ({"type": "Disk", "name": "*"}, "protected with its Guest"),
        ({"type": "Other", "name": "*"}, "cannot be looked for here"),
    ],
)
def test_what_cannot_be_chosen_so_is_told(registry, choice, reason):
    with pytest.raises(errors.KarborError, match=reason):
        registry.require_choosable(Choice.from_dict(choice))
    with pytest.raises(errors.KarborError, match=reason):
        registry.choose("mine", {"resources": [], "selection": [choice]})
