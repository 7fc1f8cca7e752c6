# SPDX-License-Identifier: Apache-2.0
"""Which requests does Heat in memory send to the other services for a resource of each type?

Written after Heat's own reference of resource types, and on purpose apart from what builds without Heat: that is
compared with this.
"""

from collections.abc import Callable, Mapping
from typing import Any

from karbor.sdk.testing.memorycloud.wire import Refusal

#: Sends a request to a service for the owner of the stack: service, method, path, body. Raises Refusal.
Ask = Callable[[str, str, str, Any], dict[str, Any]]

#: Type -> service, path and key of the request that makes one; and what a template calls otherwise.
_PLAIN: dict[str, tuple[str, str, str, dict[str, str]]] = {
    "OS::Cinder::Volume": ("block-storage", "/volumes", "volume", {"image": "imageRef"}),
    "OS::Manila::Share": ("shared-file-system", "/shares", "share", {
        "share_protocol": "share_proto", "snapshot": "snapshot_id", "share_network": "share_network_id"}),
    "OS::Neutron::FloatingIP": ("network", "/floatingips", "floatingip", {"floating_network": "floating_network_id"}),
    "OS::Neutron::Net": ("network", "/networks", "network", {}),
    "OS::Neutron::Port": ("network", "/ports", "port", {"network": "network_id"}),
    "OS::Neutron::Router": ("network", "/routers", "router", {}),
    "OS::Neutron::SecurityGroup": ("network", "/security-groups", "security_group", {}),
    "OS::Neutron::SecurityGroupRule": ("network", "/security-group-rules", "security_group_rule", {
        "security_group": "security_group_id", "remote_group": "remote_group_id"}),
    "OS::Neutron::Subnet": ("network", "/subnets", "subnet", {"network": "network_id"}),
    "OS::Nova::Server": ("compute", "/servers", "server", {"image": "imageRef", "flavor": "flavorRef"}),
    "OS::Trove::Instance": ("database", "/instances", "instance", {}),
}  # fmt: skip


def make(ask: Ask, type_: str, given: dict[str, Any]) -> str:
    """The physical id of what was made. Raises Refusal for a type that is not known."""
    if type_ in _TIES:
        return _TIES[type_](ask, given)
    if type_ not in _PLAIN:
        raise Refusal(400, f"The Resource Type ({type_}) could not be found.")
    service, path, key, renamed = _PLAIN[type_]
    rest = {name: given.pop(name) for name in ("rules", "tags", "access_rules", "value_specs") if name in given}
    body = {renamed.get(name, name): value for name, value in given.items()} | dict(rest.get("value_specs") or {})
    if type_ in _SHAPED:
        body = _SHAPED[type_](body)
    if service != "network" and "tags" in rest:
        body["tags"] = rest["tags"]
    id_ = str(ask(service, "POST", path, {key: body})[key]["id"])
    if service == "network" and rest.get("tags"):
        ask(service, "PUT", f"{path}/{id_}/tags", {"tags": rest["tags"]})
    if "rules" in rest:
        _fill_group(ask, id_, rest["rules"])
    for rule in rest.get("access_rules", ()):
        ask(service, "POST", f"{path}/{id_}/action", {"allow_access": rule})
    return id_


def remove(ask: Ask, type_: str, id_: str) -> None:
    """The other way round; what is gone is fine."""
    if type_ == "OS::Cinder::VolumeAttachment":
        server, volume = id_.split(":")
        ask("compute", "DELETE", f"/servers/{server}/os-volume_attachments/{volume}", None)
    elif type_ == "OS::Neutron::RouterInterface":
        router, place = id_.split(":", 1)
        name, _, place_id = place.partition("=")
        ask("network", "PUT", f"/routers/{router}/remove_router_interface", {name: place_id})
    elif type_ == "OS::Neutron::FloatingIPAssociation":
        ask("network", "PUT", f"/floatingips/{id_}", {"floatingip": {"port_id": None}})
    elif type_ in _PLAIN:
        service, path, _key, _renamed = _PLAIN[type_]
        ask(service, "DELETE", f"{path}/{id_}", None)


def _subnet(body: dict[str, Any]) -> dict[str, Any]:
    return {**body, "gateway_ip": body["gateway_ip"] or None} if "gateway_ip" in body else body


def _router(body: dict[str, Any]) -> dict[str, Any]:
    gateway = body.get("external_gateway_info")
    return {**body, "external_gateway_info": {"network_id": gateway["network"]}} if gateway else body


def _port(body: dict[str, Any]) -> dict[str, Any]:
    fixed = [{"subnet_id" if name == "subnet" else name: value for name, value in one.items()}
             for one in body.get("fixed_ips", ())]  # fmt: skip
    return {**body, "fixed_ips": fixed}


def _rule(body: dict[str, Any]) -> dict[str, Any]:
    """Heat takes one that stands alone for TCP."""
    return {"protocol": "tcp", **body}


def _server(body: dict[str, Any]) -> dict[str, Any]:
    devices = [{"source_type": "volume", "destination_type": "volume", "uuid": one["volume_id"], **one}
               for one in body.get("block_device_mapping_v2", ())]  # fmt: skip
    return {**body, "block_device_mapping_v2": devices}


def _database(body: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": body["name"],
        "flavorRef": body["flavor"],
        "volume": {"size": body["size"]},
        "datastore": {"type": body["datastore_type"], "version": body["datastore_version"]},
        "restorePoint": {"backupRef": body["restore_point"]},
    }


_SHAPED: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "OS::Neutron::Port": _port,
    "OS::Neutron::Router": _router,
    "OS::Neutron::SecurityGroupRule": _rule,
    "OS::Neutron::Subnet": _subnet,
    "OS::Nova::Server": _server,
    "OS::Trove::Instance": _database,
}


def _fill_group(ask: Ask, group_id: str, rules: list[Mapping[str, Any]]) -> None:
    """A rule about what leaves takes the place of those that every new group has."""
    if any(rule["direction"] == "egress" for rule in rules):
        own = ask("network", "GET", f"/security-groups/{group_id}", None)["security_group"]["security_group_rules"]
        for rule in list(own):
            ask("network", "DELETE", f"/security-group-rules/{rule['id']}", None)
    for rule in rules:
        body = {name: value for name, value in rule.items() if name != "remote_mode"}
        if rule.get("remote_mode") == "remote_group_id":
            body.setdefault("remote_group_id", group_id)
        whole = {"security_group_rule": {**body, "security_group_id": group_id}}
        ask("network", "POST", "/security-group-rules", whole)


def _attachment(ask: Ask, given: dict[str, Any]) -> str:
    server, volume = given["instance_uuid"], given["volume_id"]
    body = {"volumeAttachment": {"volumeId": volume}}
    ask("compute", "POST", f"/servers/{server}/os-volume_attachments", body)
    return f"{server}:{volume}"


def _interface(ask: Ask, given: dict[str, Any]) -> str:
    router = given.get("router") or given["router_id"]
    name = "port" if given.get("port") or given.get("port_id") else "subnet"
    place = given.get(name) or given[f"{name}_id"]
    ask("network", "PUT", f"/routers/{router}/add_router_interface", {f"{name}_id": place})
    return f"{router}:{name}_id={place}"


def _routes(ask: Ask, given: dict[str, Any]) -> str:
    ask("network", "PUT", f"/routers/{given['router']}", {"router": {"routes": given["routes"]}})
    return f"{given['router']}:routes"


def _association(ask: Ask, given: dict[str, Any]) -> str:
    ask("network", "PUT", f"/floatingips/{given['floatingip_id']}", {"floatingip": {"port_id": given["port_id"]}})
    return str(given["floatingip_id"])


_TIES: dict[str, Callable[[Ask, dict[str, Any]], str]] = {
    "OS::Cinder::VolumeAttachment": _attachment,
    "OS::Neutron::ExtraRouteSet": _routes,
    "OS::Neutron::FloatingIPAssociation": _association,
    "OS::Neutron::RouterInterface": _interface,
}
