# SPDX-License-Identifier: Apache-2.0
"""Do schema, validation and settings follow from one declaration, and does no odd value get through or crash?"""

import json
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from oslo_config import cfg

from karbor.model import errors
from karbor.sdk.options import Options, option, required
from tests.support.strategies import json_values


class Trial(Options):
    """One option of every kind."""

    name: str = required("What it is called.")
    mode: Literal["full", "incremental"] = option("full", "How much is read.")
    depth: int = option(3, "How deep.", minimum=1, maximum=9, unit="levels")
    share: float = option(0.5, "How much.", minimum=0)
    eager: bool = option(False, "At once?")
    note: str | None = option(None, "What else.")
    password: str | None = option(None, "A secret.", secret=True)


class More(Trial):
    """A set that extends another."""

    extra: int | None = option(None, "One more.")


valid = st.fixed_dictionaries(
    {"name": st.text()},
    optional={
        "mode": st.sampled_from(["full", "incremental"]),
        "depth": st.integers(1, 9),
        "share": st.floats(0, 1e300) | st.integers(0, 2**40),
        "eager": st.booleans(),
        "note": st.text(),
        "password": st.text(),
    },
)


@given(valid)
def test_valid_values_are_accepted_and_kept(values):
    parsed = Trial.parse(values)
    assert {name: getattr(parsed, name) for name in values} == values
    assert Trial.parse(parsed.to_dict()).to_dict() == parsed.to_dict()
    assert json.loads(json.dumps(parsed.to_dict())) == parsed.to_dict()


@given(valid)
def test_the_schema_accepts_what_parsing_accepts(values):
    Draft202012Validator(Trial.schema()).validate(values)


@given(st.dictionaries(st.sampled_from([*Trial.declared, "self", "cls", "values", ""]) | st.text(), json_values))
def test_any_json_object_is_parsed_or_refused_with_a_reason(values):
    try:
        Trial.parse(values)
    except errors.InvalidInput as fault:
        assert fault.message
    else:
        given_values = {name: value for name, value in values.items() if value is not None}
        assert set(given_values) <= set(Trial.declared)


@given(valid, st.sampled_from(list(Trial.declared)), json_values.filter(lambda value: not isinstance(value, str)))
def test_what_the_schema_refuses_is_refused_by_parsing(values, name, value):
    """Texts aside (a settings file has nothing else) and null (not given)."""
    changed = {**values, name: value}
    if value is not None and not Draft202012Validator(Trial.schema()).is_valid(changed):
        with pytest.raises(errors.InvalidInput):
            Trial.parse(changed)


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({}, "name is required"),
        ({"name": None}, "name is required"),
        ({"name": "n", "nonsense": 1}, "Unknown option 'nonsense'"),
        ({"name": "n", "self": 1}, "Unknown option 'self'"),
        ({"name": 1}, "name must be of type string"),
        ({"name": "n", "mode": "other"}, "mode must be one of full, incremental"),
        ({"name": "n", "mode": ["full"]}, "mode must be of type string"),
        ({"name": "n", "depth": 0}, "depth must be at least 1"),
        ({"name": "n", "depth": 10}, "depth must be at most 9"),
        ({"name": "n", "depth": 1.0}, "depth must be of type integer"),
        ({"name": "n", "depth": True}, "depth must be of type integer"),
        ({"name": "n", "depth": "deep"}, "depth must be of type integer"),
        ({"name": "n", "share": True}, "share must be of type number"),
        ({"name": "n", "share": -0.1}, "share must be at least 0"),
        ({"name": "n", "share": "nan"}, "share must be a finite number"),
        ({"name": "n", "share": float("inf")}, "share must be a finite number"),
        ({"name": "n", "share": 10**400}, "share must be a finite number"),
        ({"name": "n", "eager": 1}, "eager must be of type boolean"),
        ({"name": "n", "eager": "maybe"}, "eager must be of type boolean"),
    ],
)
def test_wrong_values_are_refused_by_name(values, text):
    with pytest.raises(errors.InvalidInput) as caught:
        Trial.parse(values)
    assert text in caught.value.message


def test_null_means_the_default():
    parsed = Trial.parse({"name": "n", "mode": None, "depth": None, "note": None})
    assert (parsed.mode, parsed.depth, parsed.note) == ("full", 3, None)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [("depth", "7", 7), ("share", "0.25", 0.25), ("share", "2", 2.0), ("eager", "Yes", True), ("eager", "0", False)],
)
def test_numbers_and_booleans_may_be_given_as_text(name, text, value):
    found = getattr(Trial.parse({"name": "n", name: text}), name)
    assert (found, type(found)) == (value, type(value))


def test_options_cannot_be_changed():
    with pytest.raises(AttributeError, match="immutable"):
        Trial(name="n").depth = 4


def test_secrets_are_not_shown():
    shown = repr(Trial(name="n", password="hunter2"))
    assert "hunter2" not in shown and "password='***'" in shown and "name='n'" in shown


def test_a_refused_secret_is_not_shown_either():
    class Login(Options):
        pin: int = required("A secret number.", secret=True)

    with pytest.raises(errors.InvalidInput) as caught:
        Login.parse({"pin": "hunter2"})
    assert "hunter2" not in caught.value.operator_text()


def test_a_set_that_extends_another_has_the_options_of_both():
    assert list(More.declared) == [*Trial.declared, "extra"]
    assert "extra" not in Trial.declared
    assert More(name="n", extra=1).extra == 1


def test_a_set_without_options_refuses_all_and_has_a_schema():
    class Nothing(Options):
        pass

    assert Nothing.parse({}).to_dict() == {}
    with pytest.raises(errors.InvalidInput, match="Known options: none"):
        Nothing.parse({"any": 1})
    assert "required" not in Nothing.schema()


def test_the_schema_says_what_was_declared():
    schema = Trial.schema()
    Draft202012Validator.check_schema(schema)
    assert schema["required"] == ["name"]
    assert schema["additionalProperties"] is False
    assert schema["properties"]["depth"] == {
        "type": "integer",
        "description": "How deep. (in levels)",
        "minimum": 1,
        "maximum": 9,
        "default": 3,
    }
    assert schema["properties"]["mode"]["enum"] == ["full", "incremental"]
    assert "default" not in schema["properties"]["note"] and "default" not in schema["properties"]["name"]


def test_settings_files_get_the_same_options():
    opts = {opt.name: opt for opt in Trial.cfg_opts()}
    assert list(opts) == list(Trial.declared)
    kinds = {name: type(opt) for name, opt in opts.items()}
    assert kinds["depth"] is cfg.IntOpt and kinds["share"] is cfg.FloatOpt and kinds["eager"] is cfg.BoolOpt
    assert opts["mode"].type.choices.keys() == {"full", "incremental"}
    assert opts["password"].secret and not opts["name"].secret
    assert (opts["depth"].default, opts["depth"].help) == (3, "How deep. (in levels)")


def test_what_users_are_told_is_marked_in_the_schema():
    class Saved(Options):
        kept: str = option("", "Where it is.")
        skew: float = option(0.0, "How far apart.", told=True)

    marked = {name: shape.get("x-told", False) for name, shape in Saved.schema()["properties"].items()}
    assert marked == {"kept": False, "skew": True}
