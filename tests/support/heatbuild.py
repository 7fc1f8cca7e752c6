# SPDX-License-Identifier: Apache-2.0
"""What would Heat make of a template, in the cloud in memory? One request for each resource, as the real one sends."""

from karbor.heat.template import assemble


class HeatBuild:
    """Builds templates in one tenant's cloud; ``made`` maps the original id of each part to its new id."""

    def __init__(self, cloud):
        self.cloud = cloud
        self.made = {}

    def build(self, parts):
        """Make everything, each after what it refers to. Raises AssertionError for a type that is not known here."""
        template = assemble(parts, description="trial")
        values = {name: part.value for name, part in template.parameters.items()}
        self.made = {part.original_id: part.value for part in template.parameters.values()}
        for name in _in_order(template.resources):
            resource = template.resources[name]
            maker = getattr(self, "_" + resource["type"].replace("OS::", "").replace("::", "_").lower(), None)
            assert maker is not None, f"{resource['type']} is not known here"
            properties = _resolved(resource["properties"], values)
            values[name] = self.made[template.names[name].original_id] = maker(properties)
        return self.made

    def _post(self, service, path, key, body):
        answer = getattr(self.cloud, service).post(path, json={key: body}).json()
        return answer[key]["id"]

    def _neutron(self, collection, key, properties, **renamed):
        body = dict(properties)
        tags = body.pop("tags", None)
        body.update(body.pop("value_specs", {}))
        for ours, theirs in renamed.items():
            if ours in body:
                body[theirs] = body.pop(ours)
        id_ = self._post("network", f"/{collection}", key, body)
        if tags:
            self.cloud.network.put(f"/{collection}/{id_}/tags", json={"tags": tags})
        return id_

    def _neutron_net(self, properties):
        return self._neutron("networks", "network", properties)

    def _neutron_subnet(self, properties):
        given = {**properties, "gateway_ip": properties["gateway_ip"] or None}
        return self._neutron("subnets", "subnet", given, network="network_id")

    def _neutron_router(self, properties):
        given = dict(properties)
        if "external_gateway_info" in given:
            given["external_gateway_info"] = {"network_id": given["external_gateway_info"]["network"]}
        return self._neutron("routers", "router", given)

    def _neutron_routerinterface(self, properties):
        body = {f"{key}_id": properties[key] for key in ("subnet", "port") if key in properties}
        self.cloud.network.put(f"/routers/{properties['router']}/add_router_interface", json=body)
        return f"{properties['router']}:{body}"

    def _neutron_extrarouteset(self, properties):
        body = {"router": {"routes": properties["routes"]}}
        self.cloud.network.put(f"/routers/{properties['router']}", json=body)
        return f"{properties['router']}:routes"

    def _neutron_port(self, properties):
        fixed = [{**one, "subnet_id": one["subnet"]} for one in properties.get("fixed_ips", ())]
        given = {**properties, "fixed_ips": [{k: v for k, v in one.items() if k != "subnet"} for one in fixed]}
        return self._neutron("ports", "port", given, network="network_id")

    def _neutron_floatingip(self, properties):
        return self._neutron("floatingips", "floatingip", properties, floating_network="floating_network_id")

    def _neutron_floatingipassociation(self, properties):
        body = {"floatingip": {"port_id": properties["port_id"]}}
        self.cloud.network.put(f"/floatingips/{properties['floatingip_id']}", json=body)
        return properties["floatingip_id"]

    def _neutron_securitygroup(self, properties):
        """A rule about what leaves takes the place of those that every new group has."""
        network, rules = self.cloud.network, properties["rules"]
        body = {key: value for key, value in properties.items() if key != "rules"}
        id_ = self._post("network", "/security-groups", "security_group", body)
        if any(rule["direction"] == "egress" for rule in rules):
            for rule in network.get(f"/security-groups/{id_}").json()["security_group"]["security_group_rules"]:
                network.delete(f"/security-group-rules/{rule['id']}")
        for rule in rules:
            given = {key: value for key, value in rule.items() if key != "remote_mode"}
            if rule.get("remote_mode") == "remote_group_id":
                given.setdefault("remote_group_id", id_)
            self._rule({**given, "security_group_id": id_})
        return id_

    def _neutron_securitygrouprule(self, properties):
        given = {"protocol": "tcp", **properties}
        if "remote_group" in given:
            given["remote_group_id"] = given.pop("remote_group")
        return self._rule({**given, "security_group_id": given.pop("security_group")})

    def _rule(self, given):
        return self._post("network", "/security-group-rules", "security_group_rule", given)

    def _nova_server(self, properties):
        body = {
            "name": properties["name"],
            "flavorRef": properties["flavor"],
            "metadata": properties.get("metadata", {}),
        }
        if "image" in properties:
            body["imageRef"] = properties["image"]
        devices = [
            {"uuid": one["volume_id"], "source_type": "volume", "destination_type": "volume", **one}
            for one in properties.get("block_device_mapping_v2", ())
        ]
        id_ = self._post("compute", "/servers", "server", {**body, "block_device_mapping_v2": devices})
        for network in properties.get("networks", ()):
            port = {"device_id": id_, "device_owner": "compute:nova"}
            self.cloud.network.put(f"/ports/{network['port']}", json={"port": port})
        return id_

    def _cinder_volumeattachment(self, properties):
        path = f"/servers/{properties['instance_uuid']}/os-volume_attachments"
        self.cloud.compute.post(path, json={"volumeAttachment": {"volumeId": properties["volume_id"]}})
        return properties["volume_id"]

    def _cinder_volume(self, properties):
        return self._post("block_storage", "/volumes", "volume", properties)

    def _manila_share(self, properties):
        renamed = {"share_protocol": "share_proto", "snapshot": "snapshot_id", "share_network": "share_network_id"}
        given = {renamed.get(key, key): value for key, value in properties.items() if key != "access_rules"}
        return self._post("shared_file_system", "/shares", "share", given)

    def _trove_instance(self, properties):
        body = {
            "name": properties["name"],
            "flavorRef": properties["flavor"],
            "volume": {"size": properties["size"]},
            "datastore": {"type": properties["datastore_type"], "version": properties["datastore_version"]},
            "restorePoint": {"backupRef": properties["restore_point"]},
        }
        return self._post("database", "/instances", "instance", body)


def _in_order(resources):
    order = []

    def visit(name):
        if name in order:
            return
        resource = resources[name]
        for needed in (*resource.get("depends_on", ()), *_names(resource["properties"])):
            if needed in resources:
                visit(needed)
        order.append(name)

    for name in resources:
        visit(name)
    return order


def _names(value):
    if isinstance(value, dict):
        if set(value) == {"get_resource"}:
            return [value["get_resource"]]
        return [name for one in value.values() for name in _names(one)]
    return [name for one in value for name in _names(one)] if isinstance(value, list | tuple) else []


def _resolved(value, values):
    if isinstance(value, dict):
        if set(value) in ({"get_resource"}, {"get_param"}):
            return values[next(iter(value.values()))]
        return {key: _resolved(one, values) for key, one in value.items()}
    return [_resolved(one, values) for one in value] if isinstance(value, list | tuple) else value
