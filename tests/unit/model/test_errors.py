# SPDX-License-Identifier: Apache-2.0
"""Does every error tell users and operators what it means, as the tree at the top of the module draws it?"""

import inspect
import json
import pickle
import re

import pytest

from karbor.model import errors

CLASSES = [found for _name, found in inspect.getmembers(errors, inspect.isclass) if found.__module__ == errors.__name__]
each = pytest.mark.parametrize("error", CLASSES, ids=lambda error: error.__name__)


@each
def test_the_first_line_of_the_docstring_is_the_message(error):
    fault = error()
    assert fault.message == str(fault) == inspect.getdoc(error).splitlines()[0]
    assert fault.message.endswith(".")


@each
def test_status_is_an_http_error(error):
    assert 400 <= error.status < 600


@each
def test_an_error_survives_pickling_with_all_it_says(error):
    again = pickle.loads(pickle.dumps(error("what", detail="why", next_action="then")))
    assert type(again) is error
    assert (again.message, again.detail, again.next_action) == ("what", "why", "then")


def test_codes_are_unique():
    codes = [error.code for error in CLASSES]
    assert len(codes) == len(set(codes))


def test_the_tree_in_the_module_text_is_the_tree():
    drawn = {}
    path = []
    for indent, name, status in re.findall(r"^( {4,})(\w+)(?: +(\d{3}))?(?: |$)", errors.__doc__, flags=re.MULTILINE):
        depth = len(indent) // 2 - 1
        path = [*path[: depth - 1], name]
        drawn[name] = (path[-2] if depth > 1 else "Exception", int(status) if status else None)
    assert set(drawn) == {error.__name__ for error in CLASSES}
    for error in CLASSES:
        parent, status = drawn[error.__name__]
        assert error.__base__.__name__ == parent
        assert status in (None, error.status)


def test_operators_read_cause_and_next_action():
    fault = errors.Conflict("No.", detail="because", next_action="do this")
    assert fault.operator_text() == "No.; cause: because; next: do this"
    assert errors.Conflict("No.").operator_text() == "No."


def test_users_do_not_read_the_cause():
    assert "secret" not in str(errors.Conflict("No.", detail="secret"))


def test_waiting_may_help_where_the_fault_may_pass_and_only_there():
    passing = {error.__name__ for error in CLASSES if not error.permanent}
    assert passing == {
        "TooMany",
        "Unavailable",
        "BankUnavailable",
        "WriteLeaseLost",
        "HypervisorUnavailable",
        "KeyManagerUnavailable",
        "CaptureLost",
        "LeaseLost",
        "WrittenBadly",
    }


@each
def test_an_error_comes_back_from_json_with_all_it_says(error):
    fault = error("what", detail="why", next_action="then")
    again = errors.from_dict(json.loads(json.dumps(errors.to_dict(fault))))
    assert type(again) is error and again.operator_text() == fault.operator_text()


def test_a_fault_that_is_not_ours_shows_nothing_to_users():
    told = errors.from_dict(errors.to_dict(ValueError("inside")))
    assert type(told) is errors.KarborError and "inside" not in told.message and "inside" in told.detail


def test_an_error_that_is_not_known_here_is_an_error_all_the_same():
    told = {"kind": "Mapping", "message": "what", "detail": "", "next_action": ""}
    assert type(errors.from_dict(told)) is errors.KarborError
