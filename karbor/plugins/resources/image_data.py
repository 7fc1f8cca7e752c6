# SPDX-License-Identifier: Apache-2.0
"""How are images of Glance, and root disks of servers that boot from one, kept in the vault?

Below a server the data is not that of the image, but of the server's own root disk, which began as a copy of it: Nova
makes a passing image of the disk, in the moment in which a frozen server holds still.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from karbor.model import errors
from karbor.model.checkpoint import SavedResource
from karbor.model.cost import Use
from karbor.model.mapping import NAMES
from karbor.model.resource import Resource
from karbor.plugins.resources.cinder import PASSING, RESTORED, Item, saved_of
from karbor.plugins.resources.cloudtypes import IMAGE, SERVER
from karbor.plugins.resources.clouduses import image_uses
from karbor.plugins.resources.glance import Glance, ImageSource, kept_of
from karbor.sdk.mapping import OldNames
from karbor.sdk.options import Options, option, required
from karbor.sdk.protection import UNKNOWN, Protected, Protection, Restored, RestorePlan, Work
from karbor.sdk.template import HeatParameter

STREAM = "image"


class ImageDataProtection(Protection):
    """Data of images in the vault."""

    resource_types = (IMAGE,)
    acts_in_cloud = True
    through_heat = True

    class Protect(Options):
        """Parameters of a plan. The name is that of the old service."""

        backup_name: str = option("", "Name of the image that passes while a root disk is read. Empty: karbor-...")

    class Restore(Options):
        """Parameters of a restore."""

        restore_name: str = option("", "Name of the new image. Empty: that of the old one.")

    class Saved(Options):
        """What the checkpoint keeps beside the data."""

        image: str = required("What another image like it needs (JSON).")
        image_id: str = option("", "The image that was read; empty for the root disk of a server.")
        server_id: str = option("", "The server whose root disk it is; empty for an image.")
        name: str = option("", "Name of the image.")
        checksum: str = option("", "Checksum of its data, as Glance has it.")

    def cost(self, resource: Resource, options: Any) -> Sequence[Use]:
        """Of a server's root disk, an image for a while. An image itself is read where it is."""
        if "server_id" not in resource.extra_info:
            return []
        return image_uses(int(resource.extra_info.get("disk") or 0) << 10)

    def prepare_finish(self, work: Work) -> Mapping[str, Any] | None:
        """Below a server: begin the passing image, while the server holds still."""
        if not _of_server(work):
            return None
        glance = Glance(work)
        found = glance.own(PASSING)
        if found is None:
            given = {"name": glance.name(PASSING), "metadata": {"karbor": PASSING}}
            path = f"/servers/{work.key.parent_id}/action"
            answer = work.cloud.compute.post(path, json={"createImage": given})
            return {"image_id": str(answer.json()["image_id"])}
        return {"image_id": found["id"]}

    def protect(self, work: Work) -> Protected:
        """Read it; an image that an earlier checkpoint has is not read again, for images never change."""
        glance, begun = Glance(work), work.results.get("prepare_finish")
        image = glance.active(begun["image_id"] if begun else work.key.id)
        base = None if begun else _same(work, image)
        source = ImageSource(work, image, known=base is not None)
        work.expect(source.size)
        info = work.streams.write(STREAM, source, base_id=base)
        saved = {
            "image": json.dumps(kept_of(image), sort_keys=True),
            "image_id": "" if begun else work.key.id,
            "server_id": work.key.parent_id if begun else "",
            "name": work.resource.name,
            "checksum": str(image.get("checksum") or ""),
        }
        mode = "full" if base is None else "incremental"
        return Protected(saved, {STREAM: info}, logical_bytes=source.size, mode=mode)

    def complete(self, work: Work) -> None:
        """What passed is of no use any more."""
        self.abandon(work)

    def abandon(self, work: Work) -> None:
        if _of_server(work):
            Glance(work).remove_own(PASSING)

    def restore(self, work: Work) -> Restored:
        """A new image with the old data: of a server's root disk, what the new server boots from. One that the mapping
        names a stand-in for is not made."""
        glance, saved = Glance(work), saved_of(work)
        instead = _stand_in(work)
        if instead:
            return Restored("", {"image_id": instead}, (_used_instead(work, instead),))
        reader = work.streams.read(STREAM)
        work.expect(reader.size)
        kept = json.loads(saved["image"])
        image = glance.uploaded(RESTORED, reader, {key: value for key, value in kept.items() if value is not None})
        name = work.options.restore_name or (_new_name(work) if not saved["server_id"] else image["name"])
        glance.rename(image["id"], name)
        what = f"Root disk of server {saved['server_id']}" if saved["server_id"] else f"Image {saved['name']}"
        return Restored(image["id"], {"image_id": image["id"]}, (HeatParameter(original_id(work), image["id"], what),))

    def restore_abandon(self, work: Work) -> None:
        Glance(work).remove_own(RESTORED)

    def old_names(self, saved: SavedResource) -> OldNames:
        return {"image": {saved.saved["image_id"]: saved.saved["name"]}} if saved.saved["image_id"] else {}

    def restore_plan(self, work: Work) -> RestorePlan:
        """A new image; a conflict where its data is gone."""
        saved, instead = saved_of(work), _stand_in(work)
        if instead:
            kept = {"name": saved["name"], "place": instead}
            return RestorePlan(keeps=[kept], template=(_used_instead(work, instead),))
        try:
            size = work.streams.read(STREAM).size
        except errors.IntegrityError as gone:
            return RestorePlan(conflicts=(gone,))
        template = (HeatParameter(original_id(work), UNKNOWN, f"Image {saved['name']}"),)
        return RestorePlan([{"name": work.options.restore_name or _new_name(work)}], bytes=size, template=template)


def _stand_in(work: Work) -> str:
    """The image that the mapping names instead of this one; empty for root disks, which are like no image."""
    if saved_of(work)["server_id"]:
        return ""
    found = work.mapped("image", work.key.id)
    return found if found != work.key.id else ""


def _used_instead(work: Work, image_id: str) -> HeatParameter:
    return HeatParameter(original_id(work), image_id, f"Used in the place of image {saved_of(work)['name']}")


def _new_name(work: Work) -> str:
    return work.mapped(NAMES, saved_of(work)["name"])


def original_id(work: Work) -> str:
    """By what the template knows it: two servers of one image have a root disk each."""
    return root_disk_id(work.key.id, work.key.parent_id) if work.key.parent_id else work.key.id


def root_disk_id(image_id: str, server_id: str) -> str:
    """By what a server's plug-in refers to its root disk in the template."""
    return f"{image_id}@{server_id}"


def _of_server(work: Work) -> bool:
    return work.parent is not None and work.parent.type == SERVER and bool(work.key.parent_id)


def _same(work: Work, image: Item) -> str | None:
    """The stream of an earlier checkpoint that holds this very data."""
    for point in work.earlier:
        known = point.saved.saved.get("checksum")
        stream = point.saved.streams.get(STREAM)
        if known and known == image.get("checksum") and stream and work.streams.exists(stream):
            return stream
    return None
