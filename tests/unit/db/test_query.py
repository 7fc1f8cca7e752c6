# SPDX-License-Identifier: Apache-2.0
"""Are pages exact and stable, in both directions, and is nonsense refused?"""

import random
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from karbor.db.tables import PLANS
from karbor.model import errors
from karbor.model.page import PageRequest
from tests.support import rows as make

START = datetime(2026, 1, 1, tzinfo=UTC)
NAMES = ("a", "A", "b", "B", "Ä", "ä", "aa", "a_", "z", "_", "日", "🂡")


def _fill(database, count, seed=1):
    """Plans with many ties in name, status and time."""
    dice = random.Random(seed)
    plans = [
        make.plan(
            f"{dice.randrange(16**8):08x}-{number}",
            name=dice.choice(NAMES),
            status=dice.choice(["suspended", "started"]),
            created_at=START + timedelta(microseconds=dice.randrange(5)),
        )
        for number in range(count)
    ]
    with database.write() as rows:
        for plan in plans:
            rows.plans.create(plan)
    return plans


def _walk(database, **request):
    found, marker = [], None
    while True:
        with database.read() as rows:
            page = rows.plans.list(PageRequest(marker=marker, **request))
        found += [plan.id for plan in page.items]
        if not page.full:
            return found
        marker = found[-1]


def _expected(plans, sort):
    order = list(plans)
    keys = [*sort, ("id", sort[-1][1])]
    for key, direction in reversed(keys):
        order.sort(key=lambda plan: getattr(plan, key), reverse=direction == "desc")
    return [plan.id for plan in order]


SORTS = [
    (("created_at", "desc"),),
    (("created_at", "asc"),),
    (("name", "asc"),),
    (("name", "desc"),),
    (("id", "asc"),),
    (("id", "desc"),),
    (("status", "asc"), ("name", "desc")),
    (("status", "desc"), ("name", "asc"), ("created_at", "asc")),
    (("name", "asc"), ("id", "desc")),
]


class TestPages:
    @pytest.mark.parametrize("sort", SORTS)
    def test_pages_put_together_are_the_whole_list_in_order(self, database, sort):
        plans = _fill(database, 60)
        for limit in (1, 7, 60, 1000):
            assert _walk(database, sort=sort, limit=limit) == _expected(plans, sort)

    @pytest.mark.parametrize("key", ["id", "name", "status", "created_at"])
    def test_the_list_walked_backwards_from_any_item_is_the_list_before_it(self, database, key):
        _fill(database, 40)
        forward = _walk(database, sort=((key, "asc"),), limit=1000)
        for place in (0, 1, 17, 39):
            with database.read() as rows:
                page = rows.plans.list(PageRequest(sort=((key, "desc"),), marker=forward[place], limit=10))
            assert [plan.id for plan in page.items] == forward[max(0, place - 10) : place][::-1]

    def test_an_item_that_appears_or_goes_elsewhere_shifts_no_page(self, database):
        plans = _fill(database, 20)
        order = _expected(plans, (("name", "asc"),))
        with database.write() as rows:
            first = rows.plans.list(PageRequest(sort=(("name", "asc"),), limit=10))
            rows.plans.create(make.plan("0", name="!"))
            rows.plans.delete(order[3])
            second = rows.plans.list(PageRequest(sort=(("name", "asc"),), limit=10, marker=first.items[-1].id))
        assert [plan.id for plan in second.items] == order[10:]

    def test_offset_counts_from_the_marker(self, database):
        order = _expected(_fill(database, 20), (("id", "asc"),))
        with database.read() as rows:
            page = rows.plans.list(PageRequest(sort=(("id", "asc"),), limit=3, offset=2, marker=order[4]))
        assert [plan.id for plan in page.items] == order[7:10]
        assert page.full

    def test_more_than_the_largest_page_is_cut_to_it(self, database):
        _fill(database, 1001)
        with database.read() as rows:
            page = rows.plans.list(PageRequest(limit=5000))
        assert len(page.items) == 1000
        assert page.full

    def test_a_page_holds_only_its_project(self, database):
        with database.write() as rows:
            rows.plans.create(make.plan("mine"))
            rows.plans.create(make.plan("theirs", project_id="another"))
            assert [plan.id for plan in rows.plans.list(PageRequest(project_id=make.PROJECT)).items] == ["mine"]
            assert len(rows.plans.list(PageRequest()).items) == 2

    def test_a_marker_of_another_project_is_unknown(self, database):
        with database.write() as rows:
            rows.plans.create(make.plan("theirs", project_id="another"))
            with pytest.raises(errors.InvalidInput):
                rows.plans.list(PageRequest(project_id=make.PROJECT, marker="theirs"))

    @pytest.mark.parametrize(
        "given",
        [
            {"sort": (("colour", "asc"),)},
            {"sort": (("name", "sideways"),)},
            {"filters": {"colour": "blue"}},
            {"filters": {"name": "a\x00b"}},
            {"filters": {"name": "\ud800"}},
            {"marker": "nowhere"},
            {"marker": "\x00"},
            {"marker": "\udfff"},
            {"limit": 0},
            {"limit": -1},
            {"offset": -1},
            {"offset": 2**31},
            {"offset": 10**30},
        ],
    )
    def test_nonsense_is_refused_as_invalid_input(self, database, given):
        with database.read() as rows:
            with pytest.raises(errors.InvalidInput):
                rows.plans.list(PageRequest(**given))


class TestLongLists:
    """A long list whose rows are all of one moment, while others add to it."""

    @pytest.fixture
    def crowd(self, database, many):
        """The ids of ``many`` plans of the same moment, in order."""
        dice = random.Random(2)
        ids = sorted(f"{dice.randrange(16**12):012x}" for _ in range(many))
        self._insert(database, ids)
        return ids

    @staticmethod
    def _insert(database, ids, created_at=START):
        plain = make.plan(created_at=created_at)
        row = {name: getattr(plain, name) for name in ("project_id", "name", "description", "provider_id", "status")}
        row |= {"resources": [], "parameters": {}, "created_at": created_at}
        with database.write() as rows:
            rows.connection.execute(sa.insert(PLANS), [{"id": id, **row} for id in ids])

    @pytest.mark.parametrize("project", [make.PROJECT, None])
    def test_every_row_is_met_once_forwards_and_backwards_while_others_come(self, database, crowd, project):
        dice = random.Random(3)
        for direction, order in (("asc", crowd), ("desc", crowd[::-1])):
            met, marker = [], None
            while True:
                with database.read() as rows:
                    sort = (("created_at", direction),)
                    page = rows.plans.list(PageRequest(limit=500, marker=marker, sort=sort, project_id=project))
                met += [plan.id for plan in page.items]
                if not page.full:
                    break
                marker = met[-1]
                # Some come before the marker, some behind it, some at the same moment and some around it.
                new = [f"{dice.randrange(16**12):012x}-{direction}" for _ in range(6)]
                self._insert(database, new[:4])
                self._insert(database, new[4:5], START - timedelta(seconds=1))
                self._insert(database, new[5:], START + timedelta(seconds=1))
            assert len(set(met)) == len(met)
            there = set(order)
            assert [id for id in met if id in there] == order


class TestFilters:
    @pytest.mark.parametrize("wanted", ["a", "A", "%", "_", "\\", "'; --", "äö", "", "b%", ".*", "[a]", "123"])
    def test_a_substring_filter_finds_the_text_itself_and_no_pattern(self, database, wanted):
        names = ["a", "A", "a%b", "a_b", "back\\slash", "'; --", "xäöx", "b", ".*", "[a]", "1234", "None"]
        with database.write() as rows:
            for number, name in enumerate(names):
                rows.plans.create(make.plan(f"{number:02}", name=name))
        with database.read() as rows:
            page = rows.plans.list(PageRequest(sort=(("id", "asc"),), filters={"name": wanted}))
        assert [plan.name for plan in page.items] == [name for name in names if wanted in name]

    def test_filters_must_all_hold(self, database):
        with database.write() as rows:
            rows.plans.create(make.plan("1", name="ab", status="started"))
            rows.plans.create(make.plan("2", name="ab", description=None))
            rows.plans.create(make.plan("3", name="b", status="started"))
            page = rows.plans.list(PageRequest(filters={"name": "a", "status": "started", "description": "shop"}))
        assert [plan.id for plan in page.items] == ["1"]

    def test_days_are_inclusive_and_in_utc(self, database):
        days = [
            datetime(2026, 2, 27, 23, 59, 59, 999_999),
            datetime(2026, 2, 28),
            datetime(2026, 2, 28, 23, 59, 59, 999_999),
        ]
        with database.write() as rows:
            for number, moment in enumerate([*days, datetime(2026, 3, 1)]):
                rows.checkpoints.create(make.checkpoint(f"c{number}", created_at=moment.replace(tzinfo=UTC)))
            page = rows.checkpoints.list(
                PageRequest(sort=(("id", "asc"),), filters={"start_date": "2026-02-28", "end_date": "2026-02-28"}),
                provider_id=make.PROVIDER,
            )
        assert [checkpoint.id for checkpoint in page.items] == ["c1", "c2"]

    @pytest.mark.parametrize("text", ["", "yesterday", "2026-02-30", "2026-2-3", "20260203", "2026-02-28T00"])
    def test_a_bad_day_is_refused(self, database, text):
        with database.read() as rows:
            with pytest.raises(errors.InvalidInput):
                rows.checkpoints.list(PageRequest(filters={"end_date": text}), provider_id=None)
