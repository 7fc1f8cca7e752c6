# SPDX-License-Identifier: Apache-2.0
"""How are shares protected by snapshots of Manila?

Fast, and in the same back end as the share: they are lost with it, and Manila removes no share that has snapshots.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from karbor.clients.service import PAGE
from karbor.model import errors
from karbor.model.cost import Use
from karbor.model.resource import Resource
from karbor.plugins.resources import leavings
from karbor.plugins.resources.cinder import saved_of
from karbor.plugins.resources.cloudtypes import SHARE
from karbor.plugins.resources.described import Described, Kind, checked
from karbor.sdk.made import Made
from karbor.sdk.mapping import new_name
from karbor.sdk.marks import metadata_without_marks
from karbor.sdk.options import Options, option, required
from karbor.sdk.protection import Protected, Protection, Restored, RestorePlan, Work
from karbor.sdk.template import HeatResource

if TYPE_CHECKING:
    from karbor.clients.openstack import Cloud

_GIB = 1 << 30
_SERVICE = "shared_file_system"
#: What the type of a share must offer: some back ends have neither.
_NEEDED = ("snapshot_support", "create_share_from_snapshot_support")
#: States of rules that let nobody in.
_NO_RULE = ("error", "queued_to_deny", "denying")
_SNAPSHOT = Kind("/snapshots", "snapshot", "available", ("error", "error_deleting"), "share_id", 3 * 3600.0)


class ShareProtection(Protection):
    """Share snapshots of Manila."""

    resource_types = (SHARE,)
    acts_in_cloud = True
    through_heat = True

    class Protect(Options):
        """Parameters of a plan. The names are those of the old service."""

        snapshot_name: str = option("", "Name of the snapshot. Empty: the names of checkpoint and share.")
        description: str = option("", "Description of the snapshot; the mark of the job stands behind it.")
        force: bool = option(False, "Also of a share that is not available.")

    class Restore(Options):
        """Parameters of a restore."""

        restore_name: str = option("", "Name of the new share. Empty: CHECKPOINT@ORIGINAL.")

    class Saved(Options):
        """What the checkpoint keeps."""

        snapshot_id: str = required("The share snapshot in Manila.")
        share_id: str = required("The share it was made of.")
        size: int = option(0, "Size of the share.", unit="GiB")
        taken_at: str = option("", "When Manila took it (UTC).")
        share: str = required("What another share like it needs (JSON).")

    def cost(self, resource: Resource, options: Any) -> Sequence[Use]:
        """A snapshot that stays."""
        size = int(resource.extra_info.get("size") or 0)
        return [Use(_SERVICE, "snapshots", 1), Use(_SERVICE, "snapshot_gigabytes", size)]

    def prepare_finish(self, work: Work) -> Mapping[str, Any]:
        """Take the snapshot, while those who use the share hold still. Raises NotSupported where the type of the share
        offers none, or none that another share can be made of."""
        api = work.cloud.shared_file_system
        share = api.get(f"/shares/{work.key.id}").json()["share"]
        if not all(share.get(name, True) for name in _NEEDED):
            raise errors.NotSupported(
                f"The type of the share {work.resource.name} has no snapshots that a share can be made of.",
                next_action="keep it in a share of another type, or leave it out of the plan",
            )
        if share["status"] != "available" and not work.options.force:
            raise errors.Conflict(
                f"The share {work.resource.name} is {share['status']}.", next_action="set force, or try again later"
            )
        found = _snapshots(work).made(
            work.key.id,
            share_id=work.key.id,
            name=work.options.snapshot_name or f"{work.checkpoint_id}@{work.key.id}",
            description=work.options.description,
            force=work.options.force,
        )
        rules = api.get("/share-access-rules", params={"share_id": work.key.id}).json()["access_list"]
        return {"snapshot_id": found["id"], "taken_at": found["created_at"], "share": _described(share, rules)}

    def protect(self, work: Work) -> Protected:
        """All is done; say what there is."""
        found = work.results["prepare_finish"]
        saved = {
            "snapshot_id": found["snapshot_id"],
            "share_id": work.key.id,
            "size": found["share"]["size"],
            "taken_at": found["taken_at"],
            "share": json.dumps(found["share"], sort_keys=True),
        }
        return Protected(saved, logical_bytes=found["share"]["size"] * _GIB, mode="full")

    def abandon(self, work: Work) -> None:
        _snapshots(work).remove_own(work.key.id)

    def restore(self, work: Work) -> Restored:
        """Heat makes a share of the snapshot, with the old rules about who may use it. Manila gives it the type and the
        network of the share that the snapshot was made of, and would refuse others."""
        _snapshots(work).one(saved_of(work)["snapshot_id"])
        return Restored("", {}, (_part(work),))

    def made_by_jobs(self, cloud: "Cloud") -> Iterable[Made]:
        """By the job in their descriptions."""
        if not cloud.has(_SERVICE):
            return ()
        return leavings.of_described(_each(cloud.shared_file_system), _SERVICE, "snapshots")

    def remove_made(self, cloud: "Cloud", made: Made) -> None:
        leavings.remove(cloud, made)

    def restore_plan(self, work: Work) -> RestorePlan:
        """A new share; a conflict where the snapshot is gone."""
        saved, old = saved_of(work), json.loads(saved_of(work)["share"])
        conflicts: tuple[errors.KarborError, ...] = ()
        try:
            _snapshots(work).one(saved["snapshot_id"])
        except errors.NotFound as gone:
            conflicts = (gone,)
        warning = f"Of the quotas of the project this uses: 1 share, {old['size']} gigabytes of shares."
        return RestorePlan(
            [{"name": _new_name(work), "place": old["share_type"]}],
            bytes=int(old["size"]) * _GIB,
            conflicts=conflicts,
            warnings=(warning,),
            template=(_part(work),),
        )

    def restore_prepare(self, work: Work) -> None:
        """Refuse what could not be built. Raises ResourceNotFound."""
        _snapshots(work).one(saved_of(work)["snapshot_id"])

    def verify(self, work: Work) -> Mapping[str, Any]:
        """The snapshot is there. Only a restore proves more."""
        snapshots = _snapshots(work)
        found = snapshots.one(saved_of(work)["snapshot_id"])
        return checked(found, ready=snapshots.is_ready(found), name=work.resource.name)

    def delete(self, work: Work) -> None:
        _snapshots(work).remove(saved_of(work)["snapshot_id"])


def _snapshots(work: Work) -> Described:
    api = work.cloud.shared_file_system
    return Described(work, api, _SNAPSHOT, lambda: _each(api, share_id=work.key.id))


def _each(api: Any, **query: str) -> Iterator[Mapping[str, Any]]:
    """Share snapshots; Manila counts offsets."""
    offset = 0
    while True:
        asked = {**query, "sort_key": "id", "sort_dir": "asc", "limit": PAGE, "offset": offset}
        page = api.get("/snapshots/detail", params=asked).json()["snapshots"]
        yield from page
        if len(page) < PAGE:
            return
        offset += len(page)


def _part(work: Work) -> HeatResource:
    """The share that Heat makes."""
    saved, old = saved_of(work), json.loads(saved_of(work)["share"])
    properties = {
        "name": _new_name(work),
        "description": old["description"],
        "share_protocol": old["share_proto"],
        "size": old["size"],
        "snapshot": saved["snapshot_id"],
        "is_public": old["is_public"] or None,
        "metadata": old["metadata"],
        "access_rules": old["access_rules"],
    }
    given = {key: value for key, value in properties.items() if value not in (None, "", [], {})}
    return HeatResource(work.key.id, SHARE, given)


def _new_name(work: Work) -> str:
    old = json.loads(saved_of(work)["share"])["name"]
    return str(work.options.restore_name or new_name(work, old, f"{work.checkpoint_id}@{work.key.id}"))


def _described(share: Mapping[str, Any], rules: list[Mapping[str, Any]]) -> dict[str, Any]:
    return {
        "name": share.get("name") or "",
        "description": share.get("description") or "",
        "size": share["size"],
        "share_proto": share["share_proto"],
        "share_type": share.get("share_type_name") or share.get("share_type") or "",
        "share_network_id": share.get("share_network_id") or "",
        "is_public": bool(share.get("is_public")),
        "metadata": metadata_without_marks(share.get("metadata")),
        "access_rules": [
            {name: one[name] for name in ("access_type", "access_to", "access_level")}
            for one in rules
            if one["state"] not in _NO_RULE
        ],
    }
