# SPDX-License-Identifier: Apache-2.0
"""Do values come back from the database as they went in?"""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy.exc import DBAPIError

from tests.support import rows as make

TEXTS = ("a", "A", "ä", "b", "Z", "é", "日本", "🂡", "_", "%", "\\", "'", '"', " x", "x y", "\t", "\x7f", "z" * 255)


class TestValues:
    @pytest.mark.parametrize("microsecond", [0, 1, 499_999, 999_999])
    def test_a_moment_comes_back_to_the_microsecond(self, database, microsecond):
        for number, year in enumerate((1960, 1970, 2026, 2999)):
            moment = datetime(year, 3, 29, 1, 30, 59, microsecond, tzinfo=UTC)
            with database.write() as rows:
                rows.plans.create(make.plan(f"p{number}", created_at=moment))
            with database.read() as rows:
                assert rows.plans.get(f"p{number}").created_at == moment

    def test_a_moment_in_another_zone_is_the_same_moment(self, database):
        moment = datetime(2026, 7, 1, 12, 0, tzinfo=timezone(timedelta(hours=5, minutes=30)))
        with database.write() as rows:
            rows.plans.create(make.plan(created_at=moment))
        with database.read() as rows:
            found = rows.plans.get("plan-1").created_at
        assert found == moment
        assert found.utcoffset() == timedelta(0)

    @pytest.mark.parametrize("text", TEXTS)
    def test_text_comes_back_as_it_was(self, database, text):
        with database.write() as rows:
            rows.plans.create(make.plan(name=text))
        with database.read() as rows:
            assert rows.plans.get("plan-1").name == text

    def test_json_comes_back_as_it_was_also_when_it_is_large(self, database):
        graph = {"text": "\x00é🂡" * 30_000, "number": 2**53, "fraction": 0.1, "none": None, "z": {"b": 1, "a": [True]}}
        with database.write() as rows:
            rows.checkpoints.create(make.checkpoint(graph=graph))
        with database.read() as rows:
            assert rows.checkpoints.get("checkpoint-1").graph == graph

    def test_too_long_a_text_is_never_cut_silently(self, database):
        plan = make.plan(name="x" * 300)
        try:
            with database.write() as rows:
                rows.plans.create(plan)
        except DBAPIError:
            return  # the servers refuse it; SQLite knows no limit
        with database.read() as rows:
            assert rows.plans.get("plan-1").name == plan.name
