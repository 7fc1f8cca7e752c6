# SPDX-License-Identifier: Apache-2.0
"""What does an error look like, for each status?

The body is an object with one key, named after the kind of error, over an object with ``message``: old clients read
exactly that.
"""

from typing import Any

from karbor.schema.types import Schema

ENVELOPES = {
    400: "badRequest",
    401: "unauthorized",
    403: "forbidden",
    404: "itemNotFound",
    405: "badMethod",
    409: "conflictingRequest",
    413: "overLimit",
    415: "badMediaType",
    416: "badRange",
    501: "notImplemented",
    503: "serviceUnavailable",
}
OTHER = "computeFault"
#: Status to what it means here, and to a message as an example.
MEANINGS = {
    400: ("The request is not valid.", "Invalid input for field/attribute plan.name. It must be of type string."),
    401: ("Nobody is logged in.", "Authentication is required."),
    403: ("This is not allowed.", "You are not allowed to do this: plan:create."),
    404: ("There is no such thing, or it belongs to another project.", "The plan could not be found."),
    405: ("The method is not allowed here.", "This method is not allowed here."),
    409: ("The state of the thing does not allow this now.", "The checkpoint is protecting."),
    412: (
        "The thing is not the one that the condition of the request names.",
        "The thing has changed since you saw it.",
    ),
    413: (
        "The request is too large, there are too many of them, or a quota is used up.",
        "Maximum number of plans allowed (50) exceeded",
    ),
    416: ("What is asked for of a file lies behind its end.", "The file does not reach that far."),
    500: (
        "The service met an internal fault.",
        "The service met an internal fault. Tell the operator the request id.",
    ),
    501: ("This is not supported.", "The provider cannot copy."),
    503: (
        "The service cannot do this just now.",
        "The database cannot be used just now. Try again later.",
    ),
}
_HEADERS: dict[int, dict[str, str]] = {
    401: {"WWW-Authenticate": "How to log in."},
    405: {"Allow": "The methods that are allowed here."},
    413: {"Retry-After": "Seconds after which it may be tried again, where that would help."},
    416: {"Content-Range": "The size of the file, as ``bytes */SIZE``."},
    503: {"Retry-After": "Seconds after which it may be tried again."},
}


def envelope_of(status: int) -> str:
    """The one key of the body."""
    return ENVELOPES.get(status, OTHER)


def shape(status: int) -> Schema:
    """The body of an error with this status."""
    inner = {
        "type": "object",
        "properties": {
            "code": {"type": "integer", "const": status, "description": "The status."},
            "message": {"type": "string", "description": "What is wrong, for people."},
            "request_id": {"type": "string", "description": "Under this the operator finds it in the log."},
            "retryAfter": {"type": ["string", "integer"], "description": "Seconds, as in the header."},
        },
        "required": ["code", "message"],
        "additionalProperties": False,
    }
    name = envelope_of(status)
    return {
        "type": "object",
        "properties": {name: inner},
        "required": [name],
        "additionalProperties": False,
        "examples": [{name: {"code": status, "message": MEANINGS[status][1]}}],
    }


def response(status: int) -> dict[str, Any]:
    """The answer with this status, as OpenAPI describes it. Its shape is in the components as ``Error404``."""
    found: dict[str, Any] = {"description": MEANINGS[status][0], "headers": {"x-openstack-request-id": REQUEST_ID}}
    for name, text in _HEADERS.get(status, {}).items():
        found["headers"][name] = {"description": text, "schema": {"type": "string"}}
    content = {"schema": {"$ref": f"#/components/schemas/Error{status}"}, "example": shape(status)["examples"][0]}
    return {**found, "content": {"application/json": content}}


REQUEST_ID = {"$ref": "#/components/headers/RequestId"}
REQUEST_ID_HEADER = {
    "description": "Under this id the operator finds the request in the log.",
    "schema": {"type": "string"},
}
