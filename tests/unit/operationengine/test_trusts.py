# SPDX-License-Identifier: Apache-2.0
"""Are trusts given back when nothing needs them, and is it shown whether the permissions of schedules hold?"""

from datetime import timedelta

import pytest

from karbor.clients.identity import Identity
from karbor.common.retrying import Policy, Retrying
from karbor.db import figures
from karbor.model import errors
from karbor.model.trust import Trust
from karbor.operationengine.identity import make_identity
from karbor.operationengine.trusts import UNHEARD, KeeperSettings, TrustKeeper
from tests.support import rows as make
from tests.support.api import make_conf
from tests.support.keystone_twin import TwinTenant, keystone_twin
from tests.support.rest import PAUSE
from tests.support.schedules import BEGIN, fire, run_of, scheduled


@pytest.fixture(scope="module")
def twin():
    with keystone_twin() as found:
        yield found


@pytest.fixture
def tenant(twin):
    return TwinTenant(twin)


@pytest.fixture
def conf(twin, tmp_path):
    settings = tmp_path / "karbor.conf"
    settings.write_text(twin.settings())
    return make_conf([settings])


@pytest.fixture
def identity(conf):
    return Identity(conf, retrying=Retrying(Policy(attempts=2), pause=lambda _seconds: None))


@pytest.fixture
def keeper(database, identity, clock):
    settings = KeeperSettings(interval=0.01, check_interval=0.01)
    return TrustKeeper(database, identity, settings, clock=clock)


@pytest.fixture
def entrusted(database, identity, tenant):
    """A schedule "a" with a trust, and a run of it that was begun; the id of the trust."""
    row = Trust("t1", make.PROJECT, tenant.id, scheduled_operation_id="a")
    trust_id = identity.create_trust(tenant.token(), tenant.project, name=row.name)
    with database.write() as rows:
        rows.trusts.begin(row)
        rows.trusts.keep("t1", trust_id)
        scheduled(rows, "a")
        rows.scheduled_operations.entrust("a", trust_id=trust_id, user_id=tenant.id)
        fire(rows)
        rows.scheduled_runs.begin(**BEGIN)
    yield trust_id
    tenant.give_role()
    tenant.set(enabled=True)


def _reason(database):
    with database.read() as rows:
        return rows.scheduled_operations.get("a").permission_reason


def _run(database):
    with database.read() as rows:
        return run_of(rows)


class TestKeeper:
    def test_what_a_schedule_needs_is_kept_and_goes_with_it(self, database, keeper, tenant, entrusted):
        assert keeper.give_back() == 0
        with database.write() as rows:
            rows.scheduled_runs.end(run_of(rows), "success")
            rows.scheduled_operations.delete("a")
        assert keeper.give_back() == 1
        assert entrusted not in tenant.trusts()
        assert keeper.give_back() == 0

    def test_one_that_cannot_be_given_back_now_is_tried_again_later(self, database, keeper, tenant, entrusted, clock):
        with database.write() as rows:
            rows.scheduled_runs.end(run_of(rows), "success")
            rows.scheduled_operations.delete("a")
        tenant.set(enabled=False)
        assert keeper.give_back() == 0
        tenant.set(enabled=True)
        assert keeper.give_back() == 0
        clock.pass_time(700)
        assert keeper.give_back() == 1

    def test_one_that_nobody_heard_of_is_found_by_its_name(self, database, keeper, identity, tenant, clock):
        lost, never = Trust("lost", make.PROJECT, tenant.id), Trust("never", make.PROJECT, tenant.id)
        trust_id = identity.create_trust(tenant.token(), tenant.project, name=lost.name)
        foreign = identity.create_trust(tenant.token(), tenant.project, name="karbor somebody else's")
        with database.write() as rows:
            rows.trusts.begin(lost)
            rows.trusts.begin(never)
        assert keeper.find_unheard() == 0
        clock.pass_time((UNHEARD + timedelta(seconds=1)).total_seconds())
        assert keeper.find_unheard() == 1
        assert trust_id not in tenant.trusts() and foreign in tenant.trusts()
        with database.read() as rows:
            assert rows.trusts.unheard(clock.now()) == []

    def test_a_lost_permission_is_seen_without_a_run_and_comes_back(self, database, keeper, tenant, entrusted, clock):
        clock.pass_time(1)
        assert keeper.check() == 1
        assert _reason(database) is None
        tenant.take_role()
        clock.pass_time(1)
        keeper.look()
        assert "lost a role" in _reason(database)
        with database.read() as rows:
            assert figures.permissions_lost(rows) == 1
        tenant.give_role()
        clock.pass_time(1)
        keeper.check()
        assert _reason(database) is None
        with database.read() as rows:
            assert figures.permissions_lost(rows) == 0

    def test_a_keystone_that_is_away_takes_nothing_away(self, database, twin, keeper, entrusted, clock):
        clock.pass_time(1)
        twin.http.fail("status", times=100)
        with pytest.raises(errors.Unavailable):
            keeper.look()
        twin.http.heal()
        assert _reason(database) is None

    def test_its_thread_looks_by_itself(self, database, keeper, tenant, entrusted):
        with database.write() as rows:
            rows.scheduled_runs.end(run_of(rows), "success")
            rows.scheduled_operations.delete("a")
        keeper.start()
        for _ in range(3000):
            if entrusted not in tenant.trusts():
                break
            PAUSE.wait(0.02)
        keeper.stop(30)
        assert entrusted not in tenant.trusts()


class TestIdentity:
    @pytest.fixture
    def logins(self, conf, database, identity):
        return make_identity(conf, database, identity)

    def test_the_engine_asks_as_the_user_of_the_schedule(self, database, logins, identity, tenant, entrusted):
        token = logins.headers(_run(database))["X-Auth-Token"]
        assert identity.session_for_token(token, tenant.project).get_user_id() == tenant.id

    def test_what_keystone_refuses_is_shown_until_it_does_not(self, database, logins, tenant, entrusted):
        run = _run(database)
        logins.headers(run)
        tenant.take_role()
        logins.refused(run)
        with pytest.raises(errors.Forbidden, match="lost a role"):
            logins.headers(run)
        assert "lost a role" in _reason(database)
        tenant.give_role()
        assert logins.headers(run)
        assert _reason(database) is None

    def test_a_token_that_ended_before_its_time_is_replaced(self, database, logins, tenant, entrusted):
        run = _run(database)
        first = logins.headers(run)
        tenant.set(password="another")
        logins.refused(run)
        assert logins.headers(run) != first
        assert _reason(database) is None

    def test_a_schedule_without_a_trust_says_so(self, database, logins, entrusted):
        with database.write() as rows:
            rows.scheduled_operations.entrust("a", trust_id=None, user_id="u")
        with pytest.raises(errors.Forbidden, match="Whoever changes it"):
            logins.headers(_run(database))


def test_the_permission_of_a_job_that_failed_is_given_back_after_a_look_for_what_it_left(
    database, identity, clock, tenant, conf
):
    trust_id = identity.create_trust(tenant.token(), tenant.project, name="karbor t9")
    with database.write() as rows:
        rows.trusts.begin(Trust("t9", make.PROJECT, tenant.id))
        rows.trusts.keep("t9", trust_id)
        rows.jobs.create(make.job("job-9", trust_id=trust_id))
        job = rows.jobs.claim(owner="w", provider_ids=[make.PROVIDER], host="h", lease_ms=1000)
        rows.jobs.finish(job, "failed")
    keeper = TrustKeeper(database, identity, KeeperSettings(hold=3600), clock=clock)
    assert keeper.give_back() == 0
    clock.pass_time(1)
    with database.write() as rows:
        rows.trusts.swept([rows.trusts.find(trust_id)], at=clock.now())
    assert keeper.give_back() == 1
