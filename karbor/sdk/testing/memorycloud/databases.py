# SPDX-License-Identifier: Apache-2.0
"""Trove in memory, after its API reference: there was no real one to compare it with."""

from typing import Any

from karbor.sdk.testing.memorycloud.wire import Answer, Refusal, Request, Service, route


class Databases(Service):
    """Instances and their backups."""

    type = "database"
    version = "v1.0"
    in_project = True
    page_limit = 20

    def add(self, project: str, name: str, **more: Any) -> dict[str, Any]:
        """An instance that is there."""
        return self._new("instance", self.cloud.project(project), {"name": name, "status": "ACTIVE", **more})

    def _new(self, kind: str, project_id: str, given: dict[str, Any]) -> dict[str, Any]:
        id_, now = self.cloud.new_id(), self.cloud.now()[:19]
        thing = {"id": id_, "_project": project_id, "created": now, "updated": now, **given}
        if kind == "instance":
            more = {"datastore": {"type": "mysql", "version": "8.0"}, "flavor": {"id": "1"}, "volume": {"size": 1}}
            thing = {**more, "region": "RegionOne", **thing}
        self.cloud.things[kind][id_] = thing
        return thing

    def _one(self, kind: str, request: Request, id_: str) -> dict[str, Any]:
        thing = self.cloud.things[kind].get(id_)
        if thing is None or thing["_project"] != request.project_id:
            raise Refusal(404, "Resource cannot be found.")
        return thing

    def _list(self, kind: str, key: str, request: Request) -> Answer:
        """Behind the marker, in order of id, whether or not there is such a one."""
        marker, limit = request.query.get("marker", ""), min(int(request.query.get("limit") or 20), self.page_limit)
        items = [one for one in self.cloud.of_project(kind, request.project_id) if one["id"] > marker]
        body: dict[str, Any] = {key: [_shown(one) for one in items[:limit]]}
        if len(items) > limit:
            href = f"{self.endpoint(request.project_id)}/{key}?marker={items[limit - 1]['id']}"
            body["links"] = [{"rel": "next", "href": href}]
        return Answer(200, body)

    @route("GET", "/instances")
    def list_instances(self, request: Request) -> Answer:
        return self._list("instance", "instances", request)

    @route("GET", "/instances/{id_}")
    def show(self, request: Request, id_: str) -> Answer:
        return Answer(200, {"instance": _shown(self._one("instance", request, id_))})

    @route("POST", "/instances")
    def create(self, request: Request) -> Answer:
        """Also from a backup."""
        instance = self._new("instance", request.project_id, {**request.body["instance"], "status": "BUILD"})
        self.cloud.later(lambda: instance.update(status="ACTIVE"))
        return Answer(200, {"instance": _shown(instance)})

    @route("DELETE", "/instances/{id_}")
    def delete(self, request: Request, id_: str) -> Answer:
        self._one("instance", request, id_)["status"] = "SHUTDOWN"
        self.cloud.later(lambda: self.cloud.things["instance"].pop(id_, None))
        return Answer(202)

    @route("GET", "/backups")
    def list_backups(self, request: Request) -> Answer:
        return self._list("database_backup", "backups", request)

    @route("GET", "/backups/{id_}")
    def show_backup(self, request: Request, id_: str) -> Answer:
        return Answer(200, {"backup": _shown(self._one("database_backup", request, id_))})

    @route("POST", "/backups")
    def create_backup(self, request: Request) -> Answer:
        """Of an instance that is there; ``parent_id`` makes it an increment."""
        given = dict(request.body["backup"])
        given["instance_id"] = given.pop("instance", given.get("instance_id"))
        self._one("instance", request, given["instance_id"])
        backup = self._new("database_backup", request.project_id, {**given, "status": "NEW", "size": None})
        self.cloud.later(lambda: backup.update(status="COMPLETED", size=0.1))
        return Answer(202, {"backup": _shown(backup)})

    @route("DELETE", "/backups/{id_}")
    def delete_backup(self, request: Request, id_: str) -> Answer:
        self._one("database_backup", request, id_)
        self.cloud.things["database_backup"].pop(id_)
        return Answer(202)


def _shown(thing: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in thing.items() if not name.startswith("_")}
