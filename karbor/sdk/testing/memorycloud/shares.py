# SPDX-License-Identifier: Apache-2.0
"""Manila in memory: shares, their snapshots, and who may use them."""

from typing import Any

from karbor.sdk.testing.memorycloud.identity import USER
from karbor.sdk.testing.memorycloud.wire import HOST, Answer, Refusal, Request, Service, route


class Shares(Service):
    """Shares and their snapshots. The rules of a share are its ``_rules``."""

    type = "shared-file-system"
    version = "v2"
    microversions = ("2.0", "2.75")
    in_project = True

    def add(self, project: str, name: str, **more: Any) -> dict[str, Any]:
        """A share that is there."""
        share = self._new_share(self.cloud.project(project), {"name": name, "size": 1, **more})
        share["status"] = more.get("status", "available")
        return share

    def _common(self, kind: str, project_id: str, given: dict[str, Any]) -> dict[str, Any]:
        id_ = self.cloud.new_id()
        path = f"{kind.rpartition('_')[2]}s/{id_}"
        links = [
            {"rel": "self", "href": f"{self.endpoint(project_id)}/{path}"},
            {"rel": "bookmark", "href": f"{HOST}/{self.type}/{project_id}/{path}"},
        ]
        thing = {
            "id": id_, "name": given.get("name"), "description": given.get("description"), "status": "creating",
            "size": int(given["size"]), "project_id": project_id, "user_id": USER, "links": links,
            "created_at": self.cloud.now().replace("Z", ""),
        }  # fmt: skip
        self.cloud.things[kind][id_] = thing
        return thing

    def _new_share(self, project_id: str, given: dict[str, Any]) -> dict[str, Any]:
        share = self._common("share", project_id, given)
        type_ = given.get("share_type_name") or given.get("share_type") or "default"
        self.cloud.choices["share_type"].add(type_)
        share.update({
            "share_proto": given.get("share_proto") or "NFS", "availability_zone": None,
            "metadata": dict(given.get("metadata") or {}), "snapshot_id": given.get("snapshot_id"),
            "share_network_id": given.get("share_network_id"), "is_public": bool(given.get("is_public")),
            "share_type": self.cloud.choice_id("share_type", type_), "share_type_name": type_, "volume_type": type_,
            "snapshot_support": True, "create_share_from_snapshot_support": True, "revert_to_snapshot_support": False,
            "mount_snapshot_support": False, "has_replicas": False, "replication_type": None, "task_state": None,
            "access_rules_status": "active", "share_group_id": None, "source_share_group_snapshot_member_id": None,
            "_rules": [self._new_rule(one) for one in given.get("_rules") or ()],
        })  # fmt: skip
        return share

    def _new_rule(self, given: dict[str, Any]) -> dict[str, Any]:
        """In force as soon as it is there."""
        key = "secret" if given["access_type"] == "cephx" else None
        now = self.cloud.now().replace("Z", "")
        return {
            "id": self.cloud.new_id(), "access_level": "rw", **given, "state": "active", "access_key": key,
            "created_at": now, "updated_at": now, "metadata": {},
        }  # fmt: skip

    def _one(self, kind: str, request: Request, id_: str) -> dict[str, Any]:
        thing = self.cloud.things[kind].get(id_)
        if thing is None or thing["project_id"] != request.project_id:
            raise Refusal(404, "The resource could not be found.")
        return thing

    def _page(self, kind: str, request: Request, **key: str) -> Answer:
        """By offset, as Manila pages; a full page has a next one."""
        start, limit = int(request.query.get("offset") or 0), int(request.query.get("limit") or self.page_limit)
        items = self.cloud.of_project(kind, request.project_id)
        items = [one for one in items if all(one[n] == request.query[n] for n in key if n in request.query)]
        page = [_shown(one) for one in items[start : start + min(limit, self.page_limit)]]
        body: dict[str, Any] = {f"{kind.rpartition('_')[2]}s": page}
        if page and len(page) == limit:
            href = f"{self.endpoint(request.project_id)}/{kind}s?limit={limit}&marker={page[-1]['id']}"
            body[f"{kind}s_links"] = [{"rel": "next", "href": href}]
        return Answer(200, body)

    @route("GET", "/shares/detail")
    def list_shares(self, request: Request) -> Answer:
        """Those of the project."""
        return self._page("share", request)

    @route("GET", "/types")
    def list_types(self, request: Request) -> Answer:
        """``cloud.choices["share_type"]``; under their old name as well."""
        names = sorted(self.cloud.choices["share_type"])
        plain: dict[str, Any] = {"description": None, "extra_specs": {}, "required_extra_specs": {}}
        plain["share_type_access:is_public"] = True
        found = [{"id": self.cloud.choice_id("share_type", name), "name": name, **plain} for name in names]
        return Answer(200, {"share_types": found, "volume_types": found})

    @route("GET", "/shares/{id_}")
    def show(self, request: Request, id_: str) -> Answer:
        return Answer(200, {"share": _shown(self._one("share", request, id_))})

    @route("POST", "/shares")
    def create(self, request: Request) -> Answer:
        """Also from a snapshot, whose share gives it type and network."""
        given = dict(request.body["share"])
        if given.get("snapshot_id"):
            snapshot = self._one("share_snapshot", request, given["snapshot_id"])
            given = self._as_source(given, snapshot)
        share = self._new_share(request.project_id, given)
        self.cloud.later(lambda: share.update(status="available", availability_zone="nova"))
        return Answer(200, {"share": _shown(share)})

    def _as_source(self, given: dict[str, Any], snapshot: dict[str, Any]) -> dict[str, Any]:
        source = self.cloud.things["share"][snapshot["share_id"]]
        if not source["create_share_from_snapshot_support"]:
            text = f"A new share may not be created from snapshot '{snapshot['id']}', because the snapshot's parent"
            raise Refusal(400, f"{text} share does not have that capability.")
        if given.get("share_type") not in (None, source["share_type_name"], source["share_type"]):
            raise Refusal(400, "Invalid input received: The specified share type differs from the source's.")
        if given.get("share_network_id") not in (None, source["share_network_id"]):
            raise Refusal(400, "Share network ID should be the same as snapshot's parent share's or empty.")
        if int(given.get("size") or 0) < snapshot["size"]:
            raise Refusal(400, f"Share size '{given.get('size')}' must be equal or greater than snapshot size")
        return {**given, "share_type": source["share_type_name"], "share_network_id": source["share_network_id"]}

    @route("DELETE", "/shares/{id_}")
    def delete(self, request: Request, id_: str) -> Answer:
        """Not while it has snapshots."""
        share = self._one("share", request, id_)
        if any(one["share_id"] == id_ for one in self.cloud.things["share_snapshot"].values()):
            raise Refusal(403, "Invalid share: %(reason)s.")  # Manila loses its own reason
        share["status"] = "deleting"
        self.cloud.later(lambda: self.cloud.things["share"].pop(id_, None))
        return Answer(202)

    @route("POST", "/shares/{id_}/action")
    def act(self, request: Request, id_: str) -> Answer:
        """Let somebody use it, which each can be once; a while later that is in force."""
        share, (name, given) = self._one("share", request, id_), next(iter(request.body.items()))
        if name != "allow_access" or share["status"] != "available":
            raise Refusal(400, f"{name} is not possible now.")
        if any(one["access_to"] == given["access_to"] for one in share["_rules"]):
            raise Refusal(400, f"Share access {given['access_type']}:{given['access_to']} exists.")
        rule = self._new_rule(given)
        first = {**rule, "share_id": id_, "state": "queued_to_apply", "access_key": None, "updated_at": None}
        share["_rules"].append(rule)
        return Answer(200, {"access": first})

    @route("GET", "/share-access-rules")
    def list_rules(self, request: Request) -> Answer:
        """Of one share: who may use it."""
        return Answer(200, {"access_list": self._one("share", request, request.query["share_id"])["_rules"]})

    @route("GET", "/snapshots/detail")
    def list_snapshots(self, request: Request) -> Answer:
        """Those of the project, or of one share."""
        return self._page("share_snapshot", request, share_id="")

    @route("GET", "/snapshots/{id_}")
    def show_snapshot(self, request: Request, id_: str) -> Answer:
        return Answer(200, {"snapshot": self._one("share_snapshot", request, id_)})

    @route("POST", "/snapshots")
    def create_snapshot(self, request: Request) -> Answer:
        """Of a share that is there, and of a type that has snapshots."""
        given = dict(request.body["snapshot"])
        share = self._one("share", request, given["share_id"])
        if not share["snapshot_support"]:
            raise Refusal(422, f"Snapshots cannot be created for share '{share['id']}' since it does not have that "
                               "capability.")  # fmt: skip
        snapshot = self._common("share_snapshot", request.project_id, {**given, "size": share["size"]})
        snapshot.update(share_id=share["id"], share_size=share["size"], share_proto=share["share_proto"])
        self.cloud.later(lambda: snapshot.update(status="available"))
        return Answer(202, {"snapshot": snapshot})

    @route("DELETE", "/snapshots/{id_}")
    def delete_snapshot(self, request: Request, id_: str) -> Answer:
        """Once: one that is being made or removed is refused."""
        snapshot = self._one("share_snapshot", request, id_)
        if snapshot["status"] not in ("available", "error"):
            raise Refusal(400, "Invalid share snapshot: Share Snapshot status must be one of ('available', 'error').")
        snapshot["status"] = "deleting"
        self.cloud.later(lambda: self.cloud.things["share_snapshot"].pop(id_, None))
        return Answer(202)

    @route("GET", "/quota-sets/{id_}/detail")
    def quota_set(self, request: Request, id_: str) -> Answer:
        """What the project may have, and has; -1 is no limit."""
        shares, snapshots = (self.cloud.of_project(kind, request.project_id) for kind in ("share", "share_snapshot"))
        used = {
            "shares": len(shares), "gigabytes": sum(one["size"] for one in shares), "snapshots": len(snapshots),
            "snapshot_gigabytes": sum(one["size"] for one in snapshots), "share_networks": 0, "share_groups": 0,
            "share_group_snapshots": 0,
        }  # fmt: skip
        told: dict[str, Any] = {
            kind: {"limit": self.cloud.quotas.get(f"share {kind}", -1), "in_use": amount, "reserved": 0}
            for kind, amount in used.items()
        }
        return Answer(200, {"quota_set": {"id": id_, **told}})


def _shown(thing: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in thing.items() if not name.startswith("_")}
