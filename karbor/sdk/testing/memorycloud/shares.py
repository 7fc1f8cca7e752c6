# SPDX-License-Identifier: Apache-2.0
"""Manila in memory, after its API reference: there was no real one to compare it with."""

from typing import Any

from karbor.sdk.testing.memorycloud.wire import Answer, Refusal, Request, Service, route


class Shares(Service):
    """Shares and their snapshots."""

    type = "shared-file-system"
    version = "v2"
    microversions = ("2.0", "2.75")

    def add(self, project: str, name: str, **more: Any) -> dict[str, Any]:
        """A share that is there."""
        found = {"name": name, "status": "available", "size": 1, **more}
        share = self._new("share", self.cloud.project(project), found)
        self.cloud.choices["share_type"].add(share["share_type_name"])
        return share

    def _new(self, kind: str, project_id: str, given: dict[str, Any]) -> dict[str, Any]:
        id_ = self.cloud.new_id()
        thing = {"id": id_, "project_id": project_id, "created_at": self.cloud.now(), "metadata": {}, **given}
        if kind == "share":
            thing = {"share_proto": "NFS", "availability_zone": "nova", "share_type_name": "default", **thing}
        self.cloud.things[kind][id_] = thing
        return thing

    def _one(self, kind: str, request: Request, id_: str) -> dict[str, Any]:
        thing = self.cloud.things[kind].get(id_)
        if thing is None or thing["project_id"] != request.project_id:
            raise Refusal(404, f"Share {id_} could not be found.")
        return thing

    def _page(self, kind: str, request: Request) -> list[dict[str, Any]]:
        start, limit = int(request.query.get("offset") or 0), int(request.query.get("limit") or self.page_limit)
        return self.cloud.of_project(kind, request.project_id)[start : start + min(limit, self.page_limit)]

    @route("GET", "/shares/detail")
    def list_shares(self, request: Request) -> Answer:
        """By offset: Manila knows no markers."""
        return Answer(200, {"shares": self._page("share", request)})

    @route("GET", "/types")
    def list_types(self, request: Request) -> Answer:
        """``cloud.choices["share_type"]``."""
        names = sorted(self.cloud.choices["share_type"])
        found = [{"id": self.cloud.choice_id("share_type", name), "name": name} for name in names]
        return Answer(200, {"share_types": found})

    @route("GET", "/shares/{id_}")
    def show(self, request: Request, id_: str) -> Answer:
        return Answer(200, {"share": self._one("share", request, id_)})

    @route("POST", "/shares")
    def create(self, request: Request) -> Answer:
        """Also from a snapshot."""
        share = self._new("share", request.project_id, {**request.body["share"], "status": "creating"})
        self.cloud.later(lambda: share.update(status="available"))
        return Answer(200, {"share": share})

    @route("DELETE", "/shares/{id_}")
    def delete(self, request: Request, id_: str) -> Answer:
        if any(one["share_id"] == id_ for one in self.cloud.things["share_snapshot"].values()):
            raise Refusal(409, f"Share {id_} has snapshots.")
        self._one("share", request, id_)["status"] = "deleting"
        self.cloud.later(lambda: self.cloud.things["share"].pop(id_, None))
        return Answer(202)

    @route("POST", "/shares/{id_}/action")
    def act(self, request: Request, id_: str) -> Answer:
        """Let somebody use it, which each can be once."""
        share, (name, given) = self._one("share", request, id_), next(iter(request.body.items()))
        rules = share.setdefault("_rules", [])
        if name != "allow_access" or share["status"] != "available":
            raise Refusal(400, f"{name} is not possible now.")
        if any(one["access_to"] == given["access_to"] for one in rules):
            raise Refusal(400, "Share access already exists.")
        rules.append({"id": self.cloud.new_id(), "state": "active", **given})
        return Answer(200, {"access": rules[-1]})

    @route("GET", "/share-access-rules")
    def list_rules(self, request: Request) -> Answer:
        """Of one share: who may use it."""
        rules = self._one("share", request, request.query["share_id"]).get("_rules", [])
        return Answer(200, {"access_list": rules})

    @route("GET", "/snapshots/detail")
    def list_snapshots(self, request: Request) -> Answer:
        """By offset."""
        return Answer(200, {"snapshots": self._page("share_snapshot", request)})

    @route("GET", "/snapshots/{id_}")
    def show_snapshot(self, request: Request, id_: str) -> Answer:
        return Answer(200, {"snapshot": self._one("share_snapshot", request, id_)})

    @route("POST", "/snapshots")
    def create_snapshot(self, request: Request) -> Answer:
        """Of a share that is there."""
        given = dict(request.body["snapshot"])
        share = self._one("share", request, given["share_id"])
        given.update(share_size=share["size"], size=share["size"], share_proto=share["share_proto"], status="creating")
        snapshot = self._new("share_snapshot", request.project_id, given)
        self.cloud.later(lambda: snapshot.update(status="available"))
        return Answer(202, {"snapshot": snapshot})

    @route("DELETE", "/snapshots/{id_}")
    def delete_snapshot(self, request: Request, id_: str) -> Answer:
        self._one("share_snapshot", request, id_)["status"] = "deleting"
        self.cloud.later(lambda: self.cloud.things["share_snapshot"].pop(id_, None))
        return Answer(202)

    @route("GET", "/quota-sets/{id_}/detail")
    def quota_set(self, request: Request, id_: str) -> Answer:
        """What the project may have, and has; -1 is no limit."""
        shares, snapshots = (self.cloud.of_project(kind, request.project_id) for kind in ("share", "share_snapshot"))
        used = {
            "shares": len(shares), "gigabytes": sum(one["size"] for one in shares), "snapshots": len(snapshots),
            "snapshot_gigabytes": sum(one["size"] for one in snapshots), "share_networks": 0,
        }  # fmt: skip
        told: dict[str, Any] = {
            kind: {"limit": self.cloud.quotas.get(f"share {kind}", -1), "in_use": amount, "reserved": 0}
            for kind, amount in used.items()
        }
        return Answer(200, {"quota_set": {"id": id_, **told}})
