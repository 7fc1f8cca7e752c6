# SPDX-License-Identifier: Apache-2.0
"""Are changes of many threads done in few commits, each as if it had been alone?"""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from karbor.db.database import Database
from karbor.db.together import Together
from karbor.model import errors
from tests.support import rows as make


def _count(database):
    with database.read() as rows:
        return rows.connection.execute(sa.text("SELECT count(*) FROM triggers")).scalar_one()


def test_each_gets_its_own_result_and_what_fails_undoes_only_itself(database):
    together = Together(database)

    def work(number):
        def make_one(rows):
            rows.triggers.create(make.trigger(f"t{number}"))
            if number % 5 == 0:
                raise errors.LeaseLost(detail=str(number))
            return number

        try:
            return together.do(make_one)
        except errors.LeaseLost as fault:
            return -int(fault.detail or 0)

    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(work, range(1, 101)))
    assert found == [-number if number % 5 == 0 else number for number in range(1, 101)]
    assert _count(database) == 80


def test_who_comes_while_another_commits_shares_the_next_commit(database):
    together, entered, free = Together(database), threading.Event(), threading.Event()
    commits = []
    sa.event.listen(database.engine, "commit", commits.append)

    def slow(rows):
        entered.set()
        assert free.wait(60)

    def quick(number):
        return together.do(lambda rows: rows.triggers.create(make.trigger(f"t{number}")).id)

    with ThreadPoolExecutor(9) as pool:
        first = pool.submit(together.do, slow)
        assert entered.wait(60)
        others = [pool.submit(quick, number) for number in range(8)]
        while len(together._waiting) < 8:
            threading.Event().wait(0.01)
        free.set()
        assert first.result(60) is None and [one.result(60) for one in others] == [f"t{n}" for n in range(8)]
    assert len(commits) == 2 and _count(database) == 8


def test_where_the_database_is_away_everybody_is_told_and_the_next_one_tries_again(tmp_path, clock):
    away = Database(f"sqlite:///{tmp_path}/none/karbor.sqlite", clock=clock)
    together = Together(away)
    for _time in range(2):
        with pytest.raises(sa.exc.OperationalError):
            together.do(lambda rows: None)
    away.dispose()
