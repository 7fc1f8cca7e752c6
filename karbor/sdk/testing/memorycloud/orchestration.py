# SPDX-License-Identifier: Apache-2.0
"""Heat in memory: it builds what a template asks for by asking the other services in memory, as the real one does."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from karbor.sdk.testing.memorycloud.wire import HOST, Answer, Refusal, Request, Service, route

#: Type in a template -> service, path and key of the request that makes one; and the path that removes it.
_PLAIN = {
    "OS::Cinder::Volume": ("block-storage", "/volumes", "volume"),
    "OS::Neutron::Net": ("network", "/networks", "network"),
    "OS::Neutron::Subnet": ("network", "/subnets", "subnet"),
    "OS::Neutron::Router": ("network", "/routers", "router"),
    "OS::Neutron::Port": ("network", "/ports", "port"),
    "OS::Neutron::SecurityGroup": ("network", "/security-groups", "security_group"),
    "OS::Neutron::FloatingIP": ("network", "/floatingips", "floatingip"),
    "OS::Nova::Server": ("compute", "/servers", "server"),
}
#: Names that a template and the service's own interface do not share.
_RENAMED = {
    "image": "imageRef", "network": "network_id", "network_id": "network_id", "flavor": "flavorRef",
    "floating_network": "floating_network_id", "cidr": "cidr", "subnet": "subnet_id",
}  # fmt: skip


class Orchestration(Service):
    """Stacks; all of a stack is there, or failed, when the latency is over."""

    type = "orchestration"
    version = "v1"
    in_project = True

    def fault(self, refusal: Refusal) -> Answer:
        """As Heat writes it."""
        kind = {400: "StackValidationFailed", 404: "EntityNotFound", 409: "StackExists"}.get(refusal.status, "Error")
        body = {
            "code": refusal.status,
            "title": "",
            "explanation": "",
            "error": {"message": refusal.text, "type": kind},
        }
        return Answer(refusal.status, body)

    @route("POST", "/stacks")
    def create(self, request: Request) -> Answer:
        """Refused where the template refers to what is not in it."""
        given = request.body
        if self._find(request, given["stack_name"], deleted=False):
            raise Refusal(409, f"The Stack ({given['stack_name']}) already exists.")
        template = given["template"]
        order = _in_order(template.get("resources") or {})
        values = {name: one.get("default") for name, one in (template.get("parameters") or {}).items()}
        stack: dict[str, Any] = {
            "id": self.cloud.new_id(), "stack_name": given["stack_name"], "stack_status": "CREATE_IN_PROGRESS",
            "stack_status_reason": "Stack CREATE started", "_project": request.project_id, "_built": [],
            "_template": template, "tags": given.get("tags", "").split(","),
        }  # fmt: skip
        self.cloud.things["stack"][stack["id"]] = stack
        self.cloud.later(lambda: self._build(stack, order, values))
        return Answer(201, {"stack": {"id": stack["id"], "links": []}})

    @route("GET", "/stacks/{name}")
    def show(self, request: Request, name: str) -> Answer:
        """By its id, or by its name while it is not deleted."""
        return Answer(200, {"stack": self._one(request, name)})

    @route("GET", "/stacks/{name}/resources")
    def list_resources(self, request: Request, name: str) -> Answer:
        """Each with what became of it."""
        return Answer(200, {"resources": [dict(one) for one in self._one(request, name)["_built"]]})

    @route("DELETE", "/stacks/{name}")
    def delete(self, request: Request, name: str) -> Answer:
        """With all it built, the last first."""
        stack = self._one(request, name)
        stack.update(stack_status="DELETE_IN_PROGRESS", stack_status_reason="Stack DELETE started")
        self.cloud.later(lambda: self._remove(stack))
        return Answer(204)

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

    def _build(self, stack: dict[str, Any], order: Sequence[str], values: Mapping[str, Any]) -> None:
        ids: dict[str, str] = {}
        for name in order:
            part = stack["_template"]["resources"][name]
            one = {"resource_name": name, "resource_type": part["type"], "physical_resource_id": ""}
            try:
                ids[name] = self._make(stack["_project"], part["type"], _resolved(part["properties"], ids, values))
                one.update(
                    physical_resource_id=ids[name],
                    resource_status="CREATE_COMPLETE",
                    resource_status_reason="state changed",
                )
            except Refusal as refusal:
                reason = f"Conflict: resources.{name}: {refusal.text}"
                one.update(resource_status="CREATE_FAILED", resource_status_reason=reason)
                stack.update(stack_status="CREATE_FAILED", stack_status_reason=f"Resource CREATE failed: {reason}")
            stack["_built"].append(one)
            self.cloud.settle()  # Heat goes on when what it made is ready
            if stack["stack_status"] == "CREATE_FAILED":
                return
        stack.update(stack_status="CREATE_COMPLETE", stack_status_reason="Stack CREATE completed successfully")

    def _make(self, project_id: str, type_: str, given: dict[str, Any]) -> str:
        if type_ == "OS::Cinder::VolumeAttachment":
            body = {"volumeAttachment": {"volumeId": given["volume_id"]}}
            server, volume = given["instance_uuid"], given["volume_id"]
            self._ask(project_id, "compute", "POST", f"/servers/{server}/os-volume_attachments", body)
            return f"{server}:{volume}"
        if type_ == "OS::Neutron::RouterInterface":
            subnet, router = given.get("subnet") or given["subnet_id"], given.get("router") or given["router_id"]
            body = {"subnet_id": subnet}
            self._ask(project_id, "network", "PUT", f"/routers/{router}/add_router_interface", body)
            return f"{router}:subnet_id={subnet}"
        if type_ == "OS::Neutron::FloatingIPAssociation":
            body = {"floatingip": {"port_id": given["port_id"]}}
            self._ask(project_id, "network", "PUT", f"/floatingips/{given['floatingip_id']}", body)
            return str(given["floatingip_id"])
        if type_ not in _PLAIN:
            raise Refusal(400, f"The Resource Type ({type_}) could not be found.")
        service, path, key = _PLAIN[type_]
        rules = given.pop("rules", [])
        body = {key: {_RENAMED.get(name, name): value for name, value in given.items()}}
        if key == "port":
            body[key]["fixed_ips"] = [
                {_RENAMED.get(name, name): value for name, value in one.items()} for one in given.get("fixed_ips", ())
            ]
        if key == "server":
            body[key]["block_device_mapping_v2"] = [
                {"source_type": "volume", "uuid": one["volume_id"], **one}
                for one in given.get("block_device_mapping_v2", ())
            ]
        made = self._ask(project_id, service, "POST", path, body)[key]
        for rule in rules:
            own = {"remote_group_id": made["id"]} if rule.get("remote_mode") == "remote_group_id" else {}
            plain = {name: value for name, value in rule.items() if name != "remote_mode"}
            whole = {"security_group_rule": {**own, **plain, "security_group_id": made["id"]}}
            self._ask(project_id, service, "POST", "/security-group-rules", whole)
        for network in given.get("networks", ()) if key == "server" else ():
            if network.get("port"):
                body = {"port": {"device_id": made["id"]}}
                self._ask(project_id, "network", "PUT", f"/ports/{network['port']}", body)
        return str(made["id"])

    def _remove(self, stack: dict[str, Any]) -> None:
        for one in reversed(stack["_built"]):
            id_, type_ = one["physical_resource_id"], one["resource_type"]
            if not id_:
                continue
            if type_ == "OS::Cinder::VolumeAttachment":
                server, volume = id_.split(":")
                path = f"/servers/{server}/os-volume_attachments/{volume}"
                self._ask(stack["_project"], "compute", "DELETE", path, None, missing=True)
            elif type_ == "OS::Neutron::RouterInterface":
                router, subnet = id_.split(":subnet_id=")
                body = {"subnet_id": subnet}
                path = f"/routers/{router}/remove_router_interface"
                self._ask(stack["_project"], "network", "PUT", path, body, missing=True)
            elif type_ in _PLAIN:
                service, path, _key = _PLAIN[type_]
                self._ask(stack["_project"], service, "DELETE", f"{path}/{id_}", None, missing=True)
            self.cloud.settle()
        stack.update(stack_status="DELETE_COMPLETE", stack_status_reason="Stack DELETE completed successfully")

    def _ask(
        self, project_id: str, service: str, method: str, path: str, body: Any, *, missing: bool = False
    ) -> dict[str, Any]:
        """What a service answers to a request of Heat's own. Raises Refusal with its text."""
        other = self.cloud.services[service]
        place = other.endpoint(project_id).removeprefix(HOST)
        if not place.endswith(f"/{other.version}") and f"/{other.version}/" not in place:
            place += f"/{other.version}"
        _template, answer = other.answer(Request(method, f"{place}{path}", {}, body, {}, project_id))
        if answer.status >= 400 and not (missing and answer.status == 404):
            raise Refusal(answer.status, json.dumps(answer.body) if not isinstance(answer.body, bytes) else "refused")
        return answer.body if isinstance(answer.body, dict) else {}


def _resolved(value: Any, ids: Mapping[str, str], values: Mapping[str, Any]) -> Any:
    if isinstance(value, Mapping):
        if set(value) == {"get_resource"}:
            return ids[value["get_resource"]]
        if set(value) == {"get_param"}:
            return values[value["get_param"]]
        return {key: _resolved(inner, ids, values) for key, inner in value.items()}
    if isinstance(value, list):
        return [_resolved(inner, ids, values) for inner in value]
    return value


def _in_order(resources: Mapping[str, Any]) -> list[str]:
    """The names, each behind those it refers to."""
    order: list[str] = []

    def visit(name: str, above: tuple[str, ...]) -> None:
        if name in above:
            raise Refusal(400, "Circular dependency found")
        if name not in resources:
            raise Refusal(400, f'The specified reference "{name}" is incorrect.')
        if name not in order:
            part = resources[name]
            for needed in (*part.get("depends_on", ()), *_needed(part.get("properties"))):
                visit(needed, (*above, name))
            order.append(name)

    for name in resources:
        visit(name, ())
    return order


def _needed(value: Any) -> list[str]:
    if isinstance(value, Mapping):
        if set(value) == {"get_resource"}:
            return [str(value["get_resource"])]
        return [name for inner in value.values() for name in _needed(inner)]
    return [name for inner in value for name in _needed(inner)] if isinstance(value, list | tuple) else []
