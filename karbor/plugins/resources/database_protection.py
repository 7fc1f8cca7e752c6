# SPDX-License-Identifier: Apache-2.0
"""How are database instances protected by backups of Trove?

Trove dumps a running database into its own place in the object store. Each backup is a full one: Trove removes
increments together with what they are built on, which would take later checkpoints away.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from karbor.model import errors
from karbor.model.cost import Use
from karbor.model.resource import Resource
from karbor.plugins.resources import leavings
from karbor.plugins.resources.cinder import saved_of
from karbor.plugins.resources.cloudtypes import DATABASE
from karbor.plugins.resources.described import Described, Kind, checked
from karbor.sdk.made import Made
from karbor.sdk.mapping import new_name
from karbor.sdk.options import Options, option, required
from karbor.sdk.protection import Protected, Protection, Restored, RestorePlan, Work
from karbor.sdk.template import HeatResource, reference

if TYPE_CHECKING:
    from karbor.clients.openstack import Cloud

_GIB = 1 << 30
_BACKUP = Kind("/backups", "backup", "completed", ("failed", "delete_failed"), "instance_id", 12 * 3600.0)


class DatabaseProtection(Protection):
    """Backups of Trove."""

    resource_types = (DATABASE,)
    acts_in_cloud = True
    through_heat = True

    class Protect(Options):
        """Parameters of a plan. The names are those of the old service."""

        backup_name: str = option("", "Name of the backup. Empty: the names of checkpoint and instance.")
        description: str = option("", "Description of the backup; the mark of the job stands behind it.")

    class Restore(Options):
        """Parameters of a restore."""

        restore_name: str = option("", "Name of the new instance. Empty: CHECKPOINT@ORIGINAL.")
        restore_net_id: str = option("", "Network of the new instance. Empty: that of the old one, where it is known.")

    class Saved(Options):
        """What the checkpoint keeps."""

        backup_id: str = required("The backup in Trove.")
        instance_id: str = required("The instance it was made of.")
        size: float = option(0.0, "Size of the backup.", unit="GiB")
        instance: str = required("What another instance like it needs (JSON).")

    def cost(self, resource: Resource, options: Any) -> Sequence[Use]:
        """A backup that stays. Trove tells only its administrators how many there may be."""
        return [Use("database", "backups", 1)]

    def protect(self, work: Work) -> Protected:
        """Have the backup made, which takes as long as the database is large."""
        instance = work.cloud.database.get(f"/instances/{work.key.id}").json()["instance"]
        found = _backups(work).made(
            work.key.id,
            instance=work.key.id,
            name=work.options.backup_name or f"{work.checkpoint_id}@{work.key.id}",
            description=work.options.description,
        )
        size = float(found.get("size") or 0.0)
        old = _described(instance)
        saved = {
            "backup_id": found["id"],
            "instance_id": work.key.id,
            "size": size,
            "instance": json.dumps(old, sort_keys=True),
        }
        return Protected(saved, logical_bytes=int(size * _GIB), mode="full")

    def abandon(self, work: Work) -> None:
        _backups(work).remove_own(work.key.id)

    def restore_prepare(self, work: Work) -> None:
        """Refuse what could not be built. Raises ResourceNotFound."""
        _backups(work).one(saved_of(work)["backup_id"])

    def restore(self, work: Work) -> Restored:
        """Heat makes an instance of the backup; its databases and users are in that."""
        return Restored("", {}, (_part(work),))

    def made_by_jobs(self, cloud: "Cloud") -> Iterable[Made]:
        """By the job in their descriptions."""
        if not cloud.has("database"):
            return ()
        return leavings.of_described(cloud.database.each("/backups", "backups"), "database", "backups")

    def remove_made(self, cloud: "Cloud", made: Made) -> None:
        leavings.remove(cloud, made)

    def restore_plan(self, work: Work) -> RestorePlan:
        """A new instance; a conflict where the backup is gone."""
        saved, old = saved_of(work), json.loads(saved_of(work)["instance"])
        conflicts: tuple[errors.KarborError, ...] = ()
        try:
            _backups(work).one(saved["backup_id"])
        except errors.NotFound as gone:
            conflicts = (gone,)
        warnings = [f"Of the quotas of the project this uses: 1 instance, {old['size']} gigabytes of its volumes."]
        if not _networks(work, old):
            warnings.append("The network of the old instance is not known: the cloud chooses one, or restore_net_id.")
        return RestorePlan(
            [{"name": _new_name(work), "place": work.mapped("flavor", old["flavor_id"])}],
            bytes=int(saved["size"] * _GIB),
            conflicts=conflicts,
            warnings=warnings,
            template=(_part(work),),
        )

    def verify(self, work: Work) -> Mapping[str, Any]:
        """The backup is there and, for Trove, whole. Only a restore proves more."""
        backups = _backups(work)
        found = backups.one(saved_of(work)["backup_id"])
        return checked(found, ready=backups.is_ready(found), name=work.resource.name)

    def delete(self, work: Work) -> None:
        _backups(work).remove(saved_of(work)["backup_id"])


def _backups(work: Work) -> Described:
    api = work.cloud.database
    return Described(work, api, _BACKUP, lambda: api.each("/backups", "backups"))


def _part(work: Work) -> HeatResource:
    """The instance that Heat makes."""
    saved, old = saved_of(work), json.loads(saved_of(work)["instance"])
    properties = {
        "name": _new_name(work),
        "flavor": work.mapped("flavor", old["flavor_id"]),
        "size": old["size"],
        "datastore_type": old["datastore_type"],
        "datastore_version": old["datastore_version"],
        "restore_point": saved["backup_id"],
        "networks": [{"network": network} for network in _networks(work, old)],
    }
    given = {key: value for key, value in properties.items() if value not in (None, "", [])}
    return HeatResource(work.key.id, DATABASE, given)


def _new_name(work: Work) -> str:
    old = json.loads(saved_of(work)["instance"])["name"]
    return str(work.options.restore_name or new_name(work, old, f"{work.checkpoint_id}@{work.key.id}"))


def _networks(work: Work, old: Mapping[str, Any]) -> list[Any]:
    if work.options.restore_net_id:
        return [work.options.restore_net_id]
    return [reference(id_, or_else=work.mapped("network", id_)) for id_ in old["networks"]]


def _described(instance: Mapping[str, Any]) -> dict[str, Any]:
    """Trove tells the networks of an instance since Victoria."""
    networks = [one["network"] for one in instance.get("addresses") or () if one.get("network")]
    return {
        "name": instance["name"],
        "flavor_id": str(instance["flavor"]["id"]),
        "size": (instance.get("volume") or {}).get("size") or 0,
        "datastore_type": instance["datastore"]["type"],
        "datastore_version": instance["datastore"]["version"],
        "networks": list(dict.fromkeys(networks)),
    }
