# SPDX-License-Identifier: Apache-2.0
"""What does the whole API look like as one OpenAPI 3.1 document?

Made from the declared operations and nothing else, so it cannot disagree with what is checked at run time.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from karbor.schema import faults
from karbor.schema.operation import Endpoint
from karbor.schema.samples import sample
from karbor.schema.types import Schema

VERSION = "1.0"
DESCRIPTION = """Protects applications and brings them back: plans say what, providers how and where, checkpoints are
points in time of a plan, restores bring them back.

Every error body is an object with one key, named after the kind of error, over an object with `code` and `message`.
Where the service runs without logins (`auth_strategy = noauth`) no credentials are needed."""


#: Ways to log in, by the name of their scheme.
LOGINS: dict[str, Schema] = {
    "token": {
        "type": "apiKey",
        "in": "header",
        "name": "X-Auth-Token",
        "description": "A token of Keystone for your project (auth_strategy = keystone).",
    },
    "basic": {
        "type": "http",
        "scheme": "basic",
        "description": "Name and password (auth_strategy = http_basic).",
    },
}


def document(endpoints: Iterable[Endpoint], *, logins: Iterable[str] = LOGINS) -> dict[str, Any]:
    """The document. Equal input gives equal output. ``logins`` are the ways to log in that this service knows."""
    known, ways = tuple(endpoints), tuple(logins)
    paths: dict[str, dict[str, Any]] = {}
    named: dict[str, Any] = {f"Error{status}": faults.shape(status) for status in faults.MEANINGS}
    tags = tags_of(known)
    for endpoint in known:
        described = {"tags": [tags[endpoint.id]], **_operation(endpoint)}
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _lifted(described, named)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Karbor",
            "version": VERSION,
            "summary": "Application data protection as a service.",
            "description": DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{name: []} for name in ways],
        "tags": [{"name": name} for name in dict.fromkeys(tags.values())],
        "paths": paths,
        "components": {
            "schemas": dict(sorted(named.items())),
            "responses": {str(status): faults.response(status) for status in faults.MEANINGS},
            "headers": {"RequestId": faults.REQUEST_ID_HEADER},
            "securitySchemes": {name: LOGINS[name] for name in ways},
        },
    }


def tags_of(endpoints: Iterable[Endpoint]) -> dict[str, str]:
    """Operation id to the collection that it is about: the last part of its path that is a collection of a project."""
    parts = {endpoint.id: endpoint.path.strip("/").split("/") for endpoint in endpoints}
    collections = {path[2] for path in parts.values() if path[0] == "v1" and len(path) > 2}
    return {
        id_: next((part for part in reversed(path[2:]) if part in collections), _other(path))
        for id_, path in parts.items()
    }


def _other(path: Sequence[str]) -> str:
    """What an operation outside of every project is about."""
    return path[0] if path[0] not in ("", "v1") else "versions"


def _operation(endpoint: Endpoint) -> dict[str, Any]:
    declared = endpoint.operation
    found: dict[str, Any] = {"operationId": endpoint.id, "summary": declared.summary}
    if declared.description:
        found["description"] = declared.description
    if declared.rule is None:
        found["security"] = []
    else:
        found["x-policy"] = declared.rule
        found["x-role"] = declared.role
    if declared.more_rules:
        found["x-more-policies"] = [
            {"rule": rule, "role": role, "description": text} for rule, role, text in declared.more_rules
        ]
    parameters = [_parameter("path", name, schema) for name, schema in endpoint.path_parameters.items()]
    parameters += [_parameter("query", name, schema) for name, schema in declared.query_parameters.items()]
    parameters += [_parameter("header", name, schema) for name, schema in declared.headers(endpoint.method).items()]
    if parameters:
        found["parameters"] = parameters
    if declared.body:
        content = {"schema": declared.body, "example": sample(declared.body)}
        found["requestBody"] = {"required": True, "content": {"application/json": content}}
    found["responses"] = _responses(endpoint)
    return found


def _parameter(place: str, name: str, schema: Schema) -> dict[str, Any]:
    shape = {key: value for key, value in schema.items() if key not in ("description", "x-required")}
    required = place == "path" or bool(schema.get("x-required"))
    found: dict[str, Any] = {"name": name, "in": place, "required": required, "schema": shape}
    if "description" in schema:
        found["description"] = schema["description"]
    return found


def _responses(endpoint: Endpoint) -> dict[str, Any]:
    declared = endpoint.operation
    good: dict[str, Any] = {"description": "Done.", "headers": {"x-openstack-request-id": faults.REQUEST_ID}}
    if declared.response:
        content = {"schema": declared.response, "example": sample(declared.response)}
        good["content"] = {"application/json": content}
    if declared.tagged and endpoint.method != "DELETE":
        text = "Names this state of the thing; for If-Match and If-None-Match."
        good["headers"]["ETag"] = {"description": text, "schema": {"type": "string"}}
    found = {str(declared.status): good}
    if declared.media:
        content = {declared.media: {"schema": {"type": "string", "format": "binary"}}}
        headers = {**good["headers"], "ETag": {"description": "Names this content.", "schema": {"type": "string"}}}
        headers["Content-Disposition"] = {"description": "Its name.", "schema": {"type": "string"}}
        good |= {"content": content, "headers": headers, "description": "The content."}
        ranged = {"Content-Range": {"description": "Which part it is.", "schema": {"type": "string"}}}
        found["206"] = {**good, "description": "The range that was asked for.", "headers": {**headers, **ranged}}
    asked = declared.headers(endpoint.method)
    if "If-None-Match" in asked:
        found["304"] = {"description": "It is still the same. Only where the request has If-None-Match."}
    always = {400, 405, 413, 500, 503} | ({401, 403} if declared.rule else set())
    if endpoint.path_parameters:
        always.add(404)  # also where an id holds a slash
    always |= {412} if "If-Match" in asked else set()
    always |= {409} if "Idempotency-Key" in asked else set()
    for status in sorted(always | set(declared.errors)):
        found[str(status)] = {"$ref": f"#/components/responses/{status}"}
    return found


def _lifted(value: Any, named: dict[str, Any]) -> Any:
    """``value`` with every shape that has a title replaced by a reference to it; the shapes go to ``named``."""
    if isinstance(value, list):
        return [_lifted(entry, named) for entry in value]
    if not isinstance(value, dict):
        return value
    inner = {key: entry if key in ("example", "examples") else _lifted(entry, named) for key, entry in value.items()}
    title = value.get("title")
    if not isinstance(title, str):
        return inner
    described = inner.pop("description", None)
    known = named.setdefault(title, inner)
    if known != inner:
        raise ValueError(f"two shapes have the title {title}")
    reference = {"$ref": f"#/components/schemas/{title}"}
    return {**reference, "description": described} if described else reference
