# SPDX-License-Identifier: Apache-2.0
"""Is a request under a key done once, whoever repeats it and when?"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier

import pytest

from karbor.model.repeat import Repeat

REPEAT = Repeat("project", "key", "POST /plans", "0" * 64)


class TestRepeats:
    def test_the_second_finds_what_the_first_was_answered(self, database, clock):
        with database.write() as rows:
            assert rows.repeats.find("project", "key") is None
            assert rows.repeats.begin(REPEAT) is None
            rows.repeats.end(REPEAT, {"plan": {"id": "1"}})
        kept = replace(REPEAT, response={"plan": {"id": "1"}}, created_at=clock.now())
        with database.write() as rows:
            assert rows.repeats.begin(REPEAT) == kept
            assert rows.repeats.find("project", "key") == kept
            assert rows.repeats.find("another", "key") is None
            assert rows.repeats.find("project", "a\x00") is None

    def test_a_request_that_failed_leaves_no_key(self, database):
        with pytest.raises(ZeroDivisionError):
            with database.write() as rows:
                rows.repeats.begin(REPEAT)
                _ = 1 / 0
        with database.read() as rows:
            assert rows.repeats.find("project", "key") is None

    def test_of_many_at_once_one_does_the_work(self, database):
        start = Barrier(6)

        def work(rows):
            kept = rows.repeats.begin(REPEAT)
            if kept is None:
                rows.repeats.end(REPEAT, {"done": True})
            return kept

        def attempt(_number):
            start.wait(60)
            return database.retrying(work)

        with ThreadPoolExecutor(6) as pool:
            found = list(pool.map(attempt, range(6)))
        assert found.count(None) == 1
        assert [kept.response for kept in found if kept] == [{"done": True}] * 5

    def test_old_keys_are_forgotten(self, database, clock):
        with database.write() as rows:
            rows.repeats.begin(REPEAT)
            clock.pass_time(60)
            rows.repeats.begin(replace(REPEAT, key="later"))
            assert rows.repeats.forget(before=clock.now()) == 1
            assert rows.repeats.find("project", "key") is None
            assert rows.repeats.find("project", "later")

    def test_a_key_that_is_too_old_is_free_again(self, database, clock):
        with database.write() as rows:
            rows.repeats.begin(REPEAT)
            rows.repeats.end(REPEAT, {"plan": {"id": "1"}})
            kept = rows.repeats.begin(REPEAT, oldest=clock.now())
            assert kept is not None and kept.response == {"plan": {"id": "1"}}
            clock.pass_time(60)
            assert rows.repeats.begin(REPEAT, oldest=clock.now()) is None
            assert rows.repeats.find("project", "key") == replace(REPEAT, created_at=clock.now())
