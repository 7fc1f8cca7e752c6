# SPDX-License-Identifier: Apache-2.0
"""Does the health check tell the truth about the database, and stay cheap when the database does not answer?"""

import socket
import threading
from contextlib import contextmanager

import oslo_messaging
import pytest
import webob
from oslo_middleware import healthcheck
from sqlalchemy.exc import OperationalError

from karbor.api.health import Health
from karbor.db.database import Database
from karbor.model.provider import ProviderInfo
from tests.support.api import make_conf
from tests.support.clock import TwinClock
from tests.support.rows import job


class DatabaseTwin:
    """Answers, fails or keeps everybody waiting."""

    def __init__(self):
        self.fault = None
        self.free = threading.Event()
        self.free.set()
        self.asked = 0
        self.connection = self

    @contextmanager
    def read(self):
        self.asked += 1
        self.free.wait(60)
        if self.fault:
            raise self.fault
        yield self

    def execute(self, _statement):
        return self

    def all(self):
        return []


def inside(environ, start_response):
    return webob.Response(text="inside")(environ, start_response)


@pytest.fixture
def database():
    twin = DatabaseTwin()
    yield twin
    twin.free.set()


def ask(health, path="/healthcheck", **headers):
    return webob.Request.blank(path, headers=headers).get_response(health)


def test_a_database_that_answers_is_healthy(database):
    assert ask(Health(inside, make_conf(), database, TwinClock())).status_int == 200


def test_other_addresses_are_not_touched(database):
    assert ask(Health(inside, make_conf(), database, TwinClock()), "/v1").text == "inside"
    assert database.asked == 0


def test_a_database_that_fails_is_not_healthy_and_its_words_stay_inside(database):
    database.fault = OperationalError("select", {}, Exception("password=secret"))
    health = Health(inside, make_conf(), database, TwinClock())
    response = ask(health)
    assert (response.status_int, response.text) == (503, "The database cannot be used.")
    response = ask(health, Accept="application/json")
    assert (response.status_int, response.json["reasons"]) == (503, ["The database cannot be used."])
    database.fault = None
    assert ask(health).status_int == 200


def test_a_database_that_does_not_answer_is_asked_once_however_many_want_to_know(database):
    database.free.clear()
    health = Health(inside, make_conf(), database, TwinClock(), seconds=0.05)
    for _ in range(5):
        assert ask(health).status_int == 503
    assert database.asked <= 1


def test_a_file_takes_the_process_out_of_service(database, tmp_path):
    mark = tmp_path / "off"
    conf = make_conf()
    conf.register_opts(healthcheck.opts.HEALTHCHECK_OPTS, group="healthcheck")
    conf.register_opts(healthcheck.opts.DISABLE_BY_FILE_OPTS, group="healthcheck")
    conf.set_override("backends", ["disable_by_file"], group="healthcheck")
    conf.set_override("disable_by_file_path", str(mark), group="healthcheck")
    health = Health(inside, conf, database, TwinClock())
    assert ask(health).status_int == 200
    mark.touch()
    assert ask(health).status_int == 503


class TestDetails:
    """What is told of the parts that the API serves for."""

    @pytest.fixture
    def clock(self):
        return TwinClock()

    @pytest.fixture
    def rows_of(self, tmp_path, clock):
        found = Database(f"sqlite:///{tmp_path}/karbor.sqlite", clock=clock)
        found.upgrade()
        yield found
        found.dispose()

    def test_an_installation_that_does_well_is_healthy(self, rows_of, clock):
        with rows_of.write() as rows:
            for binary in ("karbor-protection", "karbor-operationengine"):
                rows.services.heartbeat(binary=binary, host="kvm1")
            rows.providers.put(ProviderInfo("p1", "one", "", {}, available=True))
            rows.jobs.create(job())
        clock.pass_time(30)
        answer = ask(Health(inside, make_conf(), rows_of, clock), "/healthcheck?detailed")
        assert (answer.status_int, answer.json["status"], answer.json["reasons"]) == (200, "healthy", [])
        checks = answer.json["checks"]
        assert (checks["workers"]["up"], checks["providers"]["available"]) == (1, 1)
        assert checks["jobs"]["oldest_queued_seconds"] == 30
        assert "kvm1" not in answer.text

    def test_parts_that_do_badly_are_named_and_requests_are_still_sent_here(self, rows_of, clock):
        with rows_of.write() as rows:
            rows.services.heartbeat(binary="karbor-protection", host="kvm1")
            rows.providers.put(ProviderInfo("p1", "one", "", {}, available=False))
        clock.pass_time(61)
        conf = make_conf()
        oslo_messaging.TransportURL.parse(conf)
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))  # nobody listens there
            conf.set_override("transport_url", f"rabbit://u:secret@127.0.0.1:{closed.getsockname()[1]}/")
            answer = ask(Health(inside, conf, rows_of, clock), Accept="application/json")
        assert (answer.status_int, answer.json["status"]) == (200, "degraded")
        bad = {name for name, entry in answer.json["checks"].items() if entry["status"] == "bad"}
        assert bad == {"broker", "workers", "engines", "providers"}
        assert len(answer.json["reasons"]) == 4
        assert "secret" not in answer.text

    def test_details_are_told_again_for_a_while(self, rows_of, clock):
        health = Health(inside, make_conf(), rows_of, clock)
        clock.pass_time(100)

        def queued():
            return ask(health, "/healthcheck?detailed").json["checks"]["jobs"]["queued"]

        assert queued() == 0
        with rows_of.write() as rows:
            rows.jobs.create(job())
        assert queued() == 0
        clock.pass_time(6)
        assert queued() == 1
