# SPDX-License-Identifier: Apache-2.0
"""How are images of Glance, and root disks of servers that boot from one, kept in the vault?

Below a server the data is not that of the image, but of the server's own root disk, which began as a copy of it. A
worker on the compute host reads it there, as it is while the server is frozen (karbor.plugins.resources.host_disks).
Elsewhere Nova is asked for a passing image of the disk; it copies the disk in its own time, so nobody can say which
instant that shows.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from karbor.model import errors
from karbor.model.checkpoint import SavedResource
from karbor.model.cost import Use
from karbor.model.mapping import NAMES
from karbor.model.resource import Resource
from karbor.plugins.resources import host_disks, leavings
from karbor.plugins.resources.cinder import PASSING, RESTORED, Item, saved_of
from karbor.plugins.resources.cloudtypes import IMAGE, SERVER
from karbor.plugins.resources.clouduses import image_uses
from karbor.plugins.resources.glance import Glance, ImageSource, kept_of
from karbor.sdk.made import Made
from karbor.sdk.mapping import OldNames
from karbor.sdk.options import Options, option, required
from karbor.sdk.protection import UNKNOWN, Protected, Protection, Restored, RestorePlan, Work
from karbor.sdk.template import HeatParameter

if TYPE_CHECKING:
    from karbor.clients.openstack import Cloud

STREAM = "image"
_GIB = 1 << 30


class ImageDataProtection(Protection):
    """Data of images in the vault."""

    resource_types = (IMAGE,)
    acts_in_cloud = True
    through_heat = True

    class Protect(Options):
        """Parameters of a plan. The name is that of the old service."""

        backup_name: str = option("", "Name of the image that passes while a root disk is read. Empty: karbor-...")
        root_disk: Literal["auto", "host", "glance"] = option(
            "auto",
            "How the root disk of a server is read. host: on its compute host, in the instant in which it is frozen, "
            "and next time only what changed; glance: through an image that Nova makes; auto: on the host if possible.",
        )

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
        target: str = option("", "Name of the root disk in the domain, where it was read on the host.")
        view: str = option("", "The view of the root disk that was read on the host.")
        tracked: bool = option(False, "Whether the next checkpoint can hold what changed since.")
        size: int = option(0, "Size of the root disk that was read on the host.", unit="bytes")
        why_full: str = option("", "Why the root disk was read in full on the host.")
        why_glance: str = option("", "Why the root disk was read through Glance.")

    def cost(self, resource: Resource, options: Any) -> Sequence[Use]:
        """Of a server's root disk, an image for a while. An image itself is read where it is."""
        if "server_id" not in resource.extra_info or options.root_disk == "host":
            return []
        return image_uses(int(resource.extra_info.get("disk") or 0) << 10)

    def host(self, work: Work, hosts: Sequence[str]) -> str:
        """Of a server's root disk, that of the server, which makes the view of it."""
        wanted = _of_server(work) and work.options.root_disk != "glance"
        return host_disks.host_of(work, work.key.parent_id, hosts) if wanted else ""

    def prepare_finish(self, work: Work) -> Mapping[str, Any] | None:
        """Below a server: see whether its view shows the root disk; or begin the passing image."""
        if not _of_server(work):
            return None
        begun, why = _seen_on_host(work)
        if begun is not None:
            return begun
        if work.options.root_disk == "host":
            raise errors.NotSupported(
                f"The root disk cannot be read on the host of the server: {why}",
                next_action="let a worker with the libvirt driver run there, or let root_disk be auto",
            )
        glance = Glance(work)
        found = glance.own(PASSING)
        if found is None:
            given = {"name": glance.name(PASSING), "metadata": {"karbor": PASSING}}
            path = f"/servers/{work.key.parent_id}/action"
            answer = work.cloud.compute.post(path, json={"createImage": given})
            return {"image_id": str(answer.json()["image_id"]), "why_glance": why}
        return {"image_id": found["id"], "why_glance": why}

    def protect(self, work: Work) -> Protected:
        """Read it; an image that an earlier checkpoint has is not read again, for images never change."""
        glance, begun = Glance(work), work.results.get("prepare_finish")
        if begun and "target" in begun:
            return self._protect_on_host(work, begun)
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
            "why_glance": begun["why_glance"] if begun else "",
        }
        mode = "full" if base is None else "incremental"
        return Protected(saved, {STREAM: info}, logical_bytes=source.size, mode=mode)

    def complete(self, work: Work) -> None:
        """What passed is of no use any more."""
        if "target" not in (work.results.get("prepare_finish") or {}):
            self.abandon(work)

    def abandon(self, work: Work) -> None:
        if _of_server(work):
            Glance(work).remove_own(PASSING)

    def _protect_on_host(self, work: Work, begun: Mapping[str, Any]) -> Protected:
        """The disk as the server sees it becomes an image like the one that the server was made of."""
        view = work.parent_results["prepare_begin"]["view"]
        disk = host_disks.read(self.environment, work, view, host_disks.ROOT, STREAM)
        least = max(int(begun["image"].get("min_disk") or 0), -(-disk.size // _GIB))
        image = {**begun["image"], "disk_format": "raw", "container_format": "bare", "min_disk": least}
        saved = {
            "image": json.dumps(image, sort_keys=True),
            "image_id": "",
            "server_id": work.key.parent_id,
            "name": work.resource.name,
            "checksum": "",
            **disk.saved,
        }
        return Protected(
            saved,
            {STREAM: disk.info},
            logical_bytes=disk.size,
            mode="incremental" if disk.base else "full",
            base_id=disk.base.checkpoint_id if disk.base else None,
        )

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

    def made_by_jobs(self, cloud: "Cloud") -> Iterable[Made]:
        """By the marks that they were given."""
        return leavings.of_glance(cloud)

    def remove_made(self, cloud: "Cloud", made: Made) -> None:
        leavings.remove(cloud, made)

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


def _seen_on_host(work: Work) -> tuple[dict[str, Any] | None, str]:
    if work.options.root_disk == "glance":
        return None, "the plan asks for it"
    found, why = host_disks.root_of_parent(work)
    if found is None:
        return None, why
    try:
        image = Glance(work).image(work.key.id)
    except errors.NotFound:
        return None, "the image it was made of is gone, and Nova alone knows its properties"
    return {**found, "image": kept_of(image)}, ""


def _same(work: Work, image: Item) -> str | None:
    """The stream of an earlier checkpoint that holds this very data."""
    for point in work.earlier:
        known = point.saved.saved.get("checksum")
        stream = point.saved.streams.get(STREAM)
        if known and known == image.get("checksum") and stream and work.streams.exists(stream):
            return stream
    return None
