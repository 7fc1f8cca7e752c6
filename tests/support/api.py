# SPDX-License-Identifier: Apache-2.0
"""How does a test talk to the API without workers? The real application and database over a twin of the workers."""

import base64
import functools
import json
import re
import tempfile
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlencode

import webob
from oslo_config import cfg
from oslo_context import context

from karbor import conf as settings
from karbor.api.app import make_app
from karbor.api.v1.tree import ENDPOINTS
from karbor.db.database import Database
from karbor.model import errors
from karbor.model.provider import ProviderInfo
from karbor.schema import openapi
from karbor.sdk.protection import Protection
from tests.support.clock import TwinClock

PROJECT = "3c65d64bc6a64aa3a2ec1b4ec4e1ee0c"
OTHER_PROJECT = "5a3b1c2d4e5f60718293a4b5c6d7e8f9"
PROVIDER = "cf56bd3e-97a7-4078-b6d5-f36246333fd9"
SERVER = "11111111-2222-4333-8444-555555555555"
VOLUME = "66666666-7777-4888-8999-aaaaaaaaaaaa"
COST = {
    "service": "block-storage",
    "kind": "snapshots",
    "kept": 1,
    "passing": 0,
    "types": {"OS::Cinder::Volume": 1},
    "limit": 10,
    "used": 3,
}
TYPES = ("OS::Nova::Server", "OS::Cinder::Volume", "Libvirt::Domain")


def provider_info(id=PROVIDER, name="twin", types=TYPES, **more):
    """A provider that takes a few options for each type."""
    options = {
        "type": "object",
        "properties": {
            "k": {"type": "string"},
            "a": {"type": "boolean"},
            "number": {"type": "integer", "minimum": 1},
            "quiesce": {"type": "string", "enum": ["required", "try", "no"]},
        },
        "additionalProperties": False,
    }
    restore = {"type": "object", "properties": {"restore_name": {"type": "string"}}, "additionalProperties": False}
    schemas = {
        "options_schema": dict.fromkeys(types, options),
        "restore_schema": dict.fromkeys(types, restore),
        "saved_info_schema": dict.fromkeys(types, {}),
        "verify_schema": dict.fromkeys(types, Protection.Verify.schema()),
    }
    return ProviderInfo(id=id, name=name, description="A provider of the tests.", schemas=schemas, **more)


class WorkersTwin:
    """Answers as karbor-protection does, from an inventory held in memory: {project: {(type, id): instance}}."""

    def __init__(self):
        self.told = []
        self.silent = False
        self.types = {
            "OS::Nova::Server": ["OS::Cinder::Volume"],
            "OS::Cinder::Volume": [],
            "OS::Keystone::Project": ["OS::Nova::Server"],
        }
        self.inventory = {}
        self.asked_with = None
        self.questions = 0
        self.file, self.file_name = b"127.0.0.1 localhost\n", "hosts"  # what /etc/hosts is
        self.parts, self.breaks_at = [], 0  # (offset, length) of what was read of it; which read fails

    def add(self, project_id, type_, id_, name="vm", below=()):
        shown = [{"type": t, "id": i, "name": n, "extra_info": None} for t, i, n in below]
        entry = {"id": id_, "type": type_, "name": name, "extra_info": None, "dependent_resources": shown}
        self.inventory.setdefault(project_id, {})[type_, id_] = entry

    def run(self, job_id):
        if self.silent:
            raise errors.Unavailable("The message broker cannot be reached.")
        self.told.append(job_id)

    def list_types(self):
        self._answer()
        return [{"name": name, "dependent_types": below} for name, below in sorted(self.types.items())]

    def list_instances(self, project_id, type, after, limit, parameters):
        self._answer()
        self._check(type)
        self.asked_with = parameters
        mine = self.inventory.get(project_id, {})
        return [mine[key] for key in sorted(mine) if key[0] == type and key[1] > after][:limit]

    def show_instance(self, project_id, type, id, parameters):
        self._answer()
        self._check(type)
        self.asked_with = parameters
        try:
            return self.inventory.get(project_id, {})[type, id]
        except KeyError:
            raise errors.ResourceNotFound(f"The resource {id} could not be found.") from None

    def check_resources(self, project_id, provider_id, resources):
        self._answer()
        mine = self.inventory.get(project_id, {})
        return [
            {"id": entry["id"], "type": entry["type"], "reason": "it does not exist"}
            for entry in resources
            if (entry["type"], entry["id"]) not in mine
        ]

    def check_selection(self, provider_id, selection):
        self._answer()
        return [
            {"type": entry["type"], "reason": "it cannot be chosen so"}
            for entry in selection
            if entry["type"] not in self.types
        ]

    def plan_protect(self, project_id, provider_id, plan):
        self._answer()
        self.asked_with = plan
        found = {"type": "OS::Nova::Server", "id": SERVER, "name": "vm", "reasons": ["named in the plan"]}
        chosen = {"resources": [found], "empty": []}
        return {"chosen": chosen, "resources": {"OS::Nova::Server": 1}, "cost": [COST], "conflicts": []}

    def plan_restore(self, project_id, provider_id, checkpoint_id, parameters, target):
        self._answer()
        self.asked_with, self.asked_for = parameters, target
        self.asked_as = getattr(context.get_current(), "auth_token", None)
        entry = {"type": "OS::Nova::Server", "id": SERVER, "name": "vm", "place": None}
        lists = dict.fromkeys(("replaces", "keeps", "conflicts", "warnings", "untold"), [])
        return {**lists, "creates": [entry], "bytes": 7, "template": None}

    def list_files(self, project_id, provider_id, checkpoint_id, wish):
        self._answer()
        self.asked_with = wish
        common = {"uid": 0, "gid": 0, "modified": 1.7e9, "target": None}
        files = [{"name": "etc", "kind": "directory", "mode": 0o755, "size": 0, **common}]
        volume = {"volume": "p1", "size": 1 << 30, "format": "ext", "readable": True}
        return {"volumes": [volume], "files": files if wish["path"] else [], "note": ""}

    def read_file(self, project_id, provider_id, checkpoint_id, wish, offset, length):
        self._answer()
        self.asked_with = wish
        self.parts.append((offset, length))
        if len(self.parts) == self.breaks_at:
            raise errors.BankUnavailable()
        if wish["path"] == "/nothing":
            raise errors.InvalidInput("There is no such file.")
        data = base64.b64encode(self.file[offset : offset + length]).decode()
        return {"name": self.file_name, "size": len(self.file), "modified": 1.7e9, "data": data}

    def _answer(self):
        self.questions += 1
        if self.silent:
            raise errors.Unavailable("The protection service did not answer in time.")

    def _check(self, type_):
        if type_ not in self.types:
            raise errors.NotFound(f"The resource type {type_} is not known here.")


@functools.cache
def _documented():
    """(method, pattern of the path, statuses) of everything in the API document."""
    found = []
    for path, operations in openapi.document(ENDPOINTS).get("paths").items():
        pattern = re.compile(re.sub(r"\{\w+\}", "[^/]+", path.replace(".", r"\.")) + "/?")
        found += [(method.upper(), pattern, set(entry["responses"])) for method, entry in operations.items()]
    return found


def check_documented(method, path, response):
    """An answer of a declared operation must have a status that its document tells of."""
    for declared, pattern, statuses in _documented():
        if declared == method and pattern.fullmatch(path):
            assert str(response.status_int) in statuses, (method, path, response.status_int, response.text)


def make_conf(files=(), **values):
    """Settings of their own, with every answer checked against its declared shape."""
    conf = cfg.ConfigOpts()
    settings.register_opts(conf)
    conf([], project="karbor", default_config_files=list(files), default_config_dirs=[])
    for name, value in {"response_validation": "error", **values}.items():
        conf.set_override(name, value)
    return conf


@functools.cache
def empty_database():
    """The bytes of a database with the newest schema, made once: migrations take most of a short test's time."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "karbor.sqlite"
        database = Database(f"sqlite:///{path}", clock=TwinClock())
        database.upgrade()
        database.dispose()  # the last connection to close moves everything from the log into the file
        return path.read_bytes()


class Api:
    """The application with everything under it. ``send`` is any request; ``get`` and ``post`` must be answered well.

    ``content`` is the database to begin with, as bytes; an empty one where there is none.
    """

    def __init__(self, path, files=(), content=None, **values):
        self.clock = TwinClock()
        file = Path(path) / "karbor.sqlite"
        file.write_bytes(content or empty_database())
        self.database = Database(f"sqlite:///{file}", clock=self.clock)
        self.workers = WorkersTwin()
        self.conf = make_conf(files, **values)
        self.app = make_app(self.conf, database=self.database, protection=self.workers, clock=self.clock)
        if content is None:
            with self.database.write() as rows:
                rows.providers.put(provider_info())
        self.workers.add(PROJECT, "OS::Nova::Server", SERVER, below=[("OS::Cinder::Volume", VOLUME, "v")])
        self.workers.add(PROJECT, "OS::Cinder::Volume", VOLUME, name="v")

    def raw(self, method, url, *, data=None, headers=None):
        """The webob response to a request for any path."""
        request = webob.Request.blank(url, method=method, headers=headers or {})
        if data is not None:
            request.body = data
            request.content_type = "application/json"
        response = request.get_response(self.app)
        check_documented(method, url.partition("?")[0], response)
        return response

    def send(self, method, path, body=None, *, project=PROJECT, headers=None, **query):
        """(status, JSON) of a request below the project."""
        url = f"/v1/{project}{path}" + (f"?{urlencode(query, doseq=True)}" if query else "")
        data = None if body is None else json.dumps(body).encode()
        response = self.raw(method, url, data=data, headers=headers)
        return response.status_int, response.json_body if response.body else None

    def get(self, path, **more):
        status, body = self.send("GET", path, **more)
        assert status == 200, (path, status, body)
        return body

    def post(self, path, body, **more):
        status, answer = self.send("POST", path, body, **more)
        assert status == 200, (path, status, answer)
        return answer

    def refused(self, status, method, path, body=None, **more):
        """The message of a request that must be refused so; the body must have the shape that old clients read."""
        got, answer = self.send(method, path, body, **more)
        assert got == status, (path, got, answer)
        (inner,) = answer.values()
        assert inner["code"] == status
        return inner["message"]

    def plan(self, **changes):
        """A plan over the one server that the project has."""
        body = {
            "name": "p1",
            "provider_id": PROVIDER,
            "resources": [{"id": SERVER, "type": "OS::Nova::Server", "name": "vm"}],
            "parameters": {},
        }
        return self.post("/plans", {"plan": {**body, **changes}})["plan"]

    def checkpoint(self, plan=None, status="available", **changes):
        """A checkpoint that has come to ``status``; nobody works on it any more."""
        plan = plan or self.plan()
        path = f"/providers/{plan['provider_id']}/checkpoints"
        found = self.post(path, {"checkpoint": {"plan_id": plan["id"]}})["checkpoint"]
        with self.database.write() as rows:
            for job in rows.jobs.live_for(checkpoint_id=found["id"]):
                rows.jobs.request_cancel(job.id)
            if status != "protecting":
                first = "error" if status in ("error", "error-deleting") else "available"
                rows.checkpoints.transition(found["id"], first, finished_at=self.clock.now(), **changes)
            if status in ("deleting", "deleted", "error-deleting"):
                rows.checkpoints.transition(found["id"], "deleting")
            if status in ("deleted", "error-deleting"):
                rows.checkpoints.transition(found["id"], status)
        return self.get(f"{path}/{found['id']}")["checkpoint"]

    def trigger(self, name="nightly", **properties):
        """A trigger that fires every night, unless the properties say something else."""
        given = {"format": "crontab", "pattern": "0 2 * * *", **properties}
        body = {"trigger_info": {"name": name, "type": "time", "properties": given}}
        return self.post("/triggers", body)["trigger_info"]

    def scheduled_operation(self, plan=None, trigger=None, definition=None, **changes):
        """A scheduled operation that protects a plan."""
        plan, trigger = plan or self.plan(), trigger or self.trigger()
        what = {"plan_id": plan["id"], "provider_id": plan["provider_id"], **(definition or {})}
        body = {"name": "so", "operation_type": "protect", "trigger_id": trigger["id"], "operation_definition": what}
        return self.post("/scheduled_operations", {"scheduled_operation": {**body, **changes}})["scheduled_operation"]

    def set_provider(self, **changes):
        with self.database.write() as rows:
            rows.providers.put(replace(provider_info(), **changes))

    def jobs(self):
        """Every job, oldest first."""
        with self.database.read() as rows:
            return rows.jobs.live_for()
