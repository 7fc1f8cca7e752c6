# SPDX-License-Identifier: Apache-2.0
"""How is each operation asked about the caller's own things, and about those of a stranger?

Made from the declared endpoints. What cannot follow from a declaration (bodies, and what an id in a URL names) is told
here once; an endpoint that is not told of fails a test.
"""

from dataclasses import dataclass, field, replace
from urllib.parse import urlencode

from karbor.api.v1.tree import ENDPOINTS
from tests.fuzz.population import FAR_PROVIDER, MARKS, POLICY, RESOURCE, TOKEN, WEBHOOK, key_of, known, unknown
from tests.support.api import OTHER_PROJECT, PROJECT, PROVIDER

#: Names of ids (in paths, bodies and filters) to the noun that they name. Each noun belongs to a project.
OWNED = {
    "plan_id": "plan",
    "checkpoint_id": "checkpoint",
    "restore_id": "restore",
    "verification_id": "verification",
    "export_id": "export",
    "operation_log_id": "operation_log",
    "trigger_id": "trigger",
    "scheduled_operation_id": "scheduled_operation",
    "run_id": "run",
    "event_id": "event",
}
#: Names of ids that are the same for all, with a value that is there.
SHARED = {
    "provider_id": PROVIDER,
    "target_provider_id": FAR_PROVIDER,
    "resource_type": "OS::Nova::Server",
    "resource_id": RESOURCE["id"],
    "service_id": "1",
    "class_name": "default",
    "policy_id": POLICY,
    "token": TOKEN,
}
#: Names of ids that are projects.
PROJECTS = ("quota_project_id",)
#: What a list holds, by the last part of its path; None where it is the same for all.
COLLECTIONS = {
    "plans": "plan",
    "checkpoints": "checkpoint",
    "restores": "restore",
    "verifications": "verification",
    "exports": "export",
    "files": None,
    "operation_logs": "operation_log",
    "triggers": "trigger",
    "scheduled_operations": "scheduled_operation",
    "runs": "run",
    "events": "event",
    "instances": "volume",
    "providers": None,
    "policies": None,
    "protectables": None,
}
#: Operations that need another of the things than the first: operation to name to number.
OTHERS = {
    "plan_delete": {"plan_id": 3},  # nothing is scheduled for it
    "provider_checkpoint_action": {"checkpoint_id": 3},  # it is being made
    "provider_checkpoint_update": {"checkpoint_id": 1},
    "provider_checkpoint_delete": {"checkpoint_id": 1},
    "trigger_delete": {"trigger_id": 3},  # nothing uses it
    **dict.fromkeys(
        ("trigger_fire", "trigger_renew_token", "trigger_get_events", "post_hooks_trigger_id_token"),
        {"trigger_id": WEBHOOK},
    ),
}


def _plan(ids):
    return {"name": "p", "provider_id": ids["provider_id"], "resources": [RESOURCE], "parameters": {}}


def _definition(ids):
    return {"plan_id": ids["plan_id"], "provider_id": ids["provider_id"]}


def _run(ids):
    return {"provider_id": ids["provider_id"], "checkpoint_id": ids["checkpoint_id"], "parameters": {}}


def _copy(ids):
    names = ("plan_id", "checkpoint_id", "target_provider_id")
    return {name: ids[name] for name in names}


def _schedule(ids):
    return {
        "name": "s",
        "operation_type": "protect",
        "trigger_id": ids["trigger_id"],
        "operation_definition": _definition(ids),
    }


_NIGHTLY = {
    "name": "nightly",
    "operation_type": "retention_protect",
    "trigger": {"type": "time", "properties": {"format": "crontab", "pattern": "0 2 * * *"}},
    "definition": {"max_backups": 3},
}
#: Operation to its body, made of ids.
BODIES = {
    "plan_create": lambda ids: {"plan": _plan(ids)},
    "plan_update": lambda ids: {"plan": {"name": "changed"}},
    "provider_checkpoint_create": lambda ids: {"checkpoint": {"plan_id": ids["plan_id"]}},
    "provider_checkpoint_update": lambda ids: {"os-resetState": {"state": "error"}},
    "provider_checkpoint_action": lambda ids: {"cancel": {}},
    "copy_create": lambda ids: {"copy": _copy(ids)},
    "restore_create": lambda ids: {"restore": _run(ids)},
    "restore_cancel": lambda ids: {"cancel": {}},
    "verification_create": lambda ids: {"verification": _run(ids)},
    "verification_cancel": lambda ids: {"cancel": {}},
    "trigger_create": lambda ids: {
        "trigger_info": {"name": "t", "type": "time", "properties": {"format": "crontab", "pattern": "0 2 * * *"}}
    },
    "trigger_update": lambda ids: {"trigger_info": {"name": "changed"}},
    "scheduled_operation_create": lambda ids: {"scheduled_operation": _schedule(ids)},
    "scheduled_operation_update": lambda ids: {"scheduled_operation": {"operation_definition": _definition(ids)}},
    "scheduled_operation_run": lambda ids: {"run": {}},
    "policy_create": lambda ids: {"policy": {"name": "p", "schedules": [_NIGHTLY]}},
    "policy_update": lambda ids: {"policy": {"description": "changed", "schedules": [_NIGHTLY]}},
    "service_update": lambda ids: {"status": "disabled", "disabled_reason": "new disks"},
    "quota_update": lambda ids: {"quota": {"plans": 70}},
    "quota_class_update": lambda ids: {"quota_class": {"plans": 70}},
}


#: Operation to the query string that it needs.
QUERIES = {"provider_checkpoint_file_content": {"path": "/etc/hosts"}}
#: Operation to what else it can be asked for, about a thing of somebody else: everything that takes another way.
OTHER_BODIES = {
    "provider_checkpoint_action": (
        {"export": {}},
        {"lock": {"mode": "governance", "until": "2030-01-02T03:04:05"}},
        {"unlock": {}},
        {"hold": {"reason": "r"}},
        {"release": {}},
    )
}


@dataclass(frozen=True)
class Request:
    """One request. ``what`` says whose id stands where."""

    endpoint: object
    what: str
    url: str
    body: object = None
    headers: dict = field(default_factory=dict)


def ids_of(project, endpoint=None):
    """The ids of what the project owns, and of what is everybody's."""
    numbers = OTHERS.get(endpoint.id, {}) if endpoint else {}
    return {
        **{name: known(project, noun, numbers.get(name, 0)) for name, noun in OWNED.items()},
        **SHARED,
        **dict.fromkeys(PROJECTS, project),
        "project_id": project,
    }


def unknown_ids():
    """Ids of the same names that name nothing."""
    owned = {name: unknown(noun) for name, noun in OWNED.items()}
    return {**owned, **SHARED, **dict.fromkeys(PROJECTS, "f" * 32), "project_id": "f" * 32}


def parameters(endpoint):
    """Every id that a request of the endpoint can name, in path, query string or body."""
    named = [*endpoint.path_parameters, *endpoint.operation.query_parameters]
    found = [name for name in named if name.endswith("_id") or name in SHARED]
    body = BODIES.get(endpoint.id)
    if body:
        asked = _Asked(ids_of(PROJECT))
        body(asked)
        found += asked.names
    return list(dict.fromkeys(found))


class _Asked(dict):
    """Ids that remember which of them were asked for."""

    def __init__(self, ids):
        super().__init__(ids)
        self.names = []

    def __getitem__(self, name):
        self.names.append(name)
        return super().__getitem__(name)


def request(endpoint, what, ids, query=(), headers=None):
    """The request with these ids."""
    query = {**QUERIES.get(endpoint.id, {}), **dict(query)}
    path = endpoint.path.format(**{name: ids[name] for name in endpoint.path_parameters})
    body = BODIES[endpoint.id](ids) if endpoint.operation.body else None
    return Request(endpoint, what, path + (f"?{urlencode(query)}" if query else ""), body, headers or {})


def own(endpoint):
    """The request about the caller's own things; with a key that somebody else uses, where it takes one."""
    repeatable = "Idempotency-Key" in endpoint.operation.headers(endpoint.method)
    headers = {"Idempotency-Key": key_of(OTHER_PROJECT)} if repeatable else {}
    return request(endpoint, "own", ids_of(PROJECT, endpoint), headers=headers)


def foreign(endpoint, ids, whose):
    """Every way to name something of somebody else in a request of the endpoint."""
    mine = ids_of(PROJECT, endpoint)
    for name in parameters(endpoint):
        if name in endpoint.operation.query_parameters:
            yield request(endpoint, f"{name} of {whose} as filter", mine, {name: ids[name]})
            if name == "project_id":
                yield request(endpoint, f"project of {whose}", mine, {"all_tenants": 1, name: ids[name]})
        elif name not in SHARED:
            one = request(endpoint, f"{name} of {whose}", {**mine, name: ids[name]})
            yield from (one, *(replace(one, body=body) for body in OTHER_BODIES.get(endpoint.id, ())))
    known_parameters = endpoint.operation.query_parameters
    if "marker" in known_parameters:
        noun = COLLECTIONS[endpoint.path.rsplit("/", 1)[-1]]
        if noun:
            marker = ids.get(f"{noun}_id", known(OTHER_PROJECT, noun))
            yield request(endpoint, f"marker of {whose}", mine, {"marker": marker})
    if "all_tenants" in known_parameters:
        yield request(endpoint, "all tenants", mine, {"all_tenants": 1})
    for name in ("name", "description", "properties", "operation_definition"):
        if name in known_parameters:
            yield request(endpoint, f"{name} of {whose} as filter", mine, {name: MARKS[OTHER_PROJECT]})


def private():
    """The endpoints that need a login."""
    return [endpoint for endpoint in ENDPOINTS if endpoint.operation.rule is not None]
