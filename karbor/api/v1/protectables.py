# SPDX-License-Identifier: Apache-2.0
"""Protectables: which types of resources are there, and which resources does the caller have?"""

import ast
import json
from typing import Any

from karbor.api import paging
from karbor.api.call import Call
from karbor.api.node import Item, Node
from karbor.api.operation import Answer, operation
from karbor.model import errors
from karbor.schema.nouns.protectable import INSTANCE, TYPE, TYPES
from karbor.schema.query import PAGING
from karbor.schema.types import END, RESOURCE_TYPE, Schema

PARAMETERS_LIMIT = 4096
_PARAMETERS: dict[str, Schema] = {
    "parameters": {
        "type": "string",
        "maxLength": PARAMETERS_LIMIT,
        "description": "A flat object for the plug-in that looks, as JSON or as Python writes it.",
    }
}
_PAGE: dict[str, Schema] = {
    **PAGING,
    "type": {"type": "string", "description": "Without effect; old clients send it."},
}
_INSTANCE_ID: Schema = {
    "type": "string",
    "pattern": r"^[^\x00-\x1f\x7f/]{1,255}" + END,
    "examples": ["9a1b6c1e-07a3-4f5e-8f5d-2b7d5f1c3a44"],
}


class Instance(Node):
    """``/protectables/{type}/instances/{id}``"""

    @operation("protectable:instance_get", response=INSTANCE.show, parameters=_PARAMETERS, errors=(400, 404, 503))
    def get(self, call: Call) -> Answer:
        """Show a resource with what depends on it."""
        found = call.services.protection.show_instance(
            project_id=call.project_id,
            type=call.path["resource_type"],
            id=call.path["resource_id"],
            parameters=_parameters(call),
        )
        if not found:
            raise errors.ResourceNotFound("The resource could not be found.")
        return {"instance": dict(found)}


class Instances(Node):
    """``/protectables/{type}/instances``"""

    item = Item("resource_id", _INSTANCE_ID, Instance)

    @operation(
        "protectable:instance_get_all",
        response=INSTANCE.list,
        parameters={**_PAGE, **_PARAMETERS},
        errors=(400, 404, 503),
    )
    def get(self, call: Call) -> Answer:
        """List resources of a type with what depends on them, in order of id."""
        limit = paging.limit(call.query, max_limit=call.services.conf.osapi_max_limit)
        found = call.services.protection.list_instances(
            project_id=call.project_id,
            type=call.path["resource_type"],
            after=call.query.get("marker", ""),
            limit=limit,
            parameters=_parameters(call),
        )
        shown = [dict(entry) for entry in found]
        return paging.listing(call, "instances", shown, full=len(shown) >= limit)


class Protectable(Node):
    """``/protectables/{type}``"""

    below = {"instances": Instances}

    @operation("protectable:get", response=TYPE, errors=(400, 404, 503))
    def get(self, call: Call) -> Answer:
        """Show a resource type."""
        wanted = call.path["resource_type"]
        for entry in call.services.protection.list_types():
            if entry["name"] == wanted:
                return {"protectable_type": {"name": wanted, "dependent_types": list(entry["dependent_types"])}}
        raise errors.NotFound(f"The resource type {wanted} is not known here.")


class Protectables(Node):
    """``/protectables``"""

    item = Item("resource_type", RESOURCE_TYPE, Protectable)

    @operation("protectable:get_all", response=TYPES, errors=(503,))
    def get(self, call: Call) -> Answer:
        """List the resource types that can be found."""
        return {"protectable_type": [entry["name"] for entry in call.services.protection.list_types()]}


def _parameters(call: Call) -> dict[str, Any] | None:
    """The flat object in the query string. Old clients send what Python prints for a dict."""
    text = call.query.get("parameters", "")
    if not text:
        return None
    if len(text) > PARAMETERS_LIMIT:
        raise errors.InvalidInput(f"parameters may have at most {PARAMETERS_LIMIT} characters.")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        try:
            value = ast.literal_eval(text)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            raise errors.InvalidInput("parameters must be a flat object.") from None
    leaves = (str, int, float, bool, type(None))
    flat = isinstance(value, dict) and all(isinstance(k, str) and isinstance(v, leaves) for k, v in value.items())
    if not flat:
        raise errors.InvalidInput("parameters must be a flat object.")
    return dict(value) or None
