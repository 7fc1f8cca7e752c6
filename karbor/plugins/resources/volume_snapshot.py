# SPDX-License-Identifier: Apache-2.0
"""How are volumes protected by volume snapshots of Cinder?

Fast, and in the same back end as the volume: they are lost with it.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from karbor.model import errors
from karbor.model.cost import Use
from karbor.model.resource import Resource
from karbor.plugins.resources import leavings
from karbor.plugins.resources.cinder import KEPT, Cinder, described, saved_of
from karbor.plugins.resources.cloudtypes import VOLUME
from karbor.plugins.resources.clouduses import VolumeSettings, uses
from karbor.plugins.resources.pages import Pages
from karbor.plugins.resources.volume_attach import VolumeRestoreOptions, attachment, require_attachable
from karbor.plugins.resources.volume_backup import planned_volume, volume_name
from karbor.sdk.made import Made
from karbor.sdk.options import Options, option, required
from karbor.sdk.protection import Protected, Protection, Restored, RestorePlan, Work
from karbor.sdk.template import HeatResource

if TYPE_CHECKING:
    from karbor.clients.openstack import Cloud

_GIB = 1 << 30


class VolumeSnapshotProtection(Protection):
    """Volume snapshots of Cinder."""

    resource_types = (VOLUME,)
    acts_in_cloud = True
    through_heat = True

    settings: Any

    class Settings(VolumeSettings):
        """Settings of the operator."""

    class Protect(Options):
        """Parameters of a plan. The names are those of the old service."""

        snapshot_name: str = option("", "Name of the snapshot. Empty: the names of checkpoint and volume.")
        description: str = option("", "Description of the snapshot.")
        force: bool = option(True, "Also of a volume that a server uses.")

    class Restore(VolumeRestoreOptions):
        """Parameters of a restore."""

        restore_name: str = option("", "Name of the new volume. Empty: volume-CHECKPOINT@ORIGINAL.")

    class Saved(Options):
        """What the checkpoint keeps."""

        snapshot_id: str = required("The volume snapshot in Cinder.")
        volume_id: str = required("The volume it was made of.")
        size: int = option(0, "Size of the volume.", unit="GiB")
        taken_at: str = option("", "When Cinder took it (UTC).")
        volume: str = required("What another volume like it needs (JSON).")

    def cost(self, resource: Resource, options: Any) -> Sequence[Use]:
        """A snapshot that stays."""
        return uses("snapshots", resource, counts=self.settings.snapshots_count)

    def prepare_finish(self, work: Work) -> Mapping[str, Any]:
        """Take the snapshot, while the server that uses the volume holds still."""
        cinder, options = Cinder(work), work.options
        volume = Pages(work).volume(work.key.id)
        if volume["status"] != "available" and not options.force:
            raise errors.Conflict(
                f"The volume {work.resource.name} is {volume['status']}.", next_action="set force, or detach the volume"
            )
        name = options.snapshot_name or f"{work.checkpoint_id}@{work.key.id}"
        found = cinder.made_snapshot(work.key.id, name, purpose=KEPT, description=options.description)
        return {"snapshot_id": found["id"], "taken_at": found["created_at"], "volume": described(volume)}

    def protect(self, work: Work) -> Protected:
        """All is done; say what there is."""
        found = work.results["prepare_finish"]
        saved = {
            "snapshot_id": found["snapshot_id"],
            "volume_id": work.key.id,
            "size": found["volume"]["size"],
            "taken_at": found["taken_at"],
            "volume": json.dumps(found["volume"], sort_keys=True),
        }
        return Protected(saved, logical_bytes=found["volume"]["size"] * _GIB, mode="full")

    def abandon(self, work: Work) -> None:
        Cinder(work).remove_own("snapshots", volume_id=work.key.id)

    def restore(self, work: Work) -> Restored:
        """Heat makes a volume of the snapshot: that takes seconds."""
        require_attachable(work)
        Cinder(work).snapshot(saved_of(work)["snapshot_id"])
        return Restored("", {}, _parts(work))

    def made_by_jobs(self, cloud: "Cloud") -> Iterable[Made]:
        """By the marks that they were given."""
        return leavings.of_cinder(cloud, ("snapshots", KEPT))

    def remove_made(self, cloud: "Cloud", made: Made) -> None:
        leavings.remove(cloud, made)

    def restore_plan(self, work: Work) -> RestorePlan:
        """A new volume; a conflict where the snapshot is gone."""
        saved = saved_of(work)
        old = json.loads(saved["volume"])
        return planned_volume(
            work,
            old,
            lambda: Cinder(work).snapshot(saved["snapshot_id"]),
            name=volume_name(work, old, "volume-"),
            template=_parts(work),
        )

    def verify(self, work: Work) -> Mapping[str, Any]:
        """The snapshot is there. Only a restore proves more."""
        found = Cinder(work).snapshot(saved_of(work)["snapshot_id"])
        if found["status"] not in ("available", "backing-up"):
            raise errors.IntegrityError(f"The snapshot of {work.resource.name} has the status {found['status']}.")
        return {"snapshot_id": found["id"], "status": found["status"], "read": False}

    def delete(self, work: Work) -> None:
        Cinder(work).remove("snapshots", saved_of(work)["snapshot_id"])


def _parts(work: Work) -> tuple[HeatResource, ...]:
    """The volume that Heat makes, and its place in a server."""
    saved, options = saved_of(work), work.options
    old = json.loads(saved["volume"])
    properties = {
        "name": volume_name(work, old, "volume-"),
        "description": options.restore_description or old["volume_description"],
        "size": old["size"],
        "snapshot_id": saved["snapshot_id"],
        "availability_zone": work.mapped("availability_zone", old["availability_zone"]) or None,
        "metadata": old["metadata"],
    }
    given = {key: value for key, value in properties.items() if value is not None}
    return HeatResource(work.key.id, VOLUME, given), *attachment(work)
