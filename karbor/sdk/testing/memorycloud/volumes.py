# SPDX-License-Identifier: Apache-2.0
"""Cinder in memory: volumes, their snapshots and backups, and the quota that all of them use."""

import ast
from typing import Any

from karbor.sdk.testing.memorycloud.identity import USER
from karbor.sdk.testing.memorycloud.wire import HOST, Answer, Refusal, Request, Service, route

_TENANT = "os-vol-tenant-attr:tenant_id"
_SNAPSHOT_TENANT = "os-extended-snapshot-attributes:project_id"


class Volumes(Service):
    """A volume's bytes are in ``cloud.contents``; a snapshot and a backup hold those of the moment they began."""

    type = "block-storage"
    version = "v3"
    microversions = ("3.0", "3.70")
    in_project = True

    def add(self, project: str, name: str, data: bytes = b"", **more: Any) -> dict[str, Any]:
        """A volume that is there; ``server`` attaches it."""
        server = more.pop("server", None)
        volume = self._new(self.cloud.project(project), {"name": name, "size": 1, **more})
        self.cloud.choices["volume_type"].add(volume["volume_type"])
        self.cloud.choices["volume_zone"].add(volume["availability_zone"])
        volume["status"] = "available"
        self.cloud.contents[volume["id"]] = data
        if server is not None:
            self.attach(volume, server)
        return volume

    def attach(self, volume: dict[str, Any], server: dict[str, Any]) -> str:
        """Make the volume one of the server's; the device it became."""
        device = f"/dev/vd{chr(ord('b') + len(server['os-extended-volumes:volumes_attached']))}"
        found = {
            "id": volume["id"], "attachment_id": self.cloud.new_id(), "volume_id": volume["id"],
            "server_id": server["id"], "host_name": "host", "device": device, "attached_at": self.cloud.now(),
        }  # fmt: skip
        volume["attachments"] = [*volume["attachments"], found]
        volume["status"] = "in-use"
        server["os-extended-volumes:volumes_attached"].append({"id": volume["id"], "delete_on_termination": False})
        return device

    def detach(self, volume: dict[str, Any], server: dict[str, Any]) -> None:
        """The other way round."""
        volume["attachments"] = [one for one in volume["attachments"] if one["server_id"] != server["id"]]
        volume["status"] = "in-use" if volume["attachments"] else "available"
        attached = server["os-extended-volumes:volumes_attached"]
        server["os-extended-volumes:volumes_attached"] = [one for one in attached if one["id"] != volume["id"]]

    def _links(self, kind: str, project_id: str, id_: str) -> list[dict[str, str]]:
        return [
            {"rel": "self", "href": f"{self.endpoint(project_id)}/{kind}/{id_}"},
            {"rel": "bookmark", "href": f"{HOST}/{self.type}/{project_id}/{kind}/{id_}"},
        ]

    def _new(self, project_id: str, given: dict[str, Any]) -> dict[str, Any]:
        self._need("volume", project_id, int(given.get("size") or 1))
        id_, now = self.cloud.new_id(), self.cloud.now()
        volume = {
            "id": id_, "status": "creating", "size": int(given.get("size") or 1), "created_at": now, "updated_at": now,
            "availability_zone": given.get("availability_zone") or "nova", "name": given.get("name"),
            "description": given.get("description"), "volume_type": given.get("volume_type") or "rbd",
            "snapshot_id": given.get("snapshot_id"), "source_volid": given.get("source_volid"),
            "metadata": dict(given.get("metadata") or {}), "links": self._links("volumes", project_id, id_),
            "user_id": USER, "bootable": str(given.get("bootable", "imageRef" in given)).lower(), "encrypted": False,
            "replication_status": None, "consistencygroup_id": None, "multiattach": False, "attachments": [],
            "group_id": given.get("group_id"), "shared_targets": False, "service_uuid": self.cloud.new_id(),
            _TENANT: project_id,
        }  # fmt: skip
        self.cloud.things["volume"][id_] = volume
        return volume

    def _need(self, kind: str, project_id: str, gigabytes: int = 0) -> None:
        """Refuse what the quota does not allow, in Cinder's words."""
        quotas, name = self.cloud.quotas, {"volume": "Volume", "volume_snapshot": "Snapshot", "backup": "Backup"}[kind]
        if not quotas:
            return
        used = self.cloud.of_project(kind, project_id)
        if len(used) >= quotas.get(kind, 1 << 30):
            raise Refusal(413, f"{name}LimitExceeded: Maximum number of {kind}s allowed ({quotas[kind]}) exceeded.")
        taken = sum(one["size"] for one in self.cloud.of_project("volume", project_id))
        if kind == "volume" and taken + gigabytes > quotas.get("gigabytes", 1 << 30):
            text = "VolumeSizeExceedsAvailableQuota: Requested volume or snapshot exceeds allowed gigabytes quota."
            raise Refusal(
                413, f"{text} Requested {gigabytes}G, quota is {quotas['gigabytes']}G and {taken}G has been consumed."
            )

    def _one(self, kind: str, request: Request, id_: str) -> dict[str, Any]:
        thing = self.cloud.things[kind].get(id_)
        if thing is None or self.cloud.owner(kind, id_) != request.project_id:
            name = {"volume": "Volume", "volume_snapshot": "Snapshot", "backup": "Backup"}[kind]
            raise Refusal(404, f"{name} {id_} could not be found.")
        return thing

    def _list(self, kind: str, key: str, request: Request) -> Answer:
        items = self.cloud.of_project(kind, request.project_id)
        for name in ("name", "status", "volume_id"):
            if name in request.query:
                items = [one for one in items if one.get(name) == request.query[name]]
        if "metadata" in request.query:  # as Python writes a dict
            wanted = ast.literal_eval(request.query["metadata"]).items()
            items = [one for one in items if wanted <= one["metadata"].items()]
        name = {"volume": "Volume", "volume_snapshot": "Snapshot", "backup": "Backup"}[kind]
        page, more = self.page(
            request, items, unknown_marker=lambda id_: Refusal(404, f"{name} {id_} could not be found.")
        )
        body: dict[str, Any] = {key: [_shown(one) for one in page]}
        if more:
            body[f"{key}_links"] = [{"rel": "next", "href": f"{self.endpoint(request.project_id)}/{key}/detail?{more}"}]
        return Answer(200, body)

    @route("GET", "/volumes/detail")
    def list_volumes(self, request: Request) -> Answer:
        return self._list("volume", "volumes", request)

    @route("GET", "/types")
    def list_types(self, request: Request) -> Answer:
        """``cloud.choices["volume_type"]``."""
        names = sorted(self.cloud.choices["volume_type"])
        plain: dict[str, Any] = {"description": None, "extra_specs": {}, "is_public": True}
        plain["os-volume-type-access:is_public"] = True
        found = [{"id": self.cloud.choice_id("volume_type", name), "name": name, **plain} for name in names]
        return Answer(200, {"volume_types": found})

    @route("GET", "/os-availability-zone")
    def list_zones(self, request: Request) -> Answer:
        """``cloud.choices["volume_zone"]``."""
        names = sorted(self.cloud.choices["volume_zone"])
        found = [{"zoneName": name, "zoneState": {"available": True}} for name in names]
        return Answer(200, {"availabilityZoneInfo": found})

    @route("GET", "/volumes/{id_}")
    def show(self, request: Request, id_: str) -> Answer:
        return Answer(200, {"volume": self._one("volume", request, id_)})

    @route("POST", "/volumes")
    def create(self, request: Request) -> Answer:
        """Empty, or from a snapshot, a volume or an image."""
        given = dict(request.body["volume"])
        known = self.cloud.choices
        if given.get("volume_type") and given["volume_type"] not in known["volume_type"]:
            raise Refusal(404, f"Volume type with name {given['volume_type']} could not be found.")
        if given.get("availability_zone") and given["availability_zone"] not in known["volume_zone"]:
            raise Refusal(400, f"Availability zone '{given['availability_zone']}' is invalid.")
        source = ""
        for kind, name in (("volume_snapshot", "snapshot_id"), ("volume", "source_volid")):
            if given.get(name):
                source = self._one(kind, request, given[name])["id"]
                given["size"] = given.get("size") or self.cloud.things[kind][source]["size"]
        if given.get("imageRef"):
            source = given["imageRef"]
            if source not in self.cloud.things["image"]:
                raise Refusal(400, f"Invalid image identifier or unable to access requested image. {source}")
        volume = self._new(request.project_id, given)
        self.cloud.contents[volume["id"]] = self.cloud.contents.get(source, b"")
        self.cloud.later(lambda: volume.update(status="available"))
        return Answer(202, {"volume": {name: value for name, value in volume.items() if name != _TENANT}})

    @route("PUT", "/volumes/{id_}")
    def update(self, request: Request, id_: str) -> Answer:
        """Name, description, metadata."""
        volume = self._one("volume", request, id_)
        volume.update({k: v for k, v in request.body["volume"].items() if k in ("name", "description", "metadata")})
        return Answer(200, {"volume": volume})

    @route("POST", "/volumes/{id_}/metadata")
    def add_metadata(self, request: Request, id_: str) -> Answer:
        """More of it; what is not named stays."""
        volume = self._one("volume", request, id_)
        volume["metadata"] = {**volume["metadata"], **request.body["metadata"]}
        return Answer(200, {"metadata": volume["metadata"]})

    @route("DELETE", "/volumes/{id_}")
    def delete(self, request: Request, id_: str) -> Answer:
        """Not while it is attached or has snapshots."""
        volume = self._one("volume", request, id_)
        snapshots = [one for one in self.cloud.things["volume_snapshot"].values() if one["volume_id"] == id_]
        if volume["status"] not in ("available", "error", "error_restoring") or snapshots:
            text = "Invalid volume: Volume status must be available or error or error_restoring or error_extending"
            raise Refusal(400, f"{text} or error_managing and must not be migrating, attached, belong to a group, have "
                               "snapshots, awaiting a transfer, or be disassociated from snapshots after volume "
                               "transfer.")  # fmt: skip
        volume["status"] = "deleting"
        self._drop_later("volume", id_)
        return Answer(202)

    @route("POST", "/volumes/{id_}/action")
    def act(self, request: Request, id_: str) -> Answer:
        """Set bootable, reset a state, upload to an image."""
        volume, (name, given) = self._one("volume", request, id_), next(iter(request.body.items()))
        if name == "os-set_bootable":
            volume["bootable"] = str(given["bootable"]).lower()
            return Answer(200)
        if name == "os-set_image_metadata":
            volume["volume_image_metadata"] = {**volume.get("volume_image_metadata", {}), **given["metadata"]}
            return Answer(200, {"metadata": volume["volume_image_metadata"]})
        if name == "os-volume_upload_image":
            images = self.cloud.images
            image = images.new(request.project_id, {"name": given["image_name"], "disk_format": "raw"})
            data = self.cloud.contents.get(id_, b"")
            self.cloud.later(lambda: images.fill(image, data))
            return Answer(202, {"os-volume_upload_image": {"id": id_, "image_id": image["id"], "status": "uploading"}})
        raise Refusal(400, f"There is no such action: {name}")

    @route("GET", "/snapshots/detail")
    def list_snapshots(self, request: Request) -> Answer:
        return self._list("volume_snapshot", "snapshots", request)

    @route("GET", "/snapshots/{id_}")
    def show_snapshot(self, request: Request, id_: str) -> Answer:
        return Answer(200, {"snapshot": _shown(self._one("volume_snapshot", request, id_))})

    @route("POST", "/snapshots")
    def create_snapshot(self, request: Request) -> Answer:
        """Of a volume in use only with ``force``."""
        given = request.body["snapshot"]
        volume = self._one("volume", request, given["volume_id"])
        self._need("volume_snapshot", request.project_id)
        if volume["status"] != "available" and not (volume["status"] == "in-use" and given.get("force")):
            raise Refusal(400, f"Invalid volume: Volume {volume['id']} status must be available, but current status is:"
                               f" {volume['status']}.")  # fmt: skip
        id_, now = self.cloud.new_id(), self.cloud.now()
        snapshot = {
            "id": id_, "created_at": now, "updated_at": None, "name": given.get("name"),
            "description": given.get("description"), "volume_id": volume["id"], "status": "creating",
            "size": volume["size"], "metadata": dict(given.get("metadata") or {}), "group_snapshot_id": None,
            "user_id": USER, _SNAPSHOT_TENANT: request.project_id,
            "os-extended-snapshot-attributes:progress": "0%", "_project": request.project_id,
        }  # fmt: skip
        self.cloud.things["volume_snapshot"][id_] = snapshot
        self.cloud.contents[id_] = self.cloud.contents.get(volume["id"], b"")
        done = {"status": "available", "updated_at": now, "os-extended-snapshot-attributes:progress": "100%"}
        self.cloud.later(lambda: snapshot.update(done))
        plain = {name: value for name, value in _shown(snapshot).items() if not name.startswith("os-extended")}
        return Answer(202, {"snapshot": plain})

    @route("DELETE", "/snapshots/{id_}")
    def delete_snapshot(self, request: Request, id_: str) -> Answer:
        self._one("volume_snapshot", request, id_)["status"] = "deleting"
        self._drop_later("volume_snapshot", id_)
        return Answer(202)

    @route("GET", "/backups/detail")
    def list_backups(self, request: Request) -> Answer:
        return self._list("backup", "backups", request)

    @route("GET", "/backups/{id_}")
    def show_backup(self, request: Request, id_: str) -> Answer:
        return Answer(200, {"backup": _shown(self._one("backup", request, id_))})

    @route("POST", "/backups")
    def create_backup(self, request: Request) -> Answer:
        """Of a volume in use only with ``force``; an increment needs an earlier backup."""
        given = request.body["backup"]
        volume = self._one("volume", request, given["volume_id"])
        self._need("backup", request.project_id)
        earlier = [one for one in self.cloud.of_project("backup", request.project_id)
                   if one["volume_id"] == volume["id"] and one["status"] == "available"]  # fmt: skip
        if given.get("incremental") and not earlier:
            raise Refusal(400, "Invalid backup: No backups available to do an incremental backup.")
        was = volume["status"]
        if not given.get("snapshot_id"):
            if was != "available" and not (was == "in-use" and given.get("force")):
                raise Refusal(400, f'Invalid volume: Volume to be backed up must be available or in-use, but the '
                                   f'current status is "{was}".')  # fmt: skip
            volume["status"] = "backing-up"
        id_, now = self.cloud.new_id(), self.cloud.now()
        backup = {
            "id": id_, "status": "creating", "size": volume["size"], "object_count": 0, "availability_zone": None,
            "container": given.get("container"), "created_at": now, "updated_at": now, "name": given.get("name"),
            "description": given.get("description"), "fail_reason": None, "volume_id": volume["id"],
            "links": self._links("backups", request.project_id, id_), "snapshot_id": given.get("snapshot_id"),
            "is_incremental": bool(given.get("incremental")), "has_dependent_backups": False, "data_timestamp": now,
            "metadata": dict(given.get("metadata") or {}), "_project": request.project_id,
            "_metadata": dict(volume["metadata"]),
            "_parent": max(earlier, key=lambda one: one["created_at"])["id"] if given.get("incremental") else "",
        }  # fmt: skip
        self.cloud.things["backup"][id_] = backup
        self.cloud.contents[id_] = self.cloud.contents.get(given.get("snapshot_id") or volume["id"], b"")
        if backup["_parent"]:
            self.cloud.things["backup"][backup["_parent"]]["has_dependent_backups"] = True

        def end() -> None:
            backup.update(status="available", object_count=1, container=backup["container"] or "volumebackups")
            if not given.get("snapshot_id"):
                volume["status"] = was

        self.cloud.later(end)
        return Answer(202, {"backup": {name: backup[name] for name in ("id", "name", "links")}})

    @route("PUT", "/backups/{id_}")
    def update_backup(self, request: Request, id_: str) -> Answer:
        """Its name, description and metadata, each as a whole."""
        backup = self._one("backup", request, id_)
        backup.update(request.body["backup"])
        return Answer(200, {"backup": {name: backup[name] for name in ("id", "name", "links")}})

    @route("POST", "/backups/{id_}/restore")
    def restore(self, request: Request, id_: str) -> Answer:
        """Over a volume, or into a new one."""
        backup, given = self._one("backup", request, id_), request.body["restore"]
        if given.get("volume_id"):
            volume = self._one("volume", request, given["volume_id"])
            if volume["status"] != "available":
                raise Refusal(400, "Invalid volume: Volume to be restored to must be available")
        else:
            text = "auto-created_from_restore_from_backup"
            volume = self._new(
                request.project_id, {"name": given.get("name"), "size": backup["size"], "description": text}
            )
        volume["status"], backup["status"] = "restoring-backup", "restoring"

        def end() -> None:
            self.cloud.contents[volume["id"]] = self.cloud.contents[id_]
            volume["status"] = backup["status"] = "available"
            volume["metadata"] = {**backup["_metadata"], "src_backup_id": id_}  # whatever it had before

        self.cloud.later(end)
        found = {"backup_id": id_, "volume_id": volume["id"], "volume_name": volume["name"]}
        return Answer(202, {"restore": found})

    @route("DELETE", "/backups/{id_}")
    def delete_backup(self, request: Request, id_: str) -> Answer:
        """Not while increments stand on it."""
        backup = self._one("backup", request, id_)
        if any(one["_parent"] == id_ for one in self.cloud.things["backup"].values()):
            raise Refusal(400, "Invalid backup: Incremental backups exist for this backup.")
        backup["status"] = "deleting"
        self._drop_later("backup", id_)
        return Answer(202)

    @route("GET", "/limits")
    def limits(self, request: Request) -> Answer:
        """What the project may have, and has."""
        quotas, project = self.cloud.quotas, request.project_id
        have = {kind: self.cloud.of_project(kind, project) for kind in ("volume", "volume_snapshot", "backup")}
        return Answer(200, {"limits": {"rate": [], "absolute": {
            "maxTotalVolumes": quotas.get("volume", -1), "maxTotalSnapshots": quotas.get("volume_snapshot", -1),
            "maxTotalVolumeGigabytes": quotas.get("gigabytes", -1), "maxTotalBackups": quotas.get("backup", -1),
            "maxTotalBackupGigabytes": -1, "totalVolumesUsed": len(have["volume"]),
            "totalGigabytesUsed": sum(one["size"] for one in (*have["volume"], *have["volume_snapshot"])),
            "totalSnapshotsUsed": len(have["volume_snapshot"]), "totalBackupsUsed": len(have["backup"]),
            "totalBackupGigabytesUsed": sum(one["size"] for one in have["backup"]),
        }}})  # fmt: skip

    @route("GET", "/os-quota-sets/{id_}")
    def quota_set(self, request: Request, id_: str) -> Answer:
        """As ``usage=True`` tells it: of the project, and of the volume type."""
        if id_ != request.project_id:
            raise Refusal(403, "Policy doesn't allow volume_extension:quotas:show to be performed.")
        volumes, snapshots, backups = (
            self.cloud.of_project(kind, id_) for kind in ("volume", "volume_snapshot", "backup")
        )
        used = {
            "volumes": ("volume", len(volumes)), "snapshots": ("volume_snapshot", len(snapshots)),
            "gigabytes": ("gigabytes", sum(one["size"] for one in (*volumes, *snapshots))),
            "backups": ("backup", len(backups)),
            "backup_gigabytes": ("backup_gigabytes", sum(one["size"] for one in backups)),
            "per_volume_gigabytes": ("", 0), "groups": ("", 0),
        }  # fmt: skip
        for name in ("volumes", "snapshots", "gigabytes"):  # there is one volume type
            used[f"{name}_rbd"] = (f"{name}_rbd", used[name][1])
        told: dict[str, Any] = {
            name: {"limit": self.cloud.quotas.get(kind, -1), "in_use": amount, "reserved": 0}
            for name, (kind, amount) in used.items()
        }
        return Answer(200, {"quota_set": {"id": id_, **told}})

    def _drop_later(self, kind: str, id_: str) -> None:
        def drop() -> None:
            gone = self.cloud.things[kind].pop(id_, {})
            self.cloud.contents.pop(id_, None)
            parent = gone.get("_parent")
            if parent and not any(one["_parent"] == parent for one in self.cloud.things[kind].values()):
                self.cloud.things[kind][parent]["has_dependent_backups"] = False

        self.cloud.later(drop)


def _shown(thing: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in thing.items() if not name.startswith("_")}
