# SPDX-License-Identifier: Apache-2.0
"""Does every error leave the service in the one shape, without internals?"""

import logging

import pytest
import sqlalchemy
import webob

from karbor.api.faults import Faults
from karbor.model import errors
from karbor.schema.faults import envelope_of


def answer(fault, path="/x", **more):
    def application(environ, start_response):
        if isinstance(fault, webob.Response):
            return fault(environ, start_response)
        raise fault

    return webob.Request.blank(path, headers={"Accept": "text/html"}).get_response(Faults(application, **more))


def every_error(cls=errors.KarborError):
    """Every error of the tree; not what a driver derives from it, which is known only where the driver was imported."""
    for below in cls.__subclasses__():
        if below.__module__ == errors.__name__:
            yield below
        yield from every_error(below)


@pytest.mark.parametrize("cls", every_error())
def test_each_error_of_ours_has_its_status_and_envelope(cls):
    response = answer(cls("told", detail="secret cause"))
    assert response.status_int == cls.status
    assert response.content_type == "application/json"
    ((name, inner),) = response.json.items()
    assert name == envelope_of(cls.status)
    assert inner["code"] == cls.status
    assert "secret" not in response.text
    assert (inner["message"] == "told") is (cls.status != 500)


def test_an_unknown_exception_is_logged_once_and_told_without_internals(caplog):
    with caplog.at_level(logging.INFO):
        response = answer(RuntimeError("secret"))
    assert response.status_int == 500
    assert list(response.json) == ["computeFault"]
    assert "secret" not in response.text
    assert len([record for record in caplog.records if record.exc_info]) == 1


def test_a_database_that_is_away_is_no_fault_of_the_request():
    response = answer(sqlalchemy.exc.OperationalError("select", {}, Exception("gone")))
    assert (response.status_int, list(response.json)) == (503, ["serviceUnavailable"])
    assert response.headers["Retry-After"]


@pytest.mark.parametrize("status", [400, 404, 405, 406, 410, 415, 500])
def test_the_words_of_a_library_are_replaced(status):
    response = answer(webob.Response(status=status, text="<html>Traceback</html>"))
    assert response.status_int == status
    assert "Traceback" not in response.text
    assert next(iter(response.json.values()))["code"] == status


@pytest.mark.parametrize("path", ["/v1/%ff/plans", "/v1/p/plans?name=%ff"])
def test_a_url_that_is_no_text_is_malformed(path):
    response = answer(webob.Response(json_body={}), path)
    assert (response.status_int, response.json["badRequest"]["message"]) == (400, "Malformed request url")


def test_a_refused_login_says_how_to_log_in():
    told = answer(errors.Unauthorized(), challenge='Basic realm="karbor"')
    assert told.headers["WWW-Authenticate"] == 'Basic realm="karbor"'
    assert "WWW-Authenticate" not in answer(errors.Unauthorized()).headers


def test_a_bound_that_is_reached_says_when_to_come_back():
    told = answer(errors.TooMany("Slow down.", retry_after=7))
    assert (told.status_int, told.headers["Retry-After"]) == (413, "7")
    assert told.json["overLimit"] == {"code": 413, "message": "Slow down.", "retryAfter": "7"}


def test_a_good_answer_passes_unchanged():
    response = answer(webob.Response(status=200, json_body={"a": 1}))
    assert (response.status_int, response.json) == (200, {"a": 1})
