# SPDX-License-Identifier: Apache-2.0
"""How does the data of an image get into the vault, and out of it into a new image?

An image of Glance never changes once it is active, so it can be read anywhere and in any order, by ranges.
"""

import collections
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from karbor.model import errors
from karbor.plugins.resources.cinder import PASSING, PURPOSE, Item
from karbor.sdk.protection import Work
from karbor.sdk.streams import Extent, Kind, StreamReader

_SECONDS = 12 * 3600.0  # longest wait for an image that something else fills
_PIECE = 4 << 20
#: Properties that Glance gives itself, or that say what the data is and not how it is used.
_NOT_KEPT = frozenset([
    "id", "self", "file", "schema", "created_at", "updated_at", "status", "checksum", "os_hash_algo",
    "os_hash_value", "size", "virtual_size", "owner", "direct_url", "locations", "stores", "visibility", "tags",
    "name", "disk_format", "container_format", "min_disk", "min_ram", "protected", "os_hidden",
    "owner_specified.openstack.md5", "owner_specified.openstack.sha256", "owner_specified.openstack.object",
    "base_image_ref", "boot_roles", "owner_id", "owner_project_name", "owner_user_name", "user_id",
    "image_type", "instance_uuid", "image_location", "image_state",
])  # fmt: skip


class ImageSource:
    """The data of an active image as a stream. Used by several threads. ``known``: it is that of the base."""

    def __init__(self, work: Work, image: Item, *, known: bool = False) -> None:
        self.size = int(image["size"] or 0)
        self._kind = Kind.SAME if known else Kind.DATA
        self._api = work.cloud.image
        self._path = f"/images/{image['id']}/file"

    def extents(self) -> Iterable[Extent]:
        """All of it; Glance does not tell where holes are."""
        return [Extent(0, self.size, self._kind)] if self.size else []

    def read(self, offset: int, length: int) -> bytes:
        """Exactly ``length`` bytes. Raises CaptureLost where the image is gone, NotSupported where the store of the
        cloud cannot give a part of an image."""
        try:
            answer = self._api.get(self._path, headers={"Range": f"bytes={offset}-{offset + length - 1}"})
        except errors.NotFound as gone:
            raise errors.CaptureLost("The image was removed while it was read.", detail=str(gone)) from gone
        data: bytes = answer.content
        if answer.status_code != 206 and len(data) != self.size:
            raise errors.NotSupported("The image service of this cloud gives no parts of images.")
        if answer.status_code != 206:
            data = data[offset : offset + length]
        if len(data) != length:
            raise errors.CaptureLost(
                "The image service gave less than there is.", detail=f"at {offset} of {self._path}"
            )
        return data


class Glance:
    """Glance as one step of a work sees it; see karbor.plugins.resources.cinder for what is promised, and ``part``."""

    def __init__(self, work: Work, *, part: str = "") -> None:
        self._work = work
        self._part = f"-{part}" if part else ""
        self._cloud = work.cloud
        self._api = work.cloud.image

    def image(self, image_id: str) -> Item:
        """One image. Raises NotFound."""
        found: Item = self._api.get(f"/images/{image_id}").json()
        return found

    def active(self, image_id: str) -> Item:
        """One image, as soon as all its data is there. Raises StepFailed where that cannot come."""

        def reached(one: Item) -> bool:
            if one["status"] in ("killed", "deleted", "pending_delete", "deactivated"):
                raise errors.StepFailed(f"The image {image_id} has the status {one['status']}.")
            return bool(one["status"] == "active")

        what = f"the image {image_id} is being filled"
        return self._cloud.wait(lambda: self.image(image_id), reached, what=what, deadline=_SECONDS)

    def own(self, purpose: str) -> Item | None:
        """The image that this job made for its resource and that purpose: by its tag, for it may have got a name that
        its user wants; what passes by its name, for other services make it for us, and give no tags."""
        wanted: dict[str, Any] = {"name" if purpose == PASSING else "tag": self.name(purpose)}
        return next(iter(self._api.each("/images", "images", sort_key="id", sort_dir="asc", **wanted)), None)

    def name(self, purpose: str) -> str:
        """The name of what this job makes for that purpose: by it, it is found again."""
        key = self._work.key
        return f"karbor-{purpose}-{self._work.operation_id}-{key.parent_id or key.id}{self._part}"

    def uploaded(self, purpose: str, reader: StreamReader, kept: Mapping[str, Any]) -> Item:
        """An image of this job with the data of ``reader``, active. One that an earlier try did not fill is removed.

        Raises StepFailed where Glance has other data in the end than was sent.
        """
        found = self.own(purpose)
        if found is not None and found["status"] == "active":
            body = Body(reader, self._work)
            collections.deque(body, maxlen=0)  # nobody knows whether the try that sent it came to its end
            if body.is_in(found):
                return found
        if found is not None:
            self.remove(found["id"])
        wanted = {"name": self.name(purpose), "container_format": "bare", "disk_format": "raw", **kept}
        made = self._api.post("/images", json={**wanted, "tags": [self.name(purpose)]}).json()
        body = Body(reader, self._work)
        kind = {"Content-Type": "application/octet-stream"}
        self._api.put(f"/images/{made['id']}/file", data=body, headers=kind)
        image = self.active(made["id"])
        if not body.is_in(image):
            raise errors.StepFailed(
                f"The image service has not got all data of {self._work.resource.name}.",
                detail=f"{body.sent} bytes were sent, {image.get('size')} are there; the checksums differ",
                next_action="try again",
            )
        return image

    def rename(self, image_id: str, name: str) -> None:
        """Give an image of this job the name that its user wants; its tag stays."""
        patch = json.dumps([{"op": "replace", "path": "/name", "value": name}])
        kind = {"Content-Type": "application/openstack-images-v2.1-json-patch"}
        self._api.patch(f"/images/{image_id}", data=patch, headers=kind)

    def remove_own(self, *purposes: str) -> None:
        """Remove what this job made for these purposes."""
        for purpose in purposes:
            found = self.own(purpose)
            if found is not None:
                self.remove(found["id"])

    def remove(self, image_id: str) -> None:
        """Remove one image; one that is gone is fine."""
        try:
            self._api.delete(f"/images/{image_id}")
        except errors.NotFound:
            return


def is_passing(image: Item) -> bool:
    """Whether a job of ours made it for a while: its name and tag say so, or Nova wrote what it was told."""
    mark = f"karbor-{PASSING}-"
    names = (image.get("name") or "", *(image.get("tags") or ()))
    return image.get(PURPOSE) == PASSING or any(name.startswith(mark) for name in names)


def kept_of(image: Item) -> dict[str, Any]:
    """What must be kept of an image to make another like it: formats, needs, and the properties that people set."""
    found = {name: image.get(name) for name in ("disk_format", "container_format", "min_disk", "min_ram")}
    own = {key: value for key, value in image.items() if key not in _NOT_KEPT and not key.startswith("karbor")}
    return {**{key: value for key, value in own.items() if isinstance(value, str)}, **found}


class Body:
    """All bytes of a stream in order, zeroes with them, as the body of a request; sent from the beginning each time,
    for a request whose token ran out is sent again. ``sent`` and the hash are those of the last time."""

    def __init__(self, reader: StreamReader, work: Work) -> None:
        self._reader, self._work = reader, work
        self._begin()

    def _begin(self) -> None:
        self.sent = 0
        self._hashes = (hashlib.sha512(), hashlib.md5(usedforsecurity=False))

    def __iter__(self) -> Iterator[bytes]:
        self._begin()
        for offset in range(0, self._reader.size, _PIECE):
            piece = self._reader.read(offset, min(_PIECE, self._reader.size - offset))
            for one in self._hashes:
                one.update(piece)
            self.sent += len(piece)
            self._work.advance(len(piece))
            yield piece

    def is_in(self, image: Item) -> bool:
        """Whether an image has what was sent, by its size and whichever hash the service tells."""
        if self.sent != self._reader.size or int(image.get("size") or 0) != self.sent:
            return False
        strong, weak = (one.hexdigest() for one in self._hashes)
        if image.get("os_hash_algo") == "sha512" and image.get("os_hash_value"):
            return bool(image["os_hash_value"] == strong)
        return not image.get("checksum") or bool(image["checksum"] == weak)
