# SPDX-License-Identifier: Apache-2.0
"""How does a generated request get a meaning? By ids that name something, so that it comes as far as the code.

Only the parts of a request that were made to be valid are touched, and one in four keeps the ids that name nothing.
"""

import json
import zlib

from schemathesis.core.parameters import ParameterLocation

from tests.fuzz.population import COUNT, RESOURCE, known
from tests.fuzz.requests import COLLECTIONS, OWNED, SHARED
from tests.support.api import PROJECT, PROVIDER


def _number(value):
    """A number that follows from the value, so that equal requests stay equal."""
    return zlib.crc32(repr(value).encode("utf-8", "surrogatepass"))


def _id(name, value):
    """A known id in place of a generated one; None where the name says nothing or chance wants it left."""
    if _number((name, value)) % 4 == 0:
        return None
    if name in SHARED:
        return SHARED[name]
    if name in OWNED:
        return known(PROJECT, OWNED[name], _number(value) % COUNT)
    return None


def _path(case):
    for name, value in list(case.path_parameters.items()):
        if name == "project_id":
            case.path_parameters[name] = PROJECT
        elif name == "resource_type" and _number(value) % 4:
            case.path_parameters[name] = ("OS::Nova::Server", "OS::Cinder::Volume")[_number(value) % 2]
        elif name == "resource_id" and _number(value) % 4:
            case.path_parameters[name] = RESOURCE["id"]
        elif found := _id(name, value):
            case.path_parameters[name] = found


def _query(case):
    query = case.query
    if "marker" in query:
        noun = COLLECTIONS.get(case.path.rsplit("/", 1)[-1])
        query["marker"] = known(PROJECT, noun, _number(query["marker"]) % 3) if noun else PROVIDER
    if "sort" in query:  # one way or the other
        query.pop("sort_key", None)
        query.pop("sort_dir", None)
    if "parameters" in query:
        query["parameters"] = json.dumps({"name": query["parameters"][:100]})
    if "project_id" in query:
        query["project_id"] = PROJECT
    for name, value in list(query.items()):
        if found := _id(name, value):
            query[name] = found


def _body(value):
    """The same value with known ids; options of plug-ins are left out, since they have shapes of their own."""
    if isinstance(value, list):
        return [_body(entry) for entry in value]
    if not isinstance(value, dict):
        return value
    found = {name: _id(name, entry) or _body(entry) for name, entry in value.items()}
    if "resources" in found:
        found["resources"] = [RESOURCE]
    if "parameters" in found:
        found["parameters"] = {}
    for name in ("restore_target", "restore_auth"):  # the provider of the tests restores to its own place only
        if name in found:
            found[name] = None
    return found


def _plan_update(case):
    """Only a suspended plan can be changed: status alone is tried on one that nothing else is done with."""
    plan = case.body.get("plan")
    if case.method == "PUT" and isinstance(plan, dict) and "plan_id" in case.path_parameters:
        alone = set(plan) == {"status"}
        case.path_parameters["plan_id"] = known(PROJECT, "plan", 1 if alone else 0)
        if not alone:
            plan.pop("status", None)


def give_meaning(case):
    """Change the parts of a request that are valid."""
    bad = {place for place, part in case.meta.components.items() if part.mode.is_negative}
    if ParameterLocation.PATH not in bad and case.path_parameters:
        _path(case)
    if ParameterLocation.QUERY not in bad and case.query:
        _query(case)
    if ParameterLocation.BODY not in bad and isinstance(case.body, dict):
        case.body = _body(case.body)
        if ParameterLocation.PATH not in bad:
            _plan_update(case)
    if ParameterLocation.HEADER not in bad and "If-Match" in case.headers and _number(case.headers) % 4:
        case.headers["If-Match"] = "*"
