# SPDX-License-Identifier: Apache-2.0
"""How is a guest of libvirt found, captured as a whole, and defined again from a checkpoint?

The domain opens one view of all its disks; the disks (resource type Libvirt::Disk) are read by their own plug-in.
"""

import contextlib
import json
import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from karbor.model import errors
from karbor.model.resource import Resource
from karbor.plugins.resources.libvirt_instant import RISK, InstantRestore, lent
from karbor.plugins.resources.libvirt_trial import end_trial, try_boot
from karbor.sdk.hypervisor import Capture, CaptureRequest, DomainInfo, Hypervisor, NewDomain
from karbor.sdk.options import Options, option, required
from karbor.sdk.protectable import Protectable
from karbor.sdk.protection import Protected, Protection, Restored, RestorePlan, Work

DOMAIN, DISK = "Libvirt::Domain", "Libvirt::Disk"
DRIVER = "libvirt"
_LOST = "What the disks hold now is lost. While the restore runs, and if it is cut off, they are neither old nor new."
_EXTENSIONS = {"qcow2": "qcow2", "raw": "img"}


class DomainProtectable(Protectable):
    """Domains of libvirt on this host. A domain that names no owner belongs to ``default_project``, or to everybody
    where that is empty."""

    resource_type = DOMAIN

    def list(
        self, project_id: str, *, after: str = "", limit: int = 1000, parameters: Mapping[str, Any] | None = None
    ) -> Sequence[Resource]:
        """Persistent domains in order of their UUID."""
        found = self.environment.hypervisor(DRIVER).domains()
        shown = [info for info in found if info.id > after and self.environment.is_visible(info.project_id, project_id)]
        return [_resource(info) for info in shown[:limit]]

    def get(self, project_id: str, resource_id: str, *, parameters: Mapping[str, Any] | None = None) -> Resource:
        """One domain by its UUID."""
        info = self.environment.hypervisor(DRIVER).domain(resource_id)
        if not self.environment.is_visible(info.project_id, project_id):
            raise errors.ResourceNotFound("The domain does not exist.", detail=f"{resource_id} has another owner")
        return _resource(info)


def _resource(info: DomainInfo) -> Resource:
    return Resource(DOMAIN, info.id, info.name, {"state": info.state, "disks": len(info.disks)})


class DomainProtection(Protection):
    """Capture all disks of a guest at one instant, and define it again from what was saved."""

    resource_types = (DOMAIN,)

    class Protect(Options):
        """How the view of the guest is made."""

        quiesce: Literal["required", "try", "no"] = option(
            "try", "Freeze the file systems in the guest first: insist, go on without, or do not."
        )
        method: Literal["auto", "bitmap", "snapshot"] = option(
            "auto", "Changed-block tracking, or an external snapshot; auto takes what the images allow."
        )
        exclude_disks: str = option("", "Disks to leave out, by target, parted by commas: vdb,vdc.")

    class Restore(Options):
        """How the restored guest differs from the one that was saved."""

        restore_name: str | None = option(None, "Name of the restored domain; the old name where it is not given.")
        new_uuid: bool = option(True, "Give it a new UUID; no: restore in place, over the same stopped domain.")
        keep_macs: bool = option(False, "Keep the MAC addresses although the UUID is new.")
        directory: str | None = option(None, "Directory of this host for the restored disks.")
        pool: str | None = option(None, "Storage pool for the restored disks, instead of a directory.")
        start: bool = option(False, "Start the guest when it is restored.")
        overwrite_disks: bool = option(
            False,
            "In place, into the disks that the stopped guest has: only what differs is written, and no room is needed. "
            "What they hold now is lost; the definition of the guest stays as it is.",
        )
        disk_format: Literal["same", "qcow2", "raw"] = option("same", "Format of the restored disks.")
        instant: bool = option(
            False,
            "Start the guest at once: it reads from the checkpoint what it lacks, while its disks (qcow2) are copied. "
            "The restore ends when all is here.",
        )
        bandwidth: int = option(0, "With instant: bound of the copy of each disk; 0: none.", minimum=0, unit="MiB/s")

    class Verify(Protection.Verify):
        """How it is proven that the guest could be restored."""

        level: Literal["quick", "data", "boot"] = option(  # type: ignore[assignment]  # one more than others know
            "data",
            "quick: every object of its disks is there with its right size; data: every byte is read and proven; boot: "
            "data, and a copy of the guest comes up from the checkpoint, without a network.",
        )
        boot_seconds: int = option(600, "With boot: how long it may take.", minimum=1, maximum=7200, unit="s")
        boot_sign: Literal["any", "agent", "console"] = option(
            "any", "With boot: what counts as a sign of life: its agent answers, its serial console says boot_text."
        )
        boot_text: str = option("login:", "With boot: what its first serial console says when it is up.")

    class Saved(Options):
        """What is kept of a domain; its disks are kept by themselves."""

        definition: str = required("Definition of the domain (XML).")
        name: str = required("Name of the domain.")
        method: str = required("How it was captured: bitmap, snapshot or offline.", told=True)
        disks: str = required("What was captured of each disk (JSON list).")
        not_frozen: str = option("", "Why the guest was not frozen.", told=True)

    def prepare_begin(self, work: Work) -> Mapping[str, Any]:
        """Freeze the view of all disks that are not left out."""
        excluded = _names(work.options.exclude_disks)
        targets = tuple(
            str(child.extra_info["target"])
            for _key, child in work.children
            if child.type == DISK and child.extra_info["target"] not in excluded
        )
        if not targets:
            raise errors.InvalidInput(f"No disk of {work.resource.name} is left to protect.")
        request = CaptureRequest(
            work.resource.id,
            work.provider_id,
            work.checkpoint_id,
            targets,
            _since(work, targets),
            work.options.quiesce,
            work.options.method,
        )
        return {"capture": self._driver().begin(request).to_dict()}

    def protect(self, work: Work) -> Protected:
        """Keep the definition; the disks are read by their own steps."""
        capture = Capture.from_dict(work.results["prepare_begin"]["capture"])
        disks = [
            {"target": disk.target, "format": disk.format, "size": disk.size, "tracked": disk.tracked}
            for disk in capture.disks
        ]
        saved = {
            "definition": capture.definition,
            "name": work.resource.name,
            "method": capture.method,
            "disks": json.dumps(disks),
            "not_frozen": str(capture.private.get("not_frozen", "")),
        }
        return Protected(saved, consistency=capture.consistency)

    def complete(self, work: Work) -> None:
        """Let go of the view."""
        self._driver().end(Capture.from_dict(work.results["prepare_begin"]["capture"]))

    def committed(self, work: Work) -> None:
        """From now on increments refer to this checkpoint."""
        self._driver().keep(work.resource.id, work.provider_id, work.checkpoint_id)

    def abandon(self, work: Work) -> None:
        """End the view and drop the tracker; the earlier one still covers everything."""
        self._driver().discard(work.resource.id, work.provider_id, work.checkpoint_id)

    def restore_prepare(self, work: Work) -> Mapping[str, Any]:
        """Decide name, UUID and places; refuse what would not work in the end."""
        decided, refusals = self._decide(work)
        if refusals:
            raise refusals[0]
        if work.options.instant:
            lent(work, decided["disks"])  # raises where this worker cannot
        return decided

    def restore_plan(self, work: Work) -> RestorePlan:
        """Tell which domain would be defined, and what the name, the UUID or a place stands against."""
        decided, refusals = self._decide(work)
        entry = {"name": str(decided["name"])}
        if work.options.overwrite_disks:
            return RestorePlan((), (entry,), conflicts=refusals, warnings=(_LOST,), decided=decided)
        risks = (RISK,) if work.options.instant else ()
        if work.options.new_uuid:
            warnings = (*self._shared_macs(work), *risks)
            return RestorePlan((entry,), conflicts=refusals, warnings=warnings, decided=decided)
        try:
            info = self._driver().domain(work.resource.id)
        except errors.ResourceNotFound:
            return RestorePlan((entry,), conflicts=refusals, warnings=risks, decided=decided)
        old_disks = [{"name": f"{info.name}/{disk.target}", "place": disk.path} for disk in info.disks]
        return RestorePlan((), (entry,), old_disks, conflicts=refusals, warnings=risks, decided=decided)

    def restore(self, work: Work) -> Restored:
        """Define the domain over its restored disks."""
        decided = work.results["restore_prepare"]
        if work.options.overwrite_disks:
            if work.options.start:
                self._driver().start(decided["uuid"])
            return Restored(decided["uuid"], {"name": decided["name"]})
        disks = {target: (place["path"], place["format"]) for target, place in decided["disks"].items()}
        new = NewDomain(
            disks,
            name=decided["name"],
            uuid=decided["uuid"],
            new_macs=work.options.new_uuid and not work.options.keep_macs,
            start=work.options.start or work.options.instant,
        )
        if work.options.instant:
            sizes = {disk["target"]: int(disk["size"]) for disk in json.loads(_saved(work)["disks"])}
            new_id = InstantRestore(self._driver(), work, new, sizes).run(str(_saved(work)["definition"]))
            return Restored(new_id, {"name": decided["name"]})
        new_id = self._driver().define(str(_saved(work)["definition"]), new)
        return Restored(new_id, {"name": decided["name"]})

    def restore_abandon(self, work: Work) -> None:
        """Undefine the domain, if it stands over the disks of this restore; what it had replaced comes back."""
        decided = work.results.get("restore_prepare")
        if decided is None or work.options.overwrite_disks:
            return  # the domain is as it was; its disks tell for themselves
        with contextlib.suppress(errors.ResourceNotFound):
            info = self._driver().domain(decided["uuid"])
            if {disk.path for disk in info.disks} == {place["path"] for place in decided["disks"].values()}:
                self._driver().undefine(decided["uuid"])
        if work.options.instant:
            lent(work, decided["disks"])[0].end()

    def verify(self, work: Work) -> Mapping[str, Any] | None:
        """Boot a copy of the guest, where that is asked for."""
        return try_boot(self._driver(), work) if work.options.level == "boot" else None

    def verify_abandon(self, work: Work) -> None:
        """Remove what a trial has left."""
        if work.options.level == "boot":
            end_trial(self._driver(), work)

    def _driver(self) -> Hypervisor:
        return self.environment.hypervisor(DRIVER)

    def _decide(self, work: Work) -> tuple[dict[str, Any], list[errors.KarborError]]:
        """What the restored domain shall be, and every reason why it cannot be so now. Changes nothing."""
        options, saved = work.options, _saved(work)
        if options.overwrite_disks:
            return self._decide_overwriting(work)
        name = options.restore_name or str(saved["name"])
        domain_id = str(uuid.uuid4()) if options.new_uuid else work.resource.id
        refusals: list[errors.KarborError] = list(self._conflicts(work, name, domain_id))
        if options.instant and options.disk_format == "raw":
            refusals.append(errors.InvalidInput("A guest can be started at once on disks of the format qcow2 only."))
        disks = {}
        for disk in json.loads(saved["disks"]):
            image_format = disk["format"] if options.disk_format == "same" else options.disk_format
            image_format = "qcow2" if options.instant else image_format
            mark = "" if options.new_uuid else f"-{work.operation_id[:8]}"
            file_name = f"{_file_part(name)}-{disk['target']}{mark}.{_EXTENSIONS[image_format]}"
            try:
                path = self._driver().target_path(directory=options.directory, pool=options.pool, name=file_name)
            except (errors.Conflict, errors.InvalidInput) as refusal:
                refusals.append(refusal)
                continue
            disks[disk["target"]] = {"path": path, "format": image_format, "instant": options.instant}
        return {"name": name, "uuid": domain_id, "disks": disks}, refusals

    def _decide_overwriting(self, work: Work) -> tuple[dict[str, Any], list[errors.KarborError]]:
        """The same for the disks that the domain has."""
        options, saved = work.options, _saved(work)
        decided: dict[str, Any] = {"name": str(saved["name"]), "uuid": work.resource.id, "disks": {}}
        elsewhere = (options.restore_name, options.directory, options.pool, options.new_uuid, options.instant)
        if any(elsewhere) or options.disk_format != "same":
            refusal = errors.InvalidInput(
                "Disks are overwritten where they are.",
                next_action="give new_uuid: false, and neither name, nor place, nor format, nor instant",
            )
            return decided, [refusal]
        try:
            info = self._driver().domain(work.resource.id)
        except errors.ResourceNotFound:
            gone = errors.Conflict("The domain is not there any more.", next_action="restore without overwrite_disks")
            return decided, [gone]
        refusals: list[errors.KarborError] = list(self._conflicts(work, decided["name"], info.id))
        there = {disk.target: disk for disk in info.disks}
        for disk in json.loads(saved["disks"]):
            found = there.get(disk["target"])
            if found is None or (found.format, found.size) != (disk["format"], disk["size"]):
                what = "is not there" if found is None else "has another size or format"
                refusals.append(
                    errors.Conflict(
                        f"The disk {disk['target']} of {info.name} {what}.",
                        next_action="restore without overwrite_disks",
                    )
                )
                continue
            decided["disks"][disk["target"]] = {"path": found.path, "format": found.format, "overwrite": True}
        return decided, refusals

    def _conflicts(self, work: Work, name: str, domain_id: str) -> Iterator[errors.Conflict]:
        """Where name or UUID are taken by what this restore may not replace."""
        for info in self._driver().domains():
            if info.id == domain_id:
                if not self.environment.is_visible(info.project_id, work.project_id) or info.name != name:
                    yield errors.Conflict(
                        "The UUID of the saved domain belongs to another domain.", next_action="set new_uuid"
                    )
                elif info.state != "shut off":
                    yield errors.Conflict(f"The domain {name} is {info.state}.", next_action="stop it first")
            elif info.name == name:
                yield errors.Conflict(f"There is a domain named {name}.", next_action="give a restore_name")

    def _shared_macs(self, work: Work) -> Sequence[str]:
        """Allowed, because the owner asked for it; and worth a word while the original is there."""
        if not work.options.keep_macs:
            return ()
        try:
            info = self._driver().domain(work.resource.id)
        except errors.ResourceNotFound:
            return ()
        if not self.environment.is_visible(info.project_id, work.project_id):
            return ()
        return (f"The MAC addresses are kept, and the domain {info.name} has the same ones.",)


def _since(work: Work, targets: Sequence[str]) -> dict[str, str]:
    """For each disk the newest earlier checkpoint that made a tracker on it."""
    found: dict[str, str] = {}
    for point in work.earlier:
        for disk in json.loads(point.saved.saved.get("disks", "[]")):
            if disk["tracked"] and disk["target"] in targets:
                found.setdefault(disk["target"], point.checkpoint_id)
    return found


def _saved(work: Work) -> Mapping[str, Any]:
    if work.saved is None:
        raise errors.IntegrityError("The checkpoint holds nothing of this domain.")
    return work.saved.saved


def _names(text: str) -> frozenset[str]:
    return frozenset(part.strip() for part in text.split(",") if part.strip())


def _file_part(name: str) -> str:
    """The name of a domain as part of a file name."""
    return re.sub(r"[^A-Za-z0-9_.+@-]", "_", name).lstrip(".-")[:100] or "disk"
