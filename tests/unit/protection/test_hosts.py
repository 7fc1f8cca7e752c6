# SPDX-License-Identifier: Apache-2.0
"""Which other hosts count, and what does a job make of what one of them says? (With both sides: tests/functional.)"""

import pytest

from karbor.db.database import Database
from karbor.model import errors
from karbor.model.resource import ResourceKey
from karbor.model.service import WORKER
from karbor.protection.control import Control
from karbor.protection.hosts import Hosts
from tests.support import rows as make
from tests.support.clock import TwinClock

KEY = ResourceKey("Sample::File", "1")


class Site:
    """A job that a worker of ``here`` has; ``there`` is alive, and does at once what it is woken for."""

    def __init__(self, path):
        self.clock = TwinClock()
        self.database = Database(f"sqlite:///{path}", clock=self.clock)
        self.database.upgrade()
        self.answer = lambda rows, step: rows.host_steps.answer(step, 7, progress={"done": 2, "expected": 3})
        self.hosts = Hosts(self.database, "here", self.clock, down=60, lease=2, begin=0, wake=self._wake)
        self.live("here")
        self.live("there")
        with self.database.write() as rows:
            rows.jobs.create(make.job())
            job = rows.jobs.claim(owner="me", provider_ids=[make.PROVIDER], host="here", lease_ms=60_000)
        self.control = Control(job, clock=self.clock)

    def live(self, host, binary=WORKER):
        with self.database.write() as rows:
            rows.services.heartbeat(binary=binary, host=host)

    def _wake(self, host, job_id):
        assert (host, job_id) == ("there", "job-1")
        with self.database.write() as rows:
            for step in rows.host_steps.take(host=host, owner="other", lease_ms=60_000, limit=1):
                self.answer(rows, step)

    def ask(self, host="there", check=lambda: None):
        return self.hosts.ask(self.control, KEY, "protect", {"before": 1}, host=host, check=check)

    def rows_left(self):
        with self.database.read() as rows:
            return rows.connection.exec_driver_sql("SELECT count(*) FROM host_steps").scalar()


@pytest.fixture
def site(tmp_path):
    found = Site(tmp_path / "db.sqlite")
    yield found
    found.database.dispose()


def test_the_other_hosts_are_those_whose_workers_live_and_are_enabled(site):
    site.live("api-host", binary="karbor-api")
    site.live("disabled")
    with site.database.write() as rows:
        (service,) = rows.services.list(host="disabled")
        rows.services.set_enabled(service.id, False)
    assert site.hosts.others() == ["there"]
    site.clock.pass_time(61)
    assert site.hosts.others() == []


def test_the_answer_and_how_far_it_is_come_back_and_no_row_is_left(site):
    assert site.ask() == {"value": 7}
    assert (site.control.news().bytes_done, site.rows_left()) == (2, 0)


def test_a_fault_there_is_raised_here(site):
    site.answer = lambda rows, step: rows.host_steps.fail(step, errors.to_dict(errors.BankFull("Full.", detail="why")))
    with pytest.raises(errors.BankFull, match="Full") as raised:
        site.ask()
    assert raised.value.detail == "why" and site.rows_left() == 0


def test_a_host_that_is_gone_or_does_not_begin_is_told_by_none(site):
    assert site.ask(host="nowhere") is None
    site.hosts = Hosts(site.database, "here", site.clock, down=60, lease=2, begin=0)
    assert site.hosts.ask(site.control, KEY, "protect", {}, host="there", check=lambda: site.clock.pass_time(1)) is None
    assert site.rows_left() == 0


def test_a_worker_that_falls_silent_is_unavailable(site):
    site.answer = lambda rows, step: rows.host_steps.beat(step, lease_ms=-1, progress={})
    with pytest.raises(errors.Unavailable, match="silent"):
        site.ask(check=lambda: site.clock.pass_time(1))
    assert site.rows_left() == 0


def test_whoever_lost_the_job_asks_nobody(site):
    with site.database.write() as rows:
        rows.jobs.release(site.control.job)
    with pytest.raises(errors.LeaseLost):
        site.ask()
