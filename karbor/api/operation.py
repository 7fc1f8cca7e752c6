# SPDX-License-Identifier: Apache-2.0
"""How is an operation declared, and what happens around it on each request?

    class Plans(Node):
        @operation("plan:create", role="member", body=PLAN.create, response=PLAN.show, errors=(400, 403))
        def post(self, call: Call) -> Answer:
            \"\"\"Create a plan.\"\"\"

The function gets a valid, permitted ``Call`` and returns the JSON object of the answer, or None for an empty one. Order
on a request: ids in the URL, policy, query string, body, function, check of the answer.
"""

import inspect
import logging
from collections.abc import Callable, Mapping
from typing import Any

import pecan
import webob

from karbor.api import body as bodies
from karbor.api import handover, paging, repeats, tags
from karbor.api.call import Call, Services
from karbor.common import jsontext
from karbor.common.context import RequestContext
from karbor.model import errors
from karbor.model.page import PageRequest
from karbor.schema.operation import Operation, Role
from karbor.schema.query import ListQuery
from karbor.schema.types import Schema
from karbor.schema.validate import Shape

LOG = logging.getLogger(__name__)
Answer = Mapping[str, Any] | None
Function = Callable[[Any, Call], Answer | webob.Response]
Tag = Callable[[Mapping[str, Any]], str]


def operation(
    rule: str | None,
    *,
    role: Role = "reader",
    body: Schema | None = None,
    response: Schema | None = None,
    query: ListQuery | None = None,
    parameters: Mapping[str, Schema] | None = None,
    status: int = 200,
    errors: tuple[int, ...] = (),
    tag: Tag | None = None,
    repeatable: bool = False,
    begins_work: bool = False,
    more_rules: tuple[tuple[str, Role, str], ...] = (),
    headers: Mapping[str, Schema] | None = None,
    media: str | None = None,
) -> Callable[[Function], Any]:
    """Declare a method of a node as an operation. Its docstring becomes summary and description.

    ``tag`` gives the entity tag of an answer. A ``repeatable`` operation does its work through ``repeats.once``. One
    that ``begins_work`` counts against project_work_per_minute. One with ``media`` returns a response (api.download).
    """

    def declare(function: Function) -> Any:
        summary, _, description = inspect.cleandoc(function.__doc__ or "").partition("\n")
        record = Operation(
            rule=rule,
            summary=summary.rstrip("."),
            description=description.strip(),
            role=role,
            body=body,
            response=response,
            query=query,
            parameters=parameters or {},
            status=status,
            errors=errors,
            tagged=tag is not None,
            repeatable=repeatable,
            begins_work=begins_work,
            more_rules=more_rules,
            more_headers=headers or {},
            media=media,
        )
        request_shape = Shape(body) if body else None
        texts = paging.shapes_of(record.query_parameters)
        answer_shape = Shape(response) if response else None

        @pecan.expose(content_type="application/json")
        def served(self: Any, req: webob.Request, _resp: webob.Response) -> webob.Response:
            req.environ["karbor.operation"] = (rule or "open").replace(":", "_")  # for whoever counts requests
            call = _call(record, self.services, req, request_shape)
            paging.check(texts, req.GET)
            answer = (repeats.known(call) if repeatable else None) or function(self, call)
            return _answered(record, call, req, answer, answer_shape, tag)

        served.operation = record  # type: ignore[attr-defined]
        served.__doc__ = function.__doc__
        return served

    return declare


def _answered(
    record: Operation,
    call: Call,
    req: webob.Request,
    answer: Answer | webob.Response,
    shape: Shape | None,
    tag: Tag | None,
) -> webob.Response:
    """The checked answer as a response; one that is a response already gets past pecan as it is."""
    if isinstance(answer, webob.Response):
        return handover.leave(req, answer)
    _check_answer(record, call.services, answer, shape)
    response = _response(record, answer)
    return response if tag is None or answer is None else _tagged(call, response, tag(answer))


def _tagged(call: Call, response: webob.Response, tag: str) -> webob.Response:
    """The response with its entity tag; without a body where the client has it already."""
    if tags.unchanged(call, tag):
        return webob.Response(status=304, etag=tag, content_type=None)
    response.etag = tag
    return response


def _call(record: Operation, services: Services, req: webob.Request, shape: Shape | None) -> Call:
    context = req.environ.get("karbor.context") or RequestContext(overwrite=False)
    if record.rule is not None:
        if "karbor.context" not in req.environ:
            raise errors.Unauthorized()
        services.policy.check(record.rule, context, project_id=str(context.project_id))
        if record.begins_work:
            services.work_rate.take(str(context.project_id))
    base_url = services.conf.osapi_karbor_base_URL or ""
    return Call(
        services=services,
        context=context,
        rule=record.rule,
        path=req.environ["karbor.path"],
        query=req.GET,
        body=_body(services, req, shape),
        url=paging.url_of(req, base_url),
        base_url=base_url or req.application_url,
        page=paging.parse(record.query, req.GET, context, max_limit=services.conf.osapi_max_limit)
        if record.query
        else PageRequest(),
        method=req.method,
        headers=_headers(record, req),
    )


def _headers(record: Operation, req: webob.Request) -> dict[str, str]:
    """The declared headers that the request has. Raises InvalidInput for one that is out of shape."""
    found: dict[str, str] = {}
    method = "GET" if req.method == "HEAD" else req.method
    for name, schema in record.headers(method).items():
        if name in req.headers:
            found[name] = req.headers[name]
            try:
                Shape(schema).check(found[name])
            except errors.InvalidInput as fault:
                raise errors.InvalidInput(f"{name}: {fault.message}") from None
    return found


def _body(services: Services, req: webob.Request, shape: Shape | None) -> Any:
    """What lies inside the envelope of the body, or all of it where the shape is ``x-bare``.

    Raises InvalidInput, TooLarge.
    """
    if shape is None:
        return None
    value = bodies.decode(bodies.read(req.environ, limit=services.conf.max_request_body_size))
    shape.check(value)
    if shape.schema.get("x-bare"):
        return value
    (inner,) = value.values()
    return inner


def _check_answer(record: Operation, services: Services, answer: Answer, shape: Shape | None) -> None:
    mode = services.conf.response_validation
    if shape is None or mode == "ignore":
        return
    problems = shape.problems(answer)
    if not problems:
        return
    text = f"answer out of shape rule={record.rule} {'; '.join(problems[:5])}"
    if mode == "error":
        raise errors.KarborError("The answer does not have its declared shape.", detail=text)
    LOG.warning("%s", text)


def _response(record: Operation, answer: Answer) -> webob.Response:
    if answer is None:
        return webob.Response(status=record.status, content_type=None)
    return webob.Response(
        body=jsontext.encode(answer),
        status=record.status,
        content_type="application/json",
        charset="UTF-8",
    )
