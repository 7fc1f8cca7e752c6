# SPDX-License-Identifier: Apache-2.0
"""Neutron in memory: what is stored and how its parts refer to each other; no packet moves."""

import ipaddress
from typing import Any

from karbor.sdk.testing.memorycloud.wire import HOST, Answer, Refusal, Request, Service, route

#: Collection in the URL -> (kind, its name in JSON, what each has beside what was asked for).
KINDS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "networks": ("network", "network", {
        "admin_state_up": True, "mtu": 1500, "status": "ACTIVE", "subnets": [], "shared": False,
        "availability_zone_hints": [], "availability_zones": [], "ipv4_address_scope": None,
        "ipv6_address_scope": None, "router:external": False, "port_security_enabled": True}),
    "subnets": ("subnet", "subnet", {
        "ip_version": 4, "subnetpool_id": None, "enable_dhcp": True, "ipv6_ra_mode": None, "ipv6_address_mode": None,
        "gateway_ip": None, "allocation_pools": [], "host_routes": [], "dns_nameservers": [], "service_types": []}),
    "routers": ("router", "router", {
        "admin_state_up": True, "status": "ACTIVE", "external_gateway_info": None, "availability_zone_hints": [],
        "availability_zones": [], "routes": [], "flavor_id": None}),
    "ports": ("port", "port", {
        "admin_state_up": True, "status": "DOWN", "device_id": "", "device_owner": "", "fixed_ips": [],
        "allowed_address_pairs": [], "extra_dhcp_opts": [], "security_groups": [], "binding:vnic_type": "normal",
        "port_security_enabled": True}),
    "security-groups": ("security_group", "security_group", {"stateful": True, "shared": False}),
    "security-group-rules": ("security_group_rule", "security_group_rule", {
        "ethertype": "IPv4", "protocol": None, "port_range_min": None, "port_range_max": None,
        "remote_ip_prefix": None, "remote_address_group_id": None, "normalized_cidr": None, "remote_group_id": None}),
    "floatingips": ("floatingip", "floatingip", {
        "status": "DOWN", "router_id": None, "fixed_ip_address": None, "floating_ip_address": "203.0.113.1",
        "port_id": None}),
}  # fmt: skip


class Networks(Service):
    """Networks, subnets, routers, ports, security groups and floating addresses."""

    type = "network"
    version = "v2.0"

    def endpoint(self, project_id: str) -> str:
        """Without a version, as Neutron is mostly found in a catalog."""
        return f"{HOST}/{self.type}"

    def fault(self, refusal: Refusal) -> Answer:
        """As Neutron writes it."""
        body = {"type": refusal.kind or "NeutronException", "message": refusal.text, "detail": ""}
        return Answer(refusal.status, {"NeutronError": body})

    def add(self, project: str, collection: str, **given: Any) -> dict[str, Any]:
        """A network, subnet, port... that is there."""
        return self._new(collection, self.cloud.project(project), given)

    def _new(self, collection: str, project_id: str, given: dict[str, Any]) -> dict[str, Any]:
        kind, _key, more = KINDS[collection]
        id_, now = self.cloud.new_id(), self.cloud.now()[:19] + "Z"
        plain = {name: list(value) if isinstance(value, list) else value for name, value in more.items()}
        thing = {
            "id": id_, "name": "", "description": "", "tenant_id": project_id, "project_id": project_id, "tags": [],
            "created_at": now, "updated_at": now, "revision_number": 0, **plain, **given,
        }  # fmt: skip
        self.cloud.things[kind][id_] = thing
        if kind == "subnet":
            net = ipaddress.ip_network(thing["cidr"])
            thing.setdefault("network_id", "")
            thing["gateway_ip"] = given.get("gateway_ip", str(net[1]))
            thing["allocation_pools"] = thing["allocation_pools"] or [{"start": str(net[2]), "end": str(net[-2])}]
            self.cloud.things["network"][thing["network_id"]]["subnets"].append(id_)
        if kind == "port":
            thing.setdefault("mac_address", "fa:16:3e:" + ":".join(id_[at : at + 2] for at in (0, 2, 4)))
            thing["fixed_ips"] = [self._fixed(one) for one in thing["fixed_ips"] or self._any(thing["network_id"])]
        if kind == "security_group":
            thing["security_group_rules"] = []
            for version in ("IPv4", "IPv6"):
                self._new("security-group-rules", project_id, {
                    "security_group_id": id_, "direction": "egress", "ethertype": version})  # fmt: skip
        if kind == "security_group_rule":
            del thing["name"]
            self.cloud.things["security_group"][thing["security_group_id"]]["security_group_rules"].append(thing)
        return thing

    def _any(self, network_id: str) -> list[dict[str, str]]:
        return [{"subnet_id": id_} for id_ in self.cloud.things["network"][network_id]["subnets"][:1]]

    def _fixed(self, wanted: dict[str, str]) -> dict[str, str]:
        if wanted.get("ip_address"):
            return dict(wanted)
        subnet = self.cloud.things["subnet"][wanted["subnet_id"]]
        used = {one.get("ip_address") for port in self.cloud.things["port"].values() for one in port["fixed_ips"]}
        hosts = (str(one) for one in ipaddress.ip_network(subnet["cidr"]).hosts())
        free = next(one for one in hosts if one not in used and one != subnet["gateway_ip"])
        return {**wanted, "ip_address": free}

    def _one(self, collection: str, request: Request, id_: str) -> dict[str, Any]:
        kind, key, _more = KINDS.get(collection, ("", "", {}))
        thing = self.cloud.things[kind].get(id_)
        if thing is None or not self._is_seen(thing, request):
            name = key.replace("_", " ").title().replace(" ", "")
            raise Refusal(404, f"{name} {id_} could not be found.", f"{name}NotFound")
        return thing

    @staticmethod
    def _is_seen(thing: dict[str, Any], request: Request) -> bool:
        return thing["project_id"] == request.project_id or thing.get("shared") or bool(thing.get("router:external"))

    @route("GET", "/{collection}")
    def list_all(self, request: Request, collection: str) -> Answer:
        """Own and shared ones; by any plain field that is given."""
        if collection not in KINDS:
            raise Refusal(404, "The resource could not be found.")
        kind, key, _more = KINDS[collection]
        query = {n: v for n, v in request.query.items() if n not in ("limit", "marker", "sort_key", "sort_dir")}
        items = [one for _id, one in sorted(self.cloud.things[kind].items()) if self._is_seen(one, request)]
        items = [one for one in items if all(str(one.get(n)).lower() == v.lower() for n, v in query.items())]
        name = key.title()
        page, more = self.page(
            request,
            items,
            unknown_marker=lambda id_: Refusal(404, f"{name} {id_} could not be found.", f"{name}NotFound"),
        )
        body: dict[str, Any] = {f"{key}s": page}
        if more and "limit" in request.query:
            body[f"{key}s_links"] = [{"rel": "next", "href": f"{HOST}/{self.type}/{self.version}/{collection}?{more}"}]
        return Answer(200, body)

    @route("GET", "/{collection}/{id_}")
    def show(self, request: Request, collection: str, id_: str) -> Answer:
        return Answer(200, {KINDS[collection][1]: self._one(collection, request, id_)})

    @route("POST", "/{collection}")
    def create(self, request: Request, collection: str) -> Answer:
        """One at a time."""
        if collection not in KINDS:
            raise Refusal(404, "The resource could not be found.")
        kind, key, _more = KINDS[collection]
        if len(self.cloud.of_project(kind, request.project_id)) >= self.cloud.quotas.get(kind, 1 << 30):
            raise Refusal(409, f"Quota exceeded for resources: ['{kind}'].", "OverQuota")
        made = self._new(collection, request.project_id, dict(request.body[key]))
        hidden = ("tags",) if kind == "security_group_rule" else ()
        return Answer(201, {key: {name: value for name, value in made.items() if name not in hidden}})

    @route("PUT", "/{collection}/{id_}")
    def update(self, request: Request, collection: str, id_: str) -> Answer:
        thing, key = self._one(collection, request, id_), KINDS[collection][1]
        thing.update(request.body[key])
        return Answer(200, {key: thing})

    @route("DELETE", "/{collection}/{id_}")
    def delete(self, request: Request, collection: str, id_: str) -> Answer:
        """Not while it is used."""
        thing, kind = self._one(collection, request, id_), KINDS[collection][0]
        ports = self.cloud.things["port"].values()
        if kind == "network" and any(port["network_id"] == id_ for port in ports):
            raise Refusal(409, f"Unable to complete operation on network {id_}. There are one or more ports still in "
                               "use on the network.", "NetworkInUse")  # fmt: skip
        if kind == "subnet":
            if any(one["subnet_id"] == id_ for port in ports for one in port["fixed_ips"]):
                raise Refusal(409, f"Unable to complete operation on subnet {id_}: One or more ports have an IP "
                                   "allocation from this subnet.", "SubnetInUse")  # fmt: skip
            self.cloud.things["network"][thing["network_id"]]["subnets"].remove(id_)
        if kind == "network":
            for subnet_id in list(thing["subnets"]):
                del self.cloud.things["subnet"][subnet_id]
        if kind == "router" and any(port["device_id"] == id_ for port in ports):
            raise Refusal(409, f"Router {id_} still has ports", "RouterInUse")
        if kind == "security_group_rule":
            self.cloud.things["security_group"][thing["security_group_id"]]["security_group_rules"].remove(thing)
        for rule in thing.get("security_group_rules", ()):
            del self.cloud.things["security_group_rule"][rule["id"]]
        del self.cloud.things[kind][id_]
        return Answer(204)

    @route("PUT", "/{collection}/{id_}/tags")
    def tag(self, request: Request, collection: str, id_: str) -> Answer:
        """All tags at once."""
        self._one(collection, request, id_)["tags"] = sorted(request.body["tags"])
        return Answer(200, {"tags": request.body["tags"]})

    @route("GET", "/quotas/{id_}/details.json")
    def quota(self, request: Request, id_: str) -> Answer:
        """Of the project; -1 is no limit."""
        told = {
            kind: {"limit": self.cloud.quotas.get(kind, -1), "reserved": 0,
                   "used": len(self.cloud.of_project(kind, request.project_id))}
            for kind in (*(kind for kind, _key, _more in KINDS.values()), "rbac_policy", "subnetpool")
        }  # fmt: skip
        return Answer(200, {"quota": told})

    @route("PUT", "/routers/{id_}/add_router_interface")
    def add_interface(self, request: Request, id_: str) -> Answer:
        """With the gateway address of a subnet, or with a port."""
        router = self._one("routers", request, id_)
        if "port_id" in request.body:
            port = self._one("ports", request, request.body["port_id"])
            port.update(device_id=router["id"], device_owner="network:router_interface", status="ACTIVE")
            subnet_ids = [one["subnet_id"] for one in port["fixed_ips"]]
            return Answer(200, {"id": id_, "tenant_id": request.project_id, "port_id": port["id"],
                                "network_id": port["network_id"], "subnet_id": subnet_ids[0],
                                "subnet_ids": subnet_ids})  # fmt: skip
        subnet = self._one("subnets", request, request.body["subnet_id"])
        port = self._new("ports", request.project_id, {
            "network_id": subnet["network_id"], "device_id": router["id"],
            "device_owner": "network:router_interface", "status": "ACTIVE",
            "fixed_ips": [{"subnet_id": subnet["id"], "ip_address": subnet["gateway_ip"]}],
        })  # fmt: skip
        return Answer(200, {"id": id_, "tenant_id": request.project_id, "port_id": port["id"],
                            "network_id": subnet["network_id"], "subnet_id": subnet["id"],
                            "subnet_ids": [subnet["id"]]})  # fmt: skip

    @route("PUT", "/routers/{id_}/remove_router_interface")
    def remove_interface(self, request: Request, id_: str) -> Answer:
        for port in list(self.cloud.things["port"].values()):
            subnets = [one["subnet_id"] for one in port["fixed_ips"]]
            if port["device_id"] == id_ and (
                request.body.get("port_id") == port["id"] or request.body.get("subnet_id") in subnets
            ):
                del self.cloud.things["port"][port["id"]]
                return Answer(200, {"id": id_, "port_id": port["id"], "subnet_id": subnets[0]})
        raise Refusal(404, f"Router {id_} does not have an interface with the subnet.", "RouterInterfaceNotFound")
