# SPDX-License-Identifier: Apache-2.0
"""How are volumes protected by backups of Cinder, in full and incrementally?

The data goes where the cloud's own backup service puts it; the checkpoint names the backup. A snapshot is taken first,
in the moment in which a frozen server holds still, and the backup reads that.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from karbor.model import errors
from karbor.model.cost import Use
from karbor.model.resource import Resource
from karbor.plugins.resources import leavings
from karbor.plugins.resources.cinder import KEPT, PASSING, RESTORED, Cinder, Item, described, saved_of
from karbor.plugins.resources.cloudtypes import VOLUME
from karbor.plugins.resources.clouduses import VolumeSettings, uses
from karbor.plugins.resources.pages import Pages
from karbor.plugins.resources.volume_attach import VolumeRestoreOptions, attachment, require_attachable
from karbor.sdk.made import Made
from karbor.sdk.mapping import new_name
from karbor.sdk.options import Options, option, required
from karbor.sdk.protection import UNKNOWN, Protected, Protection, Restored, RestorePlan, Work
from karbor.sdk.template import HeatParameter, HeatResource

if TYPE_CHECKING:
    from karbor.clients.openstack import Cloud

_GIB = 1 << 30

Part = HeatResource | HeatParameter
_SECONDS = 12 * 3600.0  # longest wait for a volume that Cinder fills


class VolumeBackupProtection(Protection):
    """Backups of Cinder."""

    resource_types = (VOLUME,)
    acts_in_cloud = True
    through_heat = True
    settings: Any

    class Settings(VolumeSettings):
        """Settings of the operator."""

        backup_from_snapshot: bool = option(True, "Take a snapshot of the volume first and back that up.")

    class Protect(Options):
        """Parameters of a plan. The names are those of the old service."""

        backup_name: str = option("", "Name of the backup. Empty: the names of checkpoint and volume.")
        backup_mode: Literal["full", "incremental"] = option(
            "full", "incremental: only what changed since the last backup of the volume, where Cinder has one."
        )
        container: str = option("", "Container, or the like, that the backup service puts it into.")
        description: str = option("", "Description of the backup.")
        force: bool = option(True, "Also back up a volume that a server uses.")

    class Restore(VolumeRestoreOptions):
        """Parameters of a restore."""

    class Saved(Options):
        """What the checkpoint keeps."""

        backup_id: str = required("The backup in Cinder.")
        name: str = option("", "Its name.")
        is_incremental: bool = option(False, "Whether it is built on an earlier backup.")
        status: str = option("available", "Its status when the checkpoint was made.")
        progress: float = option(100.0, "How much of it is there.", unit="percent")
        fail_reason: str = option("", "Empty: it did not fail.")
        size: int = option(0, "Size of the volume.", unit="GiB")
        volume_id: str = required("The volume it was made of.")
        volume: str = required("What another volume like it needs (JSON).")

    def cost(self, resource: Resource, options: Any) -> Sequence[Use]:
        """A backup as large as the volume, also where it is an increment; and for a while the snapshot."""
        size = int(resource.extra_info.get("size") or 0)
        kept = [Use("block_storage", "backups", 1), Use("block_storage", "backup_gigabytes", size)]
        if not self.settings.backup_from_snapshot:
            return kept
        return [*kept, *uses("snapshots", resource, counts=self.settings.snapshots_count, passing=True)]

    def prepare_finish(self, work: Work) -> Mapping[str, Any]:
        """Take the snapshot, while the server that uses the volume holds still."""
        cinder = Cinder(work)
        volume = Pages(work).volume(work.key.id)
        in_use = volume["status"] != "available"
        if in_use and not work.options.force:
            raise errors.Conflict(
                f"The volume {work.resource.name} is {volume['status']}.", next_action="set force, or detach the volume"
            )
        kept = {"volume": described(volume)}
        if not self.settings.backup_from_snapshot:
            return kept
        found = cinder.made_snapshot(work.key.id, f"karbor-{work.checkpoint_id}", purpose=PASSING)
        return {**kept, "snapshot_id": found["id"], "taken_at": found["created_at"]}

    def protect(self, work: Work) -> Protected:
        """Have the backup made."""
        cinder, options, begun = Cinder(work), work.options, work.results["prepare_finish"]
        size = int(begun["volume"]["size"])
        incremental = options.backup_mode == "incremental" and _base(work, cinder, options.container) is not None
        found = cinder.made_backup(
            work.key.id,
            incremental=incremental,
            name=options.backup_name or f"{work.checkpoint_id}@{work.key.id}",
            description=options.description or None,
            container=options.container or None,
            snapshot_id=begun.get("snapshot_id"),
            force=options.force or None,
        )
        saved = {
            "backup_id": found["id"],
            "name": found.get("name") or "",
            "is_incremental": bool(found["is_incremental"]),
            "size": size,
            "volume_id": work.key.id,
            "volume": json.dumps(begun["volume"], sort_keys=True),
        }
        mode = "incremental" if found["is_incremental"] else "full"
        return Protected(saved, logical_bytes=size * _GIB, mode=mode)

    def complete(self, work: Work) -> None:
        """The snapshot was of use only for the backup."""
        if "snapshot_id" in work.results["prepare_finish"]:
            Cinder(work).remove("snapshots", work.results["prepare_finish"]["snapshot_id"])

    def abandon(self, work: Work) -> None:
        """Nothing of this job stays."""
        Cinder(work).remove_own("backups", "snapshots", volume_id=work.key.id)

    def restore_prepare(self, work: Work) -> Mapping[str, Any]:
        """A new volume like the old one. Its id is kept: Cinder takes our marks off it when it fills it."""
        require_attachable(work)
        cinder, saved = Cinder(work), saved_of(work)
        cinder.backup(saved["backup_id"])
        return {"volume_id": new_volume(work, cinder, json.loads(saved["volume"]))["id"]}

    def restore(self, work: Work) -> Restored:
        """Have it filled from the backup."""
        cinder, saved, volume_id = Cinder(work), saved_of(work), work.results["restore_prepare"]["volume_id"]
        cinder.fill(volume_id, saved["backup_id"])
        if json.loads(saved["volume"])["bootable"]:
            cinder.set_bootable(volume_id, json.loads(saved["volume"])["image_metadata"])
        return volume_restored(work, volume_id)

    def restore_abandon(self, work: Work) -> None:
        remove_restored(work)

    def made_by_jobs(self, cloud: "Cloud") -> Iterable[Made]:
        """By the marks that they were given."""
        return leavings.of_cinder(cloud, ("backups", KEPT), ("snapshots", PASSING))

    def remove_made(self, cloud: "Cloud", made: Made) -> None:
        leavings.remove(cloud, made)

    def restore_plan(self, work: Work) -> RestorePlan:
        """A new volume; a conflict where the backup is gone."""
        saved = saved_of(work)
        return planned_volume(work, json.loads(saved["volume"]), lambda: Cinder(work).backup(saved["backup_id"]))

    def verify(self, work: Work) -> Mapping[str, Any]:
        """The backup is there and, for Cinder, whole. Only a restore proves more."""
        found = Cinder(work).backup(saved_of(work)["backup_id"])
        if found["status"] not in ("available", "restoring"):
            raise errors.IntegrityError(f"The backup of {work.resource.name} has the status {found['status']}.")
        return {"backup_id": found["id"], "status": found["status"], "read": False}

    def delete(self, work: Work) -> None:
        """Give the backup back; it goes when no later one is built on it."""
        Cinder(work).release(saved_of(work)["backup_id"])


def _base(work: Work, cinder: Cinder, container: str) -> Item | None:
    """The backup that Cinder would build an increment on: the newest good one in the same container."""
    for one in cinder.backups(work.key.id):
        if one["status"] == "available" and (not container or one.get("container") == container):
            return one
    return None


def new_volume(work: Work, cinder: Cinder, old: Mapping[str, Any], **source: Any) -> Item:
    """A volume of this job like ``old``, made of ``source`` (fields of Cinder's request)."""
    options = work.options
    given = {
        "size": old["size"],
        "name": volume_name(work, old),
        "description": getattr(options, "restore_description", "") or old["volume_description"],
        "volume_type": work.mapped("volume_type", old["volume_type"]),
        "availability_zone": work.mapped("availability_zone", old["availability_zone"]),
        "multiattach": old["multiattach"] or None,
        "metadata": old["metadata"],
    }
    return cinder.made_volume(purpose=RESTORED, seconds=_SECONDS, **{**given, **source})


def remove_restored(work: Work) -> None:
    """Remove the volume that ``restore_prepare`` made, or had begun to make."""
    cinder = Cinder(work)
    cinder.remove_own("volumes")
    if "restore_prepare" in work.results:
        cinder.remove("volumes", work.results["restore_prepare"]["volume_id"])


def volume_restored(work: Work, volume_id: str) -> Restored:
    """The volume that was built is a parameter of the stack, for the servers that use it."""
    parameter = HeatParameter(work.key.id, volume_id, f"Volume {work.resource.name}")
    return Restored(volume_id, {"volume_id": volume_id}, (parameter, *attachment(work)))


def volume_name(work: Work, old: Mapping[str, Any], before: str = "") -> str:
    """The name of the new volume: that of the options, else of the mapping, else of the checkpoint and the old one."""
    made = f"{before}{work.checkpoint_id}@{work.key.id}"
    return str(work.options.restore_name or new_name(work, old["volume_name"], made))


def planned_volume(
    work: Work, old: Mapping[str, Any], there: Any, *, name: str = "", template: Sequence[Part] = ()
) -> RestorePlan:
    """What a restore of a volume does; ``there`` raises where what it needs is gone. ``template``: what is left to
    Heat, where that is more than to use the volume."""
    name = name or volume_name(work, old)
    try:
        there()
        require_attachable(work)
        conflicts: tuple[errors.KarborError, ...] = ()
    except (errors.NotFound, errors.IntegrityError, errors.InvalidInput, errors.Conflict) as refusal:
        conflicts = (refusal,)
    place = str(work.mapped("volume_type", old["volume_type"]))
    work.mapped("availability_zone", old["availability_zone"])  # who asks is told beforehand where there is none
    given = template or (HeatParameter(work.key.id, UNKNOWN, f"Volume {work.resource.name}"), *attachment(work))
    return RestorePlan(
        [{"name": name, "place": place}], bytes=int(old["size"]) * _GIB, conflicts=conflicts, template=given
    )
