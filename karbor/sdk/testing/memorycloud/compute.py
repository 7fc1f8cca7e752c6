# SPDX-License-Identifier: Apache-2.0
"""Nova in memory: servers, flavors, attachments, images of servers."""

from typing import Any

from karbor.sdk.testing.memorycloud.identity import USER
from karbor.sdk.testing.memorycloud.wire import HOST, Answer, Refusal, Request, Service, route

_ATTACHED = "os-extended-volumes:volumes_attached"


class Compute(Service):
    """Servers stand on one host. The root disk of one that was booted from an image is ``cloud.contents`` of it."""

    type = "compute"
    version = "v2.1"
    microversions = ("2.1", "2.93")

    def add(self, project: str, name: str, *, image: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
        """A server that is there."""
        given = {"name": name, "imageRef": image["id"] if image else "", **more}
        server = self._new(self.cloud.project(project), given)
        server.update(status=more.get("status", "ACTIVE"))
        self.cloud.choices["server_zone"].add(server["OS-EXT-AZ:availability_zone"])
        return server

    def flavor(self, name: str, **more: Any) -> dict[str, Any]:
        """A flavor that is there, made where it is not."""
        for known in self.cloud.things["flavor"].values():
            if known["name"] == name:
                return known
        id_ = self.cloud.new_id()
        flavor = {
            "id": id_, "name": name, "ram": 64, "disk": 1, "swap": 0, "OS-FLV-EXT-DATA:ephemeral": 0,
            "OS-FLV-DISABLED:disabled": False, "vcpus": 1, "os-flavor-access:is_public": True, "rxtx_factor": 1.0,
            "links": self._links("flavors", id_), "description": None, "extra_specs": {}, **more,
        }  # fmt: skip
        self.cloud.things["flavor"][id_] = flavor
        return flavor

    def _links(self, kind: str, id_: str) -> list[dict[str, str]]:
        return [
            {"rel": "self", "href": f"{HOST}/{self.type}/{self.version}/{kind}/{id_}"},
            {"rel": "bookmark", "href": f"{HOST}/{self.type}/{kind}/{id_}"},
        ]

    def _new(self, project_id: str, given: dict[str, Any]) -> dict[str, Any]:
        id_, now = self.cloud.new_id(), self.cloud.now()[:19] + "Z"
        flavor = self.cloud.things["flavor"].get(given.get("flavorRef", "")) or self.flavor("m1.nano")
        image = given.get("imageRef")
        link = {"rel": "bookmark", "href": f"{HOST}/{self.type}/images/{image}"}
        server = {
            "id": id_, "name": given.get("name"), "status": "BUILD", "tenant_id": project_id, "user_id": USER,
            "metadata": dict(given.get("metadata") or {}), "hostId": "0" * 56,
            "image": {"id": image, "links": [link]} if image else "",
            "flavor": {
                "vcpus": flavor["vcpus"], "ram": flavor["ram"], "disk": flavor["disk"],
                "ephemeral": flavor["OS-FLV-EXT-DATA:ephemeral"], "swap": flavor["swap"] or 0,
                "original_name": flavor["name"], "extra_specs": flavor["extra_specs"],
            },
            "created": now, "updated": now, "addresses": {}, "accessIPv4": "", "accessIPv6": "",
            "links": self._links("servers", id_), "OS-DCF:diskConfig": "MANUAL", "progress": 0,
            "OS-EXT-AZ:availability_zone": given.get("availability_zone") or "nova",
            "config_drive": "True" if given.get("config_drive") else "", "key_name": given.get("key_name"),
            "OS-SRV-USG:launched_at": now, "OS-SRV-USG:terminated_at": None, "OS-EXT-STS:task_state": None,
            "OS-EXT-STS:vm_state": "active", "OS-EXT-STS:power_state": 1, _ATTACHED: [], "locked": False,
            "locked_reason": None, "description": given.get("description"), "tags": list(given.get("tags") or []),
            "trusted_image_certificates": None,
            "security_groups": list(given.get("security_groups") or [{"name": "default"}]),
        }  # fmt: skip
        self.cloud.things["server"][id_] = server
        self.cloud.contents[id_] = self.cloud.contents.get(str(image), b"")
        return server

    def _one(self, request: Request, id_: str) -> dict[str, Any]:
        server = self.cloud.things["server"].get(id_)
        if server is None or server["tenant_id"] != request.project_id:
            raise Refusal(404, f"Instance {id_} could not be found.")
        return server

    def _volume(self, id_: str) -> dict[str, Any]:
        volume = self.cloud.things["volume"].get(id_)
        if volume is None:
            raise Refusal(404, f"Volume {id_} could not be found.")
        return volume

    @route("GET", "/servers/detail")
    def list_servers(self, request: Request) -> Answer:
        """By ``name``, ``status`` and ``tags`` where these are given."""
        items, query = self.cloud.of_project("server", request.project_id), request.query
        if query.get("tags"):
            items = [one for one in items if set(query["tags"].split(",")) <= set(one["tags"])]
        items = [one for one in items if all(one[name] == query[name] for name in ("name", "status") if name in query)]
        page, more = self.page(request, items, unknown_marker=lambda id_: Refusal(400, f"marker [{id_}] not found"))
        body: dict[str, Any] = {"servers": page}
        if more:
            body["servers_links"] = [
                {"rel": "next", "href": f"{HOST}/{self.type}/{self.version}/servers/detail?{more}"}
            ]
        return Answer(200, body)

    @route("GET", "/servers/{id_}")
    def show(self, request: Request, id_: str) -> Answer:
        groups = self.cloud.things["server_group"].values()
        of_it = [group["id"] for group in groups if id_ in group.get("members", ())]
        return Answer(200, {"server": {**self._one(request, id_), "server_groups": of_it}})

    @route("POST", "/servers")
    def create(self, request: Request) -> Answer:
        """From an image, or from volumes by block_device_mapping_v2."""
        given = request.body["server"]
        used = len(self.cloud.of_project("server", request.project_id))
        if used >= self.cloud.quotas.get("server", 1 << 30):
            raise Refusal(403, f"Quota exceeded for instances: Requested 1, but already used {used} instances")
        if given.get("imageRef") and given["imageRef"] not in self.cloud.things["image"]:
            raise Refusal(400, f"Image {given['imageRef']} could not be found.")
        volumes = [self._volume(one["uuid"]) for one in given.get("block_device_mapping_v2") or ()
                   if one.get("source_type") == "volume"]  # fmt: skip
        server = self._new(request.project_id, given)
        for volume in volumes:
            self.cloud.volumes.attach(volume, server)
        wanted = given.get("networks") if isinstance(given.get("networks"), list) else []
        for port in [self.cloud.things["port"].get(one["port"]) for one in wanted if one.get("port")]:
            if port is None:
                raise Refusal(400, "Port could not be found.")
            port.update(device_id=server["id"], device_owner="compute:nova")
        self.cloud.later(lambda: server.update(status="ACTIVE"))
        found = {"id": server["id"], "links": server["links"], "OS-DCF:diskConfig": "MANUAL", "adminPass": "secret",
                 "security_groups": server["security_groups"]}  # fmt: skip
        return Answer(202, {"server": found})

    @route("DELETE", "/servers/{id_}")
    def delete(self, request: Request, id_: str) -> Answer:
        """Its volumes and ports are let go."""
        server = self._one(request, id_)

        def drop() -> None:
            for port in self.cloud.things["port"].values():
                if port["device_id"] == id_:
                    port.update(device_id="", device_owner="")
            for attached in list(server[_ATTACHED]):
                volume = self.cloud.things["volume"].get(attached["id"])
                if volume is not None:
                    self.cloud.volumes.detach(volume, server)
            self.cloud.things["server"].pop(id_, None)
            self.cloud.contents.pop(id_, None)

        self.cloud.later(drop)
        return Answer(204)

    @route("POST", "/servers/{id_}/action")
    def act(self, request: Request, id_: str) -> Answer:
        """Start, stop, and make an image of the root disk."""
        server, (name, given) = self._one(request, id_), next(iter(request.body.items()))
        if name in ("os-start", "os-stop"):
            wanted, needed = ("ACTIVE", "SHUTOFF") if name == "os-start" else ("SHUTOFF", "ACTIVE")
            if server["status"] != needed:
                raise Refusal(409, f"Cannot '{name[3:]}' instance {id_} while it is in vm_state {server['status']}")
            self.cloud.later(lambda: server.update(status=wanted))
            return Answer(202)
        if name == "createImage":
            images = self.cloud.images
            image = images.new(
                request.project_id, {"name": given["name"], "disk_format": "qcow2", **(given.get("metadata") or {})}
            )
            data = self.cloud.contents.get(id_, b"")
            self.cloud.later(lambda: images.fill(image, data))
            return Answer(202, {"image_id": image["id"]})
        raise Refusal(400, f"There is no such action: {name}")

    @route("GET", "/servers/{id_}/os-volume_attachments")
    def list_attachments(self, request: Request, id_: str) -> Answer:
        """With their devices."""
        server = self._one(request, id_)
        return Answer(200, {"volumeAttachments": [self._attachment(server, one["id"]) for one in server[_ATTACHED]]})

    @route("POST", "/servers/{id_}/os-volume_attachments")
    def attach(self, request: Request, id_: str) -> Answer:
        """A volume that is free."""
        server, volume = self._one(request, id_), self._volume(request.body["volumeAttachment"]["volumeId"])
        if volume["status"] != "available":
            raise Refusal(400, f"Invalid volume: volume {volume['id']} is already attached to instances")
        self.cloud.volumes.attach(volume, server)
        return Answer(200, {"volumeAttachment": self._attachment(server, volume["id"])})

    @route("DELETE", "/servers/{id_}/os-volume_attachments/{volume_id}")
    def detach(self, request: Request, id_: str, volume_id: str) -> Answer:
        server, volume = self._one(request, id_), self._volume(volume_id)
        if not any(one["id"] == volume_id for one in server[_ATTACHED]):
            raise Refusal(404, f"Instance {id_} is not attached to volume {volume_id}")
        self.cloud.later(lambda: self.cloud.volumes.detach(volume, server))
        return Answer(202)

    def _attachment(self, server: dict[str, Any], volume_id: str) -> dict[str, Any]:
        attached = self.cloud.things["volume"][volume_id]["attachments"]
        device = next(one["device"] for one in attached if one["server_id"] == server["id"])
        return {
            "id": volume_id, "serverId": server["id"], "volumeId": volume_id, "device": device, "tag": None,
            "delete_on_termination": False,
        }  # fmt: skip

    @route("GET", "/servers/{id_}/os-interface")
    def list_interfaces(self, request: Request, id_: str) -> Answer:
        """The ports of Neutron that name this server."""
        self._one(request, id_)
        ports = [one for one in self.cloud.things["port"].values() if one["device_id"] == id_]
        shown = [{"port_state": port["status"], "port_id": port["id"], "net_id": port["network_id"],
                  "mac_addr": port["mac_address"], "fixed_ips": port["fixed_ips"]} for port in ports]  # fmt: skip
        return Answer(200, {"interfaceAttachments": shown})

    @route("GET", "/flavors/detail")
    def list_flavors(self, request: Request) -> Answer:
        flavors = [self.cloud.things["flavor"][id_] for id_ in sorted(self.cloud.things["flavor"])]
        return Answer(200, {"flavors": flavors})

    @route("GET", "/flavors/{id_}")
    def show_flavor(self, request: Request, id_: str) -> Answer:
        if id_ not in self.cloud.things["flavor"]:
            raise Refusal(404, f"Flavor {id_} could not be found.")
        return Answer(200, {"flavor": self.cloud.things["flavor"][id_]})

    @route("GET", "/os-availability-zone")
    def list_zones(self, request: Request) -> Answer:
        """``cloud.choices["server_zone"]``."""
        names = sorted(self.cloud.choices["server_zone"])
        found = [{"zoneName": name, "zoneState": {"available": True}, "hosts": None} for name in names]
        return Answer(200, {"availabilityZoneInfo": found})

    @route("GET", "/os-keypairs/{name}")
    def show_keypair(self, request: Request, name: str) -> Answer:
        """``cloud.things["keypair"]`` has them by name."""
        if name not in self.cloud.things["keypair"]:
            raise Refusal(404, f"Keypair {name} not found for user {USER}")
        return Answer(200, {"keypair": self.cloud.things["keypair"][name]})

    @route("GET", "/os-server-groups/{id_}")
    def show_group(self, request: Request, id_: str) -> Answer:
        if id_ not in self.cloud.things["server_group"]:
            raise Refusal(404, f"Instance group {id_} could not be found.")
        return Answer(200, {"server_group": self.cloud.things["server_group"][id_]})

    @route("GET", "/os-server-groups")
    def list_groups(self, request: Request) -> Answer:
        """Those of the project; the twin makes none by itself."""
        return Answer(200, {"server_groups": self.cloud.of_project("server_group", request.project_id)})
