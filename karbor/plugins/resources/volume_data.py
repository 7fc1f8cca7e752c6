# SPDX-License-Identifier: Apache-2.0
"""How does the data of a volume of Cinder get into our own vault, so that any other cloud can have it back?

A worker on the compute host of the server that uses the volume reads it there, in the view of that server
(karbor.plugins.resources.host_volumes): nothing is made in the cloud. Else, on any back end and with no rights but the
tenant's: a snapshot, a passing volume of it, a passing image of that, which is read by parts. What did not change is
stored once, whatever is read. All that passes is marked, and removed.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from karbor.model import errors
from karbor.model.cost import Use
from karbor.model.resource import Resource
from karbor.plugins.resources import host_disks, host_volumes, leavings
from karbor.plugins.resources.cinder import PASSING, RESTORED, Cinder, described, saved_of
from karbor.plugins.resources.cloudtypes import VOLUME
from karbor.plugins.resources.clouduses import VolumeSettings, image_uses, uses
from karbor.plugins.resources.glance import Glance, ImageSource
from karbor.plugins.resources.pages import Pages
from karbor.plugins.resources.volume_attach import VolumeRestoreOptions, require_attachable
from karbor.plugins.resources.volume_backup import new_volume, planned_volume, remove_restored, volume_restored
from karbor.sdk.made import Made
from karbor.sdk.options import Options, option, required
from karbor.sdk.protection import Protected, Protection, Restored, RestorePlan, Work

if TYPE_CHECKING:
    from karbor.clients.openstack import Cloud

STREAM = "volume"
_GIB = 1 << 30


class VolumeDataProtection(Protection):
    """Data of volumes in the vault."""

    resource_types = (VOLUME,)
    acts_in_cloud = True
    through_heat = True

    settings: Any

    class Settings(VolumeSettings):
        """Settings of the operator."""

    class Protect(Options):
        """Parameters of a plan. The names are those of the old service."""

        backup_name: str = option("", "Name of what passes in the cloud. Empty: karbor- and the checkpoint.")
        description: str = option("", "Description of what passes in the cloud.")
        read: Literal["auto", "host", "glance"] = option(
            "auto",
            "How it is read. host: on the compute host of the one server that uses it, in the instant in which that is "
            "frozen, with nothing made in the cloud; glance: through a snapshot, a volume and an image that pass; "
            "auto: on the host if possible.",
        )

    class Restore(VolumeRestoreOptions):
        """Parameters of a restore."""

    class Saved(Options):
        """What the checkpoint keeps beside the data."""

        volume_id: str = required("The volume it was read from.")
        size: int = option(0, "Size of the volume.", unit="GiB")
        taken_at: str = option("", "Which moment it shows (UTC).")
        volume: str = required("What another volume like it needs (JSON).")
        why_glance: str = option("", "Why it was read through Glance; empty: it was read on the host.", told=True)
        target: str = option("", "Name of its disk in the domain, where it was read on the host.")

    def cost(self, resource: Resource, options: Any) -> Sequence[Use]:
        """For a while: a snapshot, a volume of it, and an image of that, where it may not be read on the host. Nothing
        stays in the cloud."""
        if options.read == "host":
            return []
        snapshot = uses("snapshots", resource, counts=self.settings.snapshots_count, passing=True)
        size = int(resource.extra_info.get("size") or 0)
        return [*snapshot, *uses("volumes", resource, passing=True), *image_uses(size << 10)]

    def wishes(self, resource: Resource, options: Any) -> frozenset[str]:
        wanted = {"host": (host_volumes.IN_VIEW, host_volumes.IN_EACH_VIEW), "auto": (host_volumes.IN_VIEW,)}
        return frozenset(wanted.get(options.read, ()))

    def host(self, work: Work, hosts: Sequence[str]) -> str:
        """That of the server that uses it, which makes the view of it."""
        return "" if work.options.read == "glance" else host_volumes.host(work, hosts)

    def prepare_finish(self, work: Work) -> Mapping[str, Any]:
        """See whether the view of its server shows it; or take a snapshot, while that server holds still."""
        volume = Pages(work).volume(work.key.id)
        if volume["encrypted"]:
            raise errors.NotSupported(
                f"The volume {work.resource.name} is encrypted by Cinder: its key would stay in this cloud.",
                next_action="protect it by backups of Cinder",
            )
        begun, why = self._seen(work, volume)
        if begun is not None:
            return {**begun, "volume": described(volume)}
        if work.options.read == "host":
            raise errors.NotSupported(
                f"The volume {work.resource.name} cannot be read on the host of a server: {why.removesuffix('.')}.",
                next_action="let a worker with the libvirt driver run there, or let read be auto",
            )
        name = work.options.backup_name or f"karbor-{work.checkpoint_id}"
        found = Cinder(work).made_snapshot(work.key.id, name, purpose=PASSING, description=work.options.description)
        kept = {"volume": described(volume), "why_glance": why}
        return {"snapshot_id": found["id"], "taken_at": found["created_at"], **kept}

    def _seen(self, work: Work, volume: Mapping[str, Any]) -> tuple[dict[str, Any] | None, str]:
        """What the view of its server shows of it, where it is to be read there; or None, and why nothing."""
        if work.options.read == "glance":
            return None, "the plan asks for it"
        if work.options.read == "auto" and work.attempt > 1:
            return None, host_volumes.FAILED
        return host_volumes.seen(work, volume)

    def protect(self, work: Work) -> Protected:
        """Read all of it; what earlier checkpoints have is not stored again."""
        cinder, glance, begun = Cinder(work), Glance(work), work.results["prepare_finish"]
        if "target" in begun:
            return self._protect_on_host(work, begun)
        size = int(begun["volume"]["size"])
        work.expect(size * _GIB)
        image = glance.own(PASSING)
        if image is not None and image["status"] == "killed":
            glance.remove(image["id"])
            image = None
        if image is None:
            copy = cinder.made_volume(
                purpose=PASSING,
                name=f"karbor-{work.checkpoint_id}",
                size=size,
                snapshot_id=begun["snapshot_id"],
            )
            image = {"id": cinder.upload(copy["id"], glance.name(PASSING))}
        source = ImageSource(work, glance.active(image["id"]))
        info = work.streams.write(STREAM, source)
        saved = {
            "volume_id": work.key.id,
            "size": size,
            "taken_at": begun["taken_at"],
            "volume": json.dumps(begun["volume"], sort_keys=True),
            "why_glance": begun.get("why_glance") or "",
        }
        return Protected(saved, {STREAM: info}, logical_bytes=source.size, mode="full")

    def _protect_on_host(self, work: Work, begun: Mapping[str, Any]) -> Protected:
        view = host_volumes.view(work, begun["server_id"]) or host_disks.NOTHING
        disk = host_disks.read(self.environment, work, view, work.key.id, STREAM)
        saved = {
            "volume_id": work.key.id,
            "size": int(begun["volume"]["size"]),
            "taken_at": begun["taken_at"],
            "volume": json.dumps(begun["volume"], sort_keys=True),
            "why_glance": "",
            "target": begun["target"],
        }
        return Protected(saved, {STREAM: disk.info}, logical_bytes=disk.size, mode="full")

    def complete(self, work: Work) -> None:
        """Nothing of what passed stays."""
        if "target" in work.results["prepare_finish"]:
            return
        _remove_copy(work)
        Cinder(work).remove("snapshots", work.results["prepare_finish"]["snapshot_id"])

    def abandon(self, work: Work) -> None:
        _remove_copy(work)
        Cinder(work).remove_own("snapshots", volume_id=work.key.id)

    def restore(self, work: Work) -> Restored:
        """A passing image, and of that a new volume like the old one."""
        require_attachable(work)
        cinder, glance, old = Cinder(work), Glance(work), json.loads(saved_of(work)["volume"])
        reader = work.streams.read(STREAM)
        work.expect(reader.size)
        volume = cinder.own_volume(RESTORED)
        if volume is None:
            properties = {key: value for key, value in old["image_metadata"].items() if key in _BOOT}
            image = glance.uploaded(PASSING, reader, properties)
            volume = new_volume(work, cinder, old, imageRef=image["id"])
        volume = cinder.settled_volume(volume["id"])
        if not old["bootable"]:
            cinder.set_bootable(volume["id"], {}, bootable=False)
        elif old["image_metadata"]:
            cinder.set_bootable(volume["id"], old["image_metadata"])
        glance.remove_own(PASSING)
        return volume_restored(work, volume["id"])

    def restore_abandon(self, work: Work) -> None:
        Glance(work).remove_own(PASSING)
        remove_restored(work)

    def made_by_jobs(self, cloud: "Cloud") -> Iterable[Made]:
        """By the marks that they were given."""
        yield from leavings.of_glance(cloud)
        yield from leavings.of_cinder(cloud, ("volumes", PASSING), ("snapshots", PASSING))

    def remove_made(self, cloud: "Cloud", made: Made) -> None:
        leavings.remove(cloud, made)

    def restore_plan(self, work: Work) -> RestorePlan:
        """A new volume; a conflict where its data is gone."""
        return planned_volume(work, json.loads(saved_of(work)["volume"]), lambda: work.streams.read(STREAM))


#: Properties that Cinder must see when it makes the volume.
_BOOT = ("hw_disk_bus", "hw_firmware_type", "os_type", "hw_machine_type")


def _remove_copy(work: Work) -> None:
    """The passing image, and the passing volume that it was made of."""
    Glance(work).remove_own(PASSING)
    Cinder(work).remove_own("volumes")
