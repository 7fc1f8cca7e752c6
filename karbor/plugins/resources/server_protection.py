# SPDX-License-Identifier: Apache-2.0
"""How is a server of Nova kept, and handed to Heat to be built again?

Its disks are resources below it, with plug-ins of their own, but for ephemeral disks, which no service of a cloud
knows. Of the server itself is kept what is on these, and everything that its tenant can see and set: flavor, devices,
ports with their addresses, groups, metadata.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from karbor.model import errors
from karbor.model.checkpoint import SavedResource
from karbor.plugins.resources import ephemeral, host_disks, host_volumes, leavings, server_freeze
from karbor.plugins.resources.cinder import saved_of
from karbor.plugins.resources.cloudtypes import IMAGE, SERVER, VOLUME
from karbor.plugins.resources.nova import Nova, described, fitting_flavor
from karbor.plugins.resources.server_addresses import decide_ports, free_floating
from karbor.plugins.resources.server_plan import parts, root_volume, user_data_text
from karbor.sdk.made import Made
from karbor.sdk.mapping import OldNames
from karbor.sdk.options import Options, option, required
from karbor.sdk.protection import Protected, Protection, Restored, RestorePlan, Work

if TYPE_CHECKING:
    from karbor.clients.openstack import Cloud


class ServerProtection(Protection):
    """Servers of Nova."""

    resource_types = (SERVER,)
    acts_in_cloud = True
    through_heat = True

    class Protect(Options):
        """Parameters of a plan."""

        quiesce: Literal["required", "try", "no"] = option(
            "try",
            "Freeze the file systems in the guest while the snapshots of its disks are taken: insist, go on without, "
            "or do not. It takes a worker on the compute host of the server.",
        )
        ephemeral_disks: Literal["required", "try", "no"] = option(
            "try",
            "Keep what is on its ephemeral disks: insist, go on without and say so, or leave them out. It takes a "
            "worker on the compute host of the server. Swap is never kept.",
        )

    class Restore(Options):
        """Parameters of a restore. The names are those of the old service."""

        restore_name: str = option("", "Name of the new server. Empty: that of the old one.")
        restore_net_id: str = option("", "Put the server into this network, with one new port, and none of its old.")
        restore_flavor_id: str = option("", "Flavor of the new server. Empty: as the old one.")
        addresses: Literal["try", "keep", "new"] = option(
            "try",
            "try: the old fixed addresses where nothing has them now; keep: those, or no restore; new: any.",
        )
        ephemeral_disks: Literal["auto", "volume", "blank"] = option(
            "auto",
            "volume: what was on its ephemeral disks comes back on new volumes that are attached to it; blank: it does "
            "not; auto: on volumes where the cloud has some. The ephemeral disks of a new server are always empty.",
        )

    class Saved(Options):
        """What the checkpoint keeps of a server."""

        server: str = required("What another server like it needs (JSON).")
        skew: float = option(
            0.0, "Time between the first and the last of its disks, by what the cloud says.", unit="s", told=True
        )
        frozen: float = option(0.0, "How long its guest was frozen.", unit="s", told=True)
        not_frozen: str = option("", "Why its disks do not show it frozen at one instant; empty: they do.", told=True)
        ephemeral: str = option("[]", "What was read of each ephemeral disk (JSON list).")
        not_kept: str = option("", "What of its ephemeral disks is not kept, and why; empty: nothing.", told=True)
        tracked: str = option("[]", "Disks of which the next checkpoint can tell what changed (JSON list).")

    def host(self, work: Work, hosts: Sequence[str]) -> str:
        """Where it runs: there it can be frozen, and its disks can be read."""
        return host_disks.host_of(work, work.key.id, hosts)

    def prepare_begin(self, work: Work) -> Mapping[str, Any]:
        """Look at everything, refuse what could not come back, freeze it, and make the view of its host's disks."""
        found = described(Nova(work), work.key.id)
        held = {key.type for key, _child in work.children}
        if found["image_id"] and IMAGE not in held:
            raise errors.NotSupported(
                f"The root disk of {work.resource.name} would not be kept: the provider protects no images.",
                next_action="let the operator add karbor-image-protection-plugin to the provider",
            )
        if root_volume(found) is not None and VOLUME not in held:
            raise errors.NotSupported(
                f"The volume that {work.resource.name} boots from would not be kept: the provider protects no volumes.",
                next_action="let the operator add a plug-in for volumes to the provider",
            )
        freeze, wanted = server_freeze.hold(self.environment, work), work.options.ephemeral_disks != "no"
        root, volumes = bool(found["image_id"]), host_volumes.asked_for(work)
        view = host_disks.begin(self.environment, work, root=root, ephemeral=wanted, volumes=volumes)
        not_kept = ephemeral.not_kept(found, view, wanted=wanted)
        if not_kept and work.options.ephemeral_disks == "required":
            raise errors.StepFailed(
                f"The plan requires the ephemeral disks of {work.resource.name}. {not_kept}",
                next_action="let a worker with the libvirt driver run on its compute host, or set ephemeral_disks to "
                "try",
            )
        return {"server": found, "freeze": freeze, "view": view, "not_kept": not_kept}

    def prepare_finish(self, work: Work) -> Mapping[str, Any]:
        """All its disks are taken: thaw it, and see what they show. A view that nobody will read goes at once."""
        instant = server_freeze.let_go(self.environment, work)
        view = work.results["prepare_begin"]["view"]
        is_read = bool(host_disks.ephemeral_of(view)) or host_disks.is_read_by_children(work)
        if "capture" in view and not is_read:
            host_disks.discard(self.environment, work)
        return {**instant, "view_read": is_read}

    def protect(self, work: Work) -> Protected:
        """Read the ephemeral disks; all else that is known was seen before."""
        begun, instant = work.results["prepare_begin"], work.results["prepare_finish"]
        read = ephemeral.protect(self.environment, work, _view(work))
        saved = {
            **read.saved,
            "server": json.dumps(begun["server"], sort_keys=True),
            "skew": instant["skew"],
            "frozen": instant["held"],
            "not_frozen": instant["not_frozen"],
            "not_kept": begun["not_kept"],
        }
        return replace(read, saved=saved, consistency=instant["consistency"])

    def complete(self, work: Work) -> None:
        """Everything was read from the view."""
        host_disks.end(self.environment, _view(work))

    def committed(self, work: Work) -> None:
        """From now on increments refer to this checkpoint."""
        host_disks.keep(self.environment, work, _view(work))

    def abandon(self, work: Work) -> None:
        """Whatever failed, the guest goes on, and nothing is left on its host."""
        try:
            server_freeze.thaw(self.environment, work)
        finally:
            host_disks.discard(self.environment, work)

    def restore_prepare(self, work: Work) -> Mapping[str, Any]:
        """Decide about flavor, key pair and addresses. Raises InvalidInput, Conflict where that cannot be."""
        decided, conflicts, _warnings = _decide(work)
        if conflicts:
            raise conflicts[0]
        return decided

    def restore(self, work: Work) -> Restored:
        """Leave it to Heat, but for the volumes with what was on ephemeral disks."""
        old, decided = json.loads(saved_of(work)["server"]), work.results["restore_prepare"]
        volumes = ephemeral.restore(work, decided.get("ephemeral", ()))
        return Restored("", {}, [*parts(work, old, decided), *volumes])

    def restore_abandon(self, work: Work) -> None:
        """Remove those volumes."""
        ephemeral.remove(work)

    def made_by_jobs(self, cloud: "Cloud") -> Iterable[Made]:
        """Images that pass, by their marks."""
        return leavings.of_glance(cloud)

    def remove_made(self, cloud: "Cloud", made: Made) -> None:
        leavings.remove(cloud, made)

    def old_names(self, saved: SavedResource) -> OldNames:
        """Those of the networks and security groups of its ports; checkpoints of earlier releases do not hold them."""
        found: OldNames = json.loads(saved.saved["server"]).get("names") or {}
        return found

    def restore_plan(self, work: Work) -> RestorePlan:
        """A new server, volumes for what was on ephemeral disks, and what would not be as it was."""
        decided, conflicts, warnings = _decide(work)
        place, volumes = decided.get("flavor_name", ""), decided["ephemeral"]
        old = json.loads(saved_of(work)["server"])
        return RestorePlan(
            [{"name": decided["name"], "place": place}, *({"name": one["volume_name"]} for one in volumes)],
            bytes=sum(int(one["size"]) << 30 for one in volumes),
            conflicts=conflicts,
            warnings=warnings,
            decided=decided,
            template=() if conflicts else [*parts(work, old, decided), *ephemeral.parameters(work, volumes)],
        )


def _view(work: Work) -> Mapping[str, Any]:
    """The view of the disks on the host, as far as anybody reads it."""
    begun: Mapping[str, Any] = work.results["prepare_begin"]
    return begun["view"] if work.results["prepare_finish"]["view_read"] else host_disks.NOTHING


def _decide(work: Work) -> tuple[dict[str, Any], Sequence[errors.KarborError], Sequence[str]]:
    """What the new server will be; what stands against it; what people should know."""
    nova, options, old = Nova(work), work.options, json.loads(saved_of(work)["server"])
    conflicts: list[errors.KarborError] = []
    warnings: list[str] = []
    decided: dict[str, Any] = {
        "name": options.restore_name or work.mapped("names", old["name"]),
        "key_name": "",
        "group_id": "",
    }
    wanted = options.restore_flavor_id or work.mapped("flavor", old["flavor"]["original_name"])
    try:
        flavor, told = fitting_flavor(nova.flavors(), wanted, old["flavor"])
        decided.update(flavor_id=flavor["id"], flavor_name=flavor["name"])
        warnings += [*([told] if told else []), *ephemeral.lack_of(flavor, old)]
    except errors.InvalidInput as refusal:
        conflicts.append(refusal)
    if old["key_name"]:
        name = work.mapped("keypair", old["key_name"])
        if name and nova.has_keypair(name):
            decided["key_name"] = name
        elif name:
            warnings.append(f"There is no key pair {name!r}: the server keeps the keys on its disk and gets none.")
    if old["group"]:
        decided["group_id"] = work.mapped("server_group", old["group"]["id"])
        if decided["group_id"] and not _has_group(work, decided["group_id"]):
            decided["group_id"] = ""
            warnings.append(f"The server group {old['group']['name']!r} is gone: the server is in none.")
    if old["user_data"] is None:
        warnings.append("What user data the server was made with is not known: only administrators may see it.")
    elif old["user_data"] and not user_data_text(old["user_data"]):
        warnings.append("The user data that the server was made with is no text: no template can hold it.")
    held = {child.id for key, child in work.children if key.type == VOLUME}
    missing = [one["volume_id"] for one in old["volumes"] if one["volume_id"] not in held]
    warnings += [f"The volume {id_} is not in the checkpoint and will not be attached." for id_ in missing]
    decided["ports"], told_ports = decide_ports(work, old)
    if options.addresses == "keep" and told_ports:
        conflicts.append(errors.Conflict(told_ports[0], next_action="free the address, or let addresses be new"))
    warnings += told_ports
    decided["floating"] = free_floating(work, old, decided["ports"])
    decided["ephemeral"], scarce, told_disks = ephemeral.decide(work, decided["name"])
    return decided, [*conflicts, *scarce], [*warnings, *told_disks]


def _has_group(work: Work, group_id: str) -> bool:
    try:
        work.cloud.compute.get(f"/os-server-groups/{group_id}")
    except errors.NotFound:
        return False
    return True
