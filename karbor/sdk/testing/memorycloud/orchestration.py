# SPDX-License-Identifier: Apache-2.0
"""Heat in memory: it builds what a template asks for by asking the other services in memory, as the real one does."""

import json
from collections.abc import Mapping
from typing import Any

from karbor.sdk.testing.memorycloud import heattemplates, heattypes
from karbor.sdk.testing.memorycloud.wire import HOST, Answer, Refusal, Request, Service, route

_HIDDEN = "******"
_FIELDS = ("id", "stack_name", "stack_status", "stack_status_reason", "tags", "parent", "creation_time")


class Orchestration(Service):
    """Stacks. All of a stack is there, or failed, when the latency is over; with ``one_by_one``, each look at a stack
    builds, or removes, one resource more.

    ``faults`` maps the name of a resource to the reason why it cannot be built: what others built by then stays, what
    waits is aborted. ``stuck`` names resources that stay in progress. A type that ends in ``.yaml`` is a template among
    the files of the stack, and becomes a stack below it.
    """

    type = "orchestration"
    version = "v1"
    in_project = True

    def __init__(self, cloud: Any) -> None:
        super().__init__(cloud)
        self.one_by_one = False
        self.faults: dict[str, str] = {}
        self.stuck: set[str] = set()

    def fault(self, refusal: Refusal) -> Answer:
        """As Heat writes it."""
        kind = {400: "StackValidationFailed", 404: "EntityNotFound", 409: "StackExists"}.get(refusal.status, "Error")
        error = {"message": refusal.text, "type": kind}
        return Answer(refusal.status, {"code": refusal.status, "title": "", "explanation": "", "error": error})

    @route("POST", "/stacks")
    def create(self, request: Request) -> Answer:
        """Refused where the template refers to what is not in it, or a parameter has no value."""
        given = request.body
        if self._find(request, given["stack_name"], deleted=False):
            raise Refusal(409, f"The Stack ({given['stack_name']}) already exists.")
        environment = dict(given.get("environment") or {})
        wanted = {**(environment.get("parameters") or {}), **(given.get("parameters") or {})}
        stack = self._new(request.project_id, given["stack_name"], given["template"], wanted, given.get("files") or {})
        stack.update(tags=[one for one in given.get("tags", "").split(",") if one] or None,
                     _environment={**environment, "parameters": wanted})  # fmt: skip
        self.cloud.later(lambda: None if self.one_by_one else self._build_all(stack))
        return Answer(201, {"stack": {"id": stack["id"], "links": []}})

    @route("GET", "/stacks")
    def list_stacks(self, request: Request) -> Answer:
        """Those above all others; without links to the next page, as Heat does it."""
        items = [one for one in self.cloud.of_project("stack", request.project_id)
                 if one["parent"] is None and one["stack_status"] != "DELETE_COMPLETE"]  # fmt: skip
        page, _more = self.page(request, items, unknown_marker=lambda id_: Refusal(400, f"marker {id_} not found"))
        return Answer(200, {"stacks": [_shown(one) for one in page]})

    @route("GET", "/stacks/{name}")
    def show(self, request: Request, name: str) -> Answer:
        """By its id, or by its name while it is not deleted."""
        stack = self._one(request, name)
        if self.one_by_one:
            self._turn(stack)
        return Answer(200, {"stack": {**_shown(stack), "parameters": self._parameters(stack)}})

    @route("GET", "/stacks/{name}/{id_}")
    def show_whole(self, request: Request, name: str, id_: str) -> Answer:
        return self.show(request, id_)

    @route("GET", "/stacks/{name}/resources")
    def list_resources(self, request: Request, name: str) -> Answer:
        """Each with what became of it; those below it only as deep as ``nested_depth`` says."""
        stack = self._one(request, name)
        deeper = int(request.query.get("nested_depth") or 0)
        return Answer(200, {"resources": self._resources(stack, deeper)})

    @route("GET", "/stacks/{name}/{id_}/resources")
    def list_whole_resources(self, request: Request, name: str, id_: str) -> Answer:
        return self.list_resources(request, id_)

    @route("GET", "/stacks/{name}/{id_}/template")
    def show_template(self, request: Request, name: str, id_: str) -> Answer:
        return Answer(200, self._one(request, id_)["_template"])

    @route("GET", "/stacks/{name}/{id_}/environment")
    def show_environment(self, request: Request, name: str, id_: str) -> Answer:
        """Without the values of hidden parameters."""
        stack = self._one(request, id_)
        declared = stack["_template"].get("parameters") or {}
        shown = {
            section: {name: _HIDDEN if (declared.get(name) or {}).get("hidden") else value
                      for name, value in entries.items()}
            for section, entries in stack.get("_environment", {}).items()
        }  # fmt: skip
        return Answer(200, shown)

    @route("GET", "/stacks/{name}/{id_}/files")
    def show_files(self, request: Request, name: str, id_: str) -> Answer:
        return Answer(200, self._one(request, id_)["_files"])

    @route("DELETE", "/stacks/{name}")
    def delete(self, request: Request, name: str) -> Answer:
        """With all it built, the last first."""
        stack = self._one(request, name)
        stack.update(stack_status="DELETE_IN_PROGRESS", stack_status_reason="Stack DELETE started")
        self.cloud.later(lambda: None if self.one_by_one else self._remove_all(stack))
        return Answer(204)

    def _new(
        self, project_id: str, name: str, template: Mapping[str, Any], wanted: Mapping[str, Any],
        files: Mapping[str, Any], parent: str | None = None,
    ) -> dict[str, Any]:  # fmt: skip
        order = heattemplates.in_order(template.get("resources") or {})
        parts = {name: template["resources"][name] for name in order}
        stack: dict[str, Any] = {
            "id": self.cloud.new_id(), "stack_name": name, "stack_status": "CREATE_IN_PROGRESS", "parent": parent,
            "stack_status_reason": "Stack CREATE started", "tags": None, "creation_time": self.cloud.now(),
            "_project": project_id, "_template": template, "_files": dict(files),
            "_values": heattemplates.values(template, wanted),
            "_built": [_resource(name, part) for name, part in parts.items()],
        }  # fmt: skip
        self.cloud.things["stack"][stack["id"]] = stack
        return stack

    def _find(self, request: Request, name: str, *, deleted: bool = True) -> dict[str, Any] | None:
        for stack in self.cloud.of_project("stack", request.project_id):
            gone = stack["stack_status"] == "DELETE_COMPLETE"
            if (stack["id"] == name and (deleted or not gone)) or (stack["stack_name"] == name and not gone):
                return stack
        return None

    def _one(self, request: Request, name: str) -> dict[str, Any]:
        found = self._find(request, name)
        if found is None:
            raise Refusal(404, f"The Stack ({name}) could not be found.")
        return found

    @staticmethod
    def _parameters(stack: Mapping[str, Any]) -> dict[str, str]:
        declared = stack["_template"].get("parameters") or {}
        shown = {name: _HIDDEN if declared[name].get("hidden") else str(value)
                 for name, value in stack["_values"].items()}  # fmt: skip
        return {"OS::stack_id": stack["id"], "OS::stack_name": stack["stack_name"], **shown}

    def _resources(self, stack: Mapping[str, Any], deeper: int, parent: str = "") -> list[dict[str, Any]]:
        found = [{**one, **({"parent_resource": parent} if parent else {})} for one in stack["_built"]]
        for one in stack["_built"] if deeper else ():
            below = self.cloud.things["stack"].get(one["physical_resource_id"])
            if below is not None:
                found += self._resources(below, deeper - 1, one["resource_name"])
        return found

    def _turn(self, stack: dict[str, Any]) -> None:
        """Build, or remove, one resource more."""
        waiting = [one for one in stack["_built"] if not one["resource_status"].endswith(("_COMPLETE", "_FAILED"))
                   or one["resource_status"] == "INIT_COMPLETE"]  # fmt: skip
        if stack["stack_status"] == "DELETE_IN_PROGRESS":
            if stack["_built"]:
                self._remove(stack, stack["_built"].pop())
            if not stack["_built"]:
                stack.update(stack_status="DELETE_COMPLETE", stack_status_reason="Stack DELETE completed successfully")
        elif stack["stack_status"] == "CREATE_IN_PROGRESS":
            if waiting:
                self._build(stack, waiting[0])
            if all(one["resource_status"] == "CREATE_COMPLETE" for one in stack["_built"]):
                stack.update(stack_status="CREATE_COMPLETE", stack_status_reason="Stack CREATE completed successfully")

    def _build_all(self, stack: dict[str, Any]) -> None:
        while stack["stack_status"] == "CREATE_IN_PROGRESS":
            before = [one["resource_status"] for one in stack["_built"]]
            self._turn(stack)
            if before == [one["resource_status"] for one in stack["_built"]] and before:
                return  # it is stuck

    def _build(self, stack: dict[str, Any], one: dict[str, Any]) -> None:
        name, part = one["resource_name"], stack["_template"]["resources"][one["resource_name"]]
        ids = {other["resource_name"]: other["physical_resource_id"] for other in stack["_built"]}
        try:
            if name in self.faults:
                raise Refusal(409, self.faults[name])
            if name in self.stuck:
                one.update(resource_status="CREATE_IN_PROGRESS")
                return
            given = heattemplates.resolved(part.get("properties") or {}, ids, stack["_values"])
            id_ = self._nested(stack, one, given) if part["type"] in stack["_files"] else heattypes.make(
                self._asker(stack["_project"]), part["type"], given)  # fmt: skip
            one.update(physical_resource_id=id_, resource_status="CREATE_COMPLETE",
                       resource_status_reason="state changed")  # fmt: skip
        except Refusal as refusal:
            reason = f"Conflict: resources.{name}: {refusal.text}"
            stack.update(stack_status="CREATE_FAILED", stack_status_reason=f"Resource CREATE failed: {reason}")
            one.update(resource_status="CREATE_FAILED", resource_status_reason=reason)
            for other in stack["_built"]:
                if other["resource_status"] in ("INIT_COMPLETE", "CREATE_IN_PROGRESS"):
                    aborted = "CREATE aborted (Task create cancelled)"
                    other.update(resource_status="CREATE_FAILED", resource_status_reason=aborted)
        self.cloud.settle()  # Heat goes on when what it made is ready

    def _nested(self, stack: dict[str, Any], one: Mapping[str, Any], given: Mapping[str, Any]) -> str:
        template = heattemplates.read(stack["_files"][one["resource_type"]])
        name = f"{stack['stack_name']}-{one['resource_name']}"
        below = self._new(stack["_project"], name, template, given, stack["_files"], parent=stack["id"])
        self._build_all(below)
        if below["stack_status"] != "CREATE_COMPLETE":
            raise Refusal(409, below["stack_status_reason"])
        return str(below["id"])

    def _remove_all(self, stack: dict[str, Any]) -> None:
        while stack["stack_status"] == "DELETE_IN_PROGRESS":
            self._turn(stack)

    def _remove(self, stack: dict[str, Any], one: Mapping[str, Any]) -> None:
        below = self.cloud.things["stack"].get(one["physical_resource_id"])
        if below is not None:
            below["stack_status"] = "DELETE_IN_PROGRESS"
            self._remove_all(below)
        elif one["physical_resource_id"]:
            ask = self._asker(stack["_project"], missing=True)
            heattypes.remove(ask, one["resource_type"], one["physical_resource_id"])
        self.cloud.settle()

    def _asker(self, project_id: str, *, missing: bool = False) -> heattypes.Ask:
        """Sends Heat's own requests. With ``missing``, what is not there is fine."""

        def ask(service: str, method: str, path: str, body: Any) -> dict[str, Any]:
            other = self.cloud.services[service]
            place = other.endpoint(project_id).removeprefix(HOST)
            if not place.endswith(f"/{other.version}") and f"/{other.version}/" not in place:
                place += f"/{other.version}"
            _template, answer = other.answer(Request(method, f"{place}{path}", {}, body, {}, project_id))
            if answer.status >= 400 and not (missing and answer.status == 404):
                text = json.dumps(answer.body) if not isinstance(answer.body, bytes) else "refused"
                raise Refusal(answer.status, text)
            self.cloud.settle()
            return answer.body if isinstance(answer.body, dict) else {}

        return ask


def _resource(name: str, part: Mapping[str, Any]) -> dict[str, Any]:
    return {"resource_name": name, "logical_resource_id": name, "resource_type": part["type"],
            "physical_resource_id": "", "resource_status": "INIT_COMPLETE", "resource_status_reason": ""}  # fmt: skip


def _shown(stack: Mapping[str, Any]) -> dict[str, Any]:
    return {name: stack[name] for name in _FIELDS}
