# SPDX-License-Identifier: Apache-2.0
"""How does a generated request get a meaning? By ids that name something, so that it comes as far as the code.

Only the parts of a request that were made to be valid are touched, and one in four URLs keeps ids that name nothing.
"""

import json
import zlib

from schemathesis.core.parameters import ParameterLocation

from tests.fuzz.population import COUNT, RESOURCE, WEBHOOK, known
from tests.fuzz.requests import COLLECTIONS, OWNED, PROJECTS, SHARED
from tests.support.api import PROJECT

#: All of the population.
_TRIGGERS = [known(PROJECT, "trigger", number) for number in range(COUNT)]


def _number(value):
    """A number that follows from the value, so that equal requests stay equal."""
    return zlib.crc32(repr(value).encode("utf-8", "surrogatepass"))


def _id(name, number):
    """A known id of this name; None where the name says nothing."""
    if name in SHARED:
        return SHARED[name]
    if name in OWNED:
        return known(PROJECT, OWNED[name], number % COUNT)
    return PROJECT if name in PROJECTS or name == "project_id" else None


def _path(case):
    for name, value in list(case.path_parameters.items()):
        chance = _number(value)
        if name in ("project_id", *PROJECTS) or chance % 4:
            case.path_parameters[name] = _id(name, chance) or value


def _query(case):
    query = case.query
    if "marker" in query:
        noun = COLLECTIONS.get(case.path.rsplit("/", 1)[-1])
        shared = SHARED["policy_id" if case.path.endswith("/policies") else "provider_id"]
        query["marker"] = known(PROJECT, noun, _number(query["marker"]) % 3) if noun else shared
    if "sort" in query:  # one way or the other
        query.pop("sort_key", None)
        query.pop("sort_dir", None)
    if "parameters" in query:
        query["parameters"] = json.dumps({"name": query["parameters"][:100]})
    for name, value in list(query.items()):
        if name == "project_id" or _number(value) % 4:
            query[name] = _id(name, _number(value)) or value


def _known_ids(value, number):
    """The same value with known ids, which belong together."""
    if isinstance(value, list):
        return [_known_ids(entry, number) for entry in value]
    if not isinstance(value, dict):
        return value
    return {name: _id(name, number) or _known_ids(entry, number) for name, entry in value.items()}


def _trigger(body, number):
    """Patterns have a language of their own, which has tests of its own."""
    if "type" in body:
        body["type"] = "time"
    if "properties" in body:
        body["properties"] = {"format": "crontab", "pattern": f"{number % 60} 3 * * *", "window": 900 + number % 900}


def _plan(body, number):
    """There is one published policy. A plan names something, or chooses of one type by something."""
    if body.get("policy"):
        body["policy"] = SHARED["policy_id"]
    for choice in body.get("selection", ()):
        choice["type"] = RESOURCE["type"]
        if not any(choice.get(name) for name in ("tags", "metadata", "name")):
            choice["name"] = "*"
    if "provider_id" in body and not body.get("selection"):
        body["resources"] = [RESOURCE]


def _policy(body, number):
    """As with triggers; no two schedules of a policy have the same name, and none is about a plan."""
    for place, schedule in enumerate(body.get("schedules", ())):
        schedule["name"] = f"{place}.{number % 3}"
        schedule["operation_type"] = "retention_protect"
        schedule["definition"] = {"max_backups": 1 + number % 9}
        schedule["trigger"] = {"type": "time", "properties": {"format": "crontab", "pattern": f"{place} 3 * * *"}}


def _lock(body, number):
    """A moment to come, as far away as a lock may end."""
    if "until" in body:
        body["until"] = f"{2030 + number % 50}-01-02T03:04:05"


def _copy(body, number):
    """Of the plans, two have something that can be copied."""
    body["target_provider_id"] = SHARED["target_provider_id"]
    body["plan_id"] = known(PROJECT, "plan", number % 2 * 2)
    if body.get("checkpoint_id"):
        body["checkpoint_id"] = known(PROJECT, "checkpoint", number % 2 * 2)


def _restore(body, number):
    """The provider of the tests restores to its own place only."""
    for name in ("restore_target", "restore_auth"):
        if name in body:
            body[name] = None


def _scheduled_operation(body, number):
    if "operation_definition" in body:
        given = {
            "plan_id": known(PROJECT, "plan", number % COUNT),
            "provider_id": SHARED["provider_id"],
            "note": number,
        }
        if body.get("operation_type") == "copy":
            given["target_provider_id"] = SHARED["target_provider_id"]
        as_text = ",".join(f"{name}={value}" for name, value in given.items())
        body["operation_definition"] = given if number % 2 else as_text


def _export(body, number):
    """Everything of the checkpoint, on any host, within the bound of the settings."""
    for name in ("resource", "stream", "host"):
        if name in body:
            body[name] = None
    if "seconds" in body:
        body["seconds"] = 1 + number % 3600


#: Envelope to what makes sense of its content where ids alone do not.
_SENSE = {
    "trigger_info": _trigger,
    "copy": _copy,
    "lock": _lock,
    "plan": _plan,
    "policy": _policy,
    "export": _export,
    "restore": _restore,
    "scheduled_operation": _scheduled_operation,
}


def _body(case):
    number = _number(case.body)
    body = _known_ids(case.body, number)
    for name, inner in body.items():
        if isinstance(inner, dict):
            if "resources" in inner:
                inner["resources"] = [RESOURCE]
            if "parameters" in inner:  # options of plug-ins have shapes of their own
                inner["parameters"] = {}
            _SENSE.get(name, lambda *_: None)(inner, number)
    if body.get("status") == "enabled":
        body.pop("disabled_reason", None)
    case.body = body


def _plan_update(case):
    """Only a suspended plan can be changed: status alone is tried on one that nothing else is done with."""
    plan = case.body.get("plan")
    if case.method == "PUT" and isinstance(plan, dict) and "plan_id" in case.path_parameters:
        alone = set(plan) == {"status"}
        case.path_parameters["plan_id"] = known(PROJECT, "plan", 1 if alone else 0)
        if not alone:
            plan.pop("status", None)


def _webhook(case):
    """Only one of the triggers is fired by requests, and has no times that could be changed."""
    if "trigger_id" not in case.path_parameters or case.path_parameters["trigger_id"] not in _TRIGGERS:
        return
    if case.path.rsplit("/", 1)[-1] in ("fire", "token", "{token}"):
        case.path_parameters["trigger_id"] = _TRIGGERS[WEBHOOK]
    elif case.method == "PUT":
        case.path_parameters["trigger_id"] = _TRIGGERS[0]


def _reset(case):
    """Only the state of a checkpoint that was complete and that nothing works on can be set either way."""
    if "os-resetState" in case.body and "checkpoint_id" in case.path_parameters:
        case.path_parameters["checkpoint_id"] = known(PROJECT, "checkpoint", 0)


def give_meaning(case):
    """Change the parts of a request that are valid."""
    bad = {place for place, part in case.meta.components.items() if part.mode.is_negative}
    if ParameterLocation.PATH not in bad and case.path_parameters:
        _path(case)
    if ParameterLocation.QUERY not in bad and case.query:
        _query(case)
    if ParameterLocation.BODY not in bad and isinstance(case.body, dict):
        _body(case)
        if ParameterLocation.PATH not in bad:
            _plan_update(case)
            _reset(case)
    if ParameterLocation.PATH not in bad and case.path_parameters:
        _webhook(case)
    if ParameterLocation.HEADER not in bad and "If-Match" in case.headers and _number(case.headers) % 4:
        case.headers["If-Match"] = "*"
