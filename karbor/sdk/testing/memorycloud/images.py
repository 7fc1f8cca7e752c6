# SPDX-License-Identifier: Apache-2.0
"""Glance in memory."""

import hashlib
import re
from typing import Any

from karbor.sdk.testing.memorycloud.wire import HOST, Answer, Refusal, Request, Service, route


class Images(Service):
    """Images and their data."""

    type = "image"
    version = "v2"

    def endpoint(self, project_id: str) -> str:
        """Without a version, as Glance is mostly found in a catalog."""
        return f"{HOST}/{self.type}"

    def fault(self, refusal: Refusal) -> Answer:
        """As Glance writes it: a page for people."""
        title = f"{refusal.status} Not Found" if refusal.status == 404 else f"{refusal.status} Bad Request"
        page = f"<html>\n <head>\n  <title>{title}</title>\n </head>\n <body>\n  <h1>{title}</h1>\n  {refusal.text}"
        page += "<br /><br />\n\n\n\n </body>\n</html>"
        return Answer(refusal.status, page.encode(), {"Content-Type": "text/html; charset=UTF-8"})

    def add(self, project: str, name: str, data: bytes = b"", **more: Any) -> dict[str, Any]:
        """An image that is there."""
        image = self.new(self.cloud.project(project), {"name": name, "disk_format": "raw", **more})
        self.fill(image, data)
        return image

    def new(self, project_id: str, given: dict[str, Any]) -> dict[str, Any]:
        """An image without data."""
        id_, now = self.cloud.new_id(), self.cloud.now()[:19] + "Z"
        image: dict[str, Any] = {
            "name": None, "disk_format": None, "container_format": "bare", "visibility": "shared", "size": None,
            "virtual_size": None, "status": "queued", "checksum": None, "protected": False, "min_ram": 0,
            "min_disk": 0, "owner": project_id, "os_hidden": False, "os_hash_algo": None, "os_hash_value": None,
            "created_at": now, "updated_at": now, "tags": [], **given, "id": id_, "self": f"/v2/images/{id_}",
            "file": f"/v2/images/{id_}/file", "schema": "/v2/schemas/image",
        }  # fmt: skip
        self.cloud.things["image"][id_] = image
        return image

    def fill(self, image: dict[str, Any], data: bytes) -> None:
        """Give it its data."""
        self.cloud.contents[image["id"]] = data
        image.update(
            size=len(data),
            virtual_size=len(data),
            status="active",
            checksum=hashlib.md5(data, usedforsecurity=False).hexdigest(),
            os_hash_algo="sha512",
            os_hash_value=hashlib.sha512(data).hexdigest(),
        )

    def _one(self, request: Request, id_: str) -> dict[str, Any]:
        image = self.cloud.things["image"].get(id_)
        if image is None or (image["owner"] != request.project_id and image["visibility"] != "public"):
            raise Refusal(404, f"No image found with ID {id_}")
        return image

    @route("GET", "/images")
    def list_images(self, request: Request) -> Answer:
        """Own and public ones; ``id`` and ``name`` may be ``in:a,b``."""
        query, shown = request.query, []
        for image in self.cloud.things["image"].values():
            visible = image["owner"] == request.project_id or image["visibility"] == "public"
            tagged = query.get("tag") is None or query["tag"] in image["tags"]
            if (
                visible
                and tagged
                and all(_fits(image[name], query.get(name)) for name in ("id", "name", "owner", "status"))
            ):
                shown.append(image)
        if query.get("sort_key") == "id":
            shown.sort(key=lambda image: str(image["id"]))
        page, more = self.page(request, shown, unknown_marker=lambda id_: Refusal(400, f"No image found with ID {id_}"))
        body: dict[str, Any] = {"images": page, "first": "/v2/images", "schema": "/v2/schemas/images"}
        if more:
            body["next"] = f"/v2/images?{more}"
        return Answer(200, body)

    @route("GET", "/info/usage")
    def usage(self, request: Request) -> Answer:
        """What the project may have, and has; sizes are in MiB. Nothing where nobody set a limit, as Glance is."""
        own = self.cloud.of_project("image", request.project_id)
        size = sum(one["size"] or 0 for one in own) >> 20
        used = {"image_count_total": len(own), "image_size_total": size, "image_stage_total": 0,
                "image_count_uploading": 0}  # fmt: skip
        limits = {kind: limit for kind, limit in self.cloud.quotas.items() if kind in used}
        told = {kind: {"limit": limits.get(kind, -1), "usage": used[kind]} for kind in (used if limits else ())}
        return Answer(200, {"usage": told})

    @route("GET", "/images/{id_}")
    def show(self, request: Request, id_: str) -> Answer:
        return Answer(200, self._one(request, id_))

    @route("POST", "/images")
    def create(self, request: Request) -> Answer:
        """Without data yet."""
        return Answer(201, self.new(request.project_id, dict(request.body)))

    @route("PUT", "/images/{id_}/file")
    def upload(self, request: Request, id_: str) -> Answer:
        """Only once."""
        image = self._one(request, id_)
        if image["status"] != "queued":
            raise Refusal(409, "Image status transition from active to saving is not allowed")
        self.fill(image, bytes(request.body or b""))
        return Answer(204)

    @route("GET", "/images/{id_}/file")
    def download(self, request: Request, id_: str) -> Answer:
        """204 where there is no data, 206 for a part of it."""
        image = self._one(request, id_)
        if image["status"] != "active":
            return Answer(204)
        part = re.fullmatch(r"bytes=(\d+)-(\d+)", request.headers.get("Range", ""))
        if part:
            return Answer(206, self.cloud.contents[id_][int(part[1]) : int(part[2]) + 1])
        return Answer(200, self.cloud.contents[id_], {"Content-MD5": image["checksum"]})

    @route("PATCH", "/images/{id_}")
    def update(self, request: Request, id_: str) -> Answer:
        """A JSON patch of plain properties."""
        image = self._one(request, id_)
        for change in request.body:
            name = change["path"].removeprefix("/")
            if change["op"] == "remove":
                image.pop(name, None)
            else:
                image[name] = change["value"]
        return Answer(200, image)

    @route("DELETE", "/images/{id_}")
    def delete(self, request: Request, id_: str) -> Answer:
        if self._one(request, id_)["owner"] != request.project_id:
            raise Refusal(403, "You are not permitted to delete this image.")
        del self.cloud.things["image"][id_]
        self.cloud.contents.pop(id_, None)
        return Answer(204)


def _fits(value: Any, wanted: str | None) -> bool:
    if wanted is None:
        return True
    return str(value) in wanted[3:].split(",") if wanted.startswith("in:") else str(value) == wanted
