# SPDX-License-Identifier: Apache-2.0
"""Is the right page read out of a query string, and nonsense refused?"""

import pytest
from webob.multidict import MultiDict

from karbor.api import paging
from karbor.common.context import RequestContext
from karbor.model import errors
from karbor.schema.query import ListQuery

QUERY = ListQuery(
    filters={"name": "", "status": ""},
    sort=("id", "name", "created_at"),
    ignored_sort=("odd",),
    offset=True,
    tenants=True,
)


def page(*pairs, query=QUERY, admin=False, **params):
    context = RequestContext(project_id="mine", is_admin=admin, overwrite=False)
    return paging.parse(query, MultiDict([*pairs, *params.items()]), context, max_limit=1000)


def test_without_parameters_it_is_the_first_page_newest_first():
    found = page()
    assert (found.limit, found.marker, found.offset, found.project_id) == (1000, None, 0, "mine")
    assert found.sort == (("created_at", "desc"),)


def test_a_limit_is_capped():
    assert page(limit="5").limit == 5
    assert page(limit="5000000").limit == 1000


@pytest.mark.parametrize("text", ["0", "-1"])
def test_a_limit_must_be_positive(text):
    with pytest.raises(errors.InvalidInput, match="must be positive"):
        page(limit=text)


@pytest.mark.parametrize("text", ["", "x", "1.5", "٣", "9" * 30])
def test_a_limit_must_be_an_integer(text):
    with pytest.raises(errors.InvalidInput, match="limit param must be an integer"):
        page(limit=text)


@pytest.mark.parametrize("text", ["-1", "x", "2147483648"])
def test_a_wrong_offset_is_refused(text):
    with pytest.raises(errors.InvalidInput):
        page(offset=text)


def test_an_offset_counts_only_where_the_list_has_one():
    assert page(offset="3").offset == 3
    assert page(offset="3", query=ListQuery(filters={}, sort=("id",))).offset == 0


@pytest.mark.parametrize(
    ("params", "sort"),
    [
        ({"sort": "name:asc,created_at"}, (("name", "asc"), ("created_at", "desc"))),
        ({"sort": "name:ASC"}, (("name", "asc"),)),
        ({"sort": "name:asc,name:desc"}, (("name", "asc"),)),
        ({"sort_key": "id", "sort_dir": "asc"}, (("id", "asc"),)),
        ({"sort_key": "id"}, (("id", "desc"),)),
        ({"sort_dir": "asc"}, (("created_at", "asc"),)),
        ({"sort": "odd:asc"}, (("created_at", "desc"),)),
    ],
)
def test_both_ways_to_say_an_order_are_understood(params, sort):
    assert page(**params).sort == sort


def test_one_direction_is_enough_for_several_keys():
    found = page(("sort_key", "id"), ("sort_key", "name"), ("sort_dir", "asc"))
    assert found.sort == (("id", "asc"), ("name", "asc"))


@pytest.mark.parametrize(
    "params",
    [
        {"sort": "name", "sort_key": "id"},
        {"sort": "name", "sort_dir": "asc"},
        {"sort": "nope"},
        {"sort": "name:up"},
        {"sort_key": "id", "sort_dir": "up"},
    ],
)
def test_an_order_that_makes_no_sense_is_refused(params):
    with pytest.raises(errors.InvalidInput):
        page(**params)


def test_filters_are_texts_and_unknown_ones_are_dropped():
    assert page(name="123", status="", strange="x").filters == {"name": "123"}


def test_only_an_administrator_sees_all_projects():
    assert page(all_tenants="1").project_id == "mine"
    assert page(all_tenants="True", admin=True).project_id is None
    assert page(all_tenants="1", project_id="other", admin=True).project_id == "other"
    assert page(project_id="other", admin=True).project_id == "mine"
    assert page(all_tenants="0", project_id="other", admin=True).project_id == "mine"


@pytest.mark.parametrize("text", ["1", "true", "YES", "y", "True"])
def test_yes_is_spelled_in_many_ways(text):
    assert paging.boolean(MultiDict(all_tenants=text), "all_tenants")


@pytest.mark.parametrize("text", ["0", "False", "no", "N", ""])
def test_no_is_spelled_in_many_ways(text):
    assert not paging.boolean(MultiDict(all_tenants=text), "all_tenants")


def test_other_spellings_are_refused():
    with pytest.raises(errors.InvalidInput):
        page(all_tenants="maybe")
