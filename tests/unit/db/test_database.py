# SPDX-License-Identifier: Apache-2.0
"""Are transactions whole, and do writers wait for each other instead of failing?"""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from sqlalchemy.exc import OperationalError

from karbor.db.database import Database
from karbor.model import errors
from karbor.model.page import PageRequest
from tests.support import rows as make


class TestTransactions:
    def test_a_block_that_raises_leaves_nothing_behind(self, database):
        with pytest.raises(ZeroDivisionError):
            with database.write() as rows:
                rows.plans.create(make.plan())
                _ = 1 / 0
        with database.read() as rows:
            assert rows.plans.list(PageRequest()).items == ()

    def test_a_conflict_inside_a_block_does_not_spoil_the_block(self, database):
        with database.write() as rows:
            rows.plans.create(make.plan("1"))
            with pytest.raises(errors.Conflict):
                rows.plans.create(make.plan("1"))
            rows.plans.create(make.plan("2"))
        with database.read() as rows:
            assert len(rows.plans.list(PageRequest()).items) == 2

    def test_what_is_not_committed_is_not_seen(self, database):
        with database.write() as rows:
            rows.plans.create(make.plan())
            with database.read() as others:
                assert others.plans.list(PageRequest()).items == ()

    def test_changes_at_once_are_all_kept(self, database):
        with database.write() as rows:
            rows.restores.create(make.restore())

        def note(number):
            with database.write() as rows:
                rows.restores.set_resource("restore-1", f"T#{number}", "restored")

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(note, range(40)))
        with database.read() as rows:
            assert len(rows.restores.get("restore-1").resources_status) == 40

    def test_a_move_made_by_two_at_once_is_made_once(self, database):
        with database.write() as rows:
            rows.restores.create(make.restore())
        start = Barrier(2)

        def end(status):
            start.wait(30)
            try:
                with database.write() as rows:
                    return rows.restores.transition("restore-1", status).status
            except errors.Conflict:
                return None

        with ThreadPoolExecutor(2) as pool:
            ends = list(pool.map(end, ["success", "fail"]))
        with database.read() as rows:
            assert [status for status in ends if status] == [rows.restores.get("restore-1").status]

    def test_work_is_begun_again_after_a_deadlock(self, database):
        """Two that change the same two rows in opposite order: the server breaks it, and both end well."""
        with database.write() as rows:
            for id in ("1", "2"):
                rows.restores.create(make.restore(id))
        start = Barrier(2)
        begun = []

        def change(first, second):
            def work(rows):
                begun.append(first)
                if begun.count(first) == 1 and database.engine.dialect.name != "sqlite":
                    rows.restores.set_resource(first, first, "x")
                    start.wait(30)
                rows.restores.set_resource(first, first, "x")
                rows.restores.set_resource(second, first, "x")
                return first

            return database.retrying(work)

        with ThreadPoolExecutor(2) as pool:
            assert list(pool.map(change, "12", "21")) == ["1", "2"]
        assert len(begun) == (2 if database.engine.dialect.name == "sqlite" else 3)
        with database.read() as rows:
            for id in ("1", "2"):
                assert rows.restores.get(id).resources_status == {"1": "x", "2": "x"}


class TestUrls:
    @pytest.mark.parametrize(
        "url",
        ["", "nonsense", "sqlite://", "sqlite:///:memory:", "oracle://x/y", "mysql+nodriver://h/d", "mssql://h/d"],
    )
    def test_a_url_that_cannot_work_is_a_configuration_error(self, clock, url):
        with pytest.raises(errors.ConfigurationError):
            Database(url, clock=clock)

    def test_a_server_that_is_not_there_is_noticed_when_it_is_used(self, clock):
        database = Database("mysql+pymysql://nobody@127.0.0.1:1/none", clock=clock)
        with pytest.raises(OperationalError):
            with database.read():
                pass

    def test_sqlite_is_set_up_for_durability_and_several_processes(self, tmp_path, clock):
        database = Database(f"sqlite:///{tmp_path}/x.sqlite", clock=clock)
        with database.read() as rows:
            found = [
                rows.connection.exec_driver_sql(f"PRAGMA {name}").scalar()
                for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
            ]
        database.dispose()
        assert found == ["wal", 2, 1, 30_000]
