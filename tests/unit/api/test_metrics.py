# SPDX-License-Identifier: Apache-2.0
"""Do the metrics tell what the database and the process know, at a bounded price, and only to those who may know?"""

from pathlib import Path

import pytest
import webob
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import event

from karbor.api.metrics import Installation, Measured, Metrics, page
from karbor.common.meters import Meters
from karbor.db.database import Database
from karbor.model.checkpoint import Sizes
from karbor.model.provider import ProviderInfo
from tests.support.api import make_conf
from tests.support.clock import TwinClock
from tests.support.rows import PROVIDER, checkpoint, job, plan


@pytest.fixture
def clock():
    return TwinClock()


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    path = tmp_path_factory.mktemp("metrics") / "karbor.sqlite"
    found = Database(f"sqlite:///{path}", clock=TwinClock())
    found.upgrade()
    found.dispose()
    return path


@pytest.fixture
def database(empty, tmp_path, clock):
    path = tmp_path / "karbor.sqlite"
    path.write_bytes(empty.read_bytes())
    found = Database(f"sqlite:///{path}", clock=clock)
    yield found
    found.dispose()


def ask(application, **headers):
    return webob.Request.blank("/metrics", headers=headers).get_response(application)


def samples(response):
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }


def test_what_the_database_knows_is_shown(database, clock):
    with database.write() as rows:
        rows.services.heartbeat(binary="karbor-protection", host="kvm1")
        rows.providers.put(ProviderInfo(PROVIDER, "twin", "", {}, available=True))
        rows.plans.create(plan(status="started"))
        rows.jobs.create(job())
        rows.checkpoints.create(checkpoint())
        rows.checkpoints.transition("checkpoint-1", "available", sizes=Sizes(logical=100, read=50, stored=10))
    clock.pass_time(30)
    found = samples(ask(page(make_conf(), database, Meters(), clock)))
    plan_of = (("good", "true"), ("plan_id", "plan-1"), ("project_id", plan().project_id), ("scheduled", "true"))
    expected = {
        ("karbor_database_up", ()): 1,
        ("karbor_service_up", (("binary", "karbor-protection"), ("host", "kvm1"))): 1,
        ("karbor_provider_available", (("name", "twin"), ("provider_id", PROVIDER))): 1,
        ("karbor_jobs", (("operation", "protect"), ("state", "queued"))): 1,
        ("karbor_jobs_oldest_queued_seconds", ()): 30,
        ("karbor_checkpoints", (("provider_id", PROVIDER), ("status", "available"))): 1,
        ("karbor_checkpoint_bytes", (("kind", "stored"), ("provider_id", PROVIDER))): 10,
        ("karbor_plan_last_good_age_seconds", plan_of): 30,
        ("karbor_plans_last_good_age_seconds_bucket", (("le", "3600.0"), ("scheduled", "true"))): 1,
    }
    assert {name: found.get(name) for name in expected} == expected


def test_the_database_is_asked_once_in_a_while_however_many_want_to_know(database, clock):
    asked = []
    event.listen(database.engine, "before_cursor_execute", lambda *given: asked.append(given[2]))
    shown = page(make_conf(), database, Meters(), clock)
    ask(shown)
    once = len(asked)
    ask(shown)
    assert 0 < once == len(asked)
    clock.pass_time(11)
    ask(shown)
    assert len(asked) == 2 * once


def test_a_look_that_took_long_is_kept_for_longer(database, clock):
    asked = []

    def slow(*_given):
        asked.append(1)
        clock.pass_time(1)

    event.listen(database.engine, "before_cursor_execute", slow)
    installation = Installation(make_conf(), database, clock)
    list(installation.collect())
    once = len(asked)
    clock.pass_time(11)
    list(installation.collect())
    assert len(asked) == once
    clock.pass_time(21 * once)
    list(installation.collect())
    assert len(asked) == 2 * once


def test_a_database_without_tables_is_told_of_and_the_rest_is_shown(tmp_path, clock):
    meters = Meters()
    meters.answered("plan_get", 200, 0.1)
    database = Database(f"sqlite:///{tmp_path}/none.sqlite", clock=clock)
    found = samples(ask(page(make_conf(), database, meters, clock)))
    database.dispose()
    assert found["karbor_database_up", ()] == 0
    assert found["karbor_api_requests_total", (("operation", "plan_get"), ("status", "200"))] == 1


class TestAccess:
    """Who may read them."""

    def metrics(self, *, open_to_all=False, **settings):
        conf = make_conf()
        for name, value in settings.items():
            conf.set_override(name, value, group="metrics")
        return Metrics(conf, [CollectorRegistry()], open_to_all=open_to_all)

    def test_nobody_unless_the_settings_say_who(self):
        response = ask(self.metrics())
        assert (response.status_int, response.headers["WWW-Authenticate"]) == (401, "Bearer")
        assert ask(self.metrics(), Authorization="Bearer ").status_int == 401

    def test_whoever_has_the_token(self):
        metrics = self.metrics(token="opensesame", open_to_all=True)
        assert ask(metrics, Authorization="Bearer opensesame").status_int == 200
        for wrong in ({}, {"Authorization": "Bearer other"}, {"Authorization": "Basic opensesame"}):
            assert ask(metrics, **wrong).status_int == 401

    def test_everybody_where_that_was_chosen(self):
        assert ask(self.metrics(public=True)).status_int == 200
        assert ask(self.metrics(open_to_all=True)).status_int == 200

    def test_there_is_one_page_that_is_only_read(self):
        metrics = self.metrics(public=True)
        assert webob.Request.blank("/").get_response(metrics).status_int == 404
        assert webob.Request.blank("/metrics", method="POST").get_response(metrics).status_int == 405


def test_requests_are_measured_by_operation(clock):
    meters = Meters()

    def inside(environ, start_response):
        environ["karbor.operation"] = "plan_get"
        clock.pass_time(2)
        return webob.Response(status=404)(environ, start_response)

    measured = Measured(inside, Metrics(make_conf(), []), meters, clock)
    webob.Request.blank("/v1").get_response(measured)
    assert ask(measured).status_int == 401
    value = meters.registry.get_sample_value
    assert value("karbor_api_requests_total", {"operation": "plan_get", "status": "404"}) == 1
    assert value("karbor_api_request_duration_seconds_sum", {"operation": "plan_get"}) == 2


def test_every_metric_is_explained(database, clock):
    meters = Meters()
    meters.watch_dropped(lambda: 0)
    families = [*Installation(make_conf(), database, clock).collect(), *meters.registry.collect()]
    page = (Path(__file__).parents[3] / "doc/source/admin/monitoring.rst").read_text()
    assert len(families) > 15
    assert [family.name for family in families if f"\n``{family.name}``" not in page] == []
