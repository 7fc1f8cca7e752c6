# SPDX-License-Identifier: Apache-2.0
"""Does the health check tell the truth about the database, and stay cheap when the database does not answer?"""

import threading
from contextlib import contextmanager

import pytest
import webob
from oslo_middleware import healthcheck
from sqlalchemy.exc import OperationalError

from karbor.api.health import Health
from tests.support.api import make_conf


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
    assert ask(Health(inside, make_conf(), database)).status_int == 200


def test_other_addresses_are_not_touched(database):
    assert ask(Health(inside, make_conf(), database), "/v1").text == "inside"
    assert database.asked == 0


def test_a_database_that_fails_is_not_healthy_and_its_words_stay_inside(database):
    database.fault = OperationalError("select", {}, Exception("password=secret"))
    health = Health(inside, make_conf(), database)
    response = ask(health)
    assert (response.status_int, response.text) == (503, "The database cannot be used.")
    response = ask(health, Accept="application/json")
    assert (response.status_int, response.json["reasons"]) == (503, ["The database cannot be used."])
    database.fault = None
    assert ask(health).status_int == 200


def test_a_database_that_does_not_answer_is_asked_once_however_many_want_to_know(database):
    database.free.clear()
    health = Health(inside, make_conf(), database, seconds=0.05)
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
    health = Health(inside, conf, database)
    assert ask(health).status_int == 200
    mark.touch()
    assert ask(health).status_int == 503
