# SPDX-License-Identifier: Apache-2.0
"""How is one disk of a libvirt guest read into the vault and written back?

Disks are protected with their domain only: it opens one view of all of them, so they show one instant.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from karbor.model import errors
from karbor.model.resource import Resource
from karbor.sdk.hypervisor import Capture, CapturedDisk, DomainInfo, Hypervisor
from karbor.sdk.options import Options, option, required
from karbor.sdk.protectable import Protectable
from karbor.sdk.protection import EarlierPoint, Protected, Protection, Restored, RestorePlan, Work
from karbor.sdk.streams import Kind
from karbor.virt.libvirt_names import disk_id

DOMAIN, DISK = "Libvirt::Domain", "Libvirt::Disk"
DRIVER = "libvirt"
STREAM = "disk"
#: From this many domains on, one list is cheaper than asking for each.
_LIST_FROM = 8


class DiskProtectable(Protectable):
    """Disks of libvirt domains. Their id follows from the domain's UUID and the disk's target."""

    resource_type = DISK
    parent_types = (DOMAIN,)
    standalone = False

    def list(
        self, project_id: str, *, after: str = "", limit: int = 1000, parameters: Mapping[str, Any] | None = None
    ) -> Sequence[Resource]:
        """Every disk of every domain of the project, in order of id."""
        found = sorted(self._disks(project_id), key=lambda resource: resource.id)
        return [resource for resource in found if resource.id > after][:limit]

    def get(self, project_id: str, resource_id: str, *, parameters: Mapping[str, Any] | None = None) -> Resource:
        """One disk. Looks through all domains of the project: the id says nothing of the domain."""
        for resource in self._disks(project_id):
            if resource.id == resource_id:
                return resource
        raise errors.ResourceNotFound("The disk does not exist.", detail=repr(resource_id[:80]))

    def children(self, project_id: str, parents: Sequence[Resource]) -> Mapping[str, Sequence[Resource]]:
        """The disks of each domain; a domain that is gone or of another project has none."""
        driver, wanted = self.environment.hypervisor(DRIVER), {parent.id for parent in parents}
        if len(wanted) >= _LIST_FROM:
            found = [info for info in driver.domains() if info.id in wanted]
        else:
            found = [info for domain_id in sorted(wanted) if (info := _look_up(driver, domain_id)) is not None]
        return {info.id: _resources(info) for info in found if self.environment.is_visible(info.project_id, project_id)}

    def _disks(self, project_id: str) -> Sequence[Resource]:
        domains = self.environment.hypervisor(DRIVER).domains()
        return [
            disk
            for info in domains
            if self.environment.is_visible(info.project_id, project_id)
            for disk in _resources(info)
        ]


def _look_up(driver: Hypervisor, domain_id: str) -> DomainInfo | None:
    try:
        return driver.domain(domain_id)
    except errors.ResourceNotFound:
        return None


def _resources(info: DomainInfo) -> list[Resource]:
    return [
        Resource(
            DISK,
            disk_id(info.id, disk.target),
            f"{info.name}/{disk.target}",
            {
                "target": disk.target,
                "format": disk.format,
                "size": disk.size,
                "path": disk.path,
                "domain_id": info.id,
            },
            per_parent=True,
        )
        for disk in info.disks
    ]


class DiskProtection(Protection):
    """Read a disk from its domain's view, as an increment where that is certain; write it back sparse."""

    resource_types = (DISK,)

    class Saved(Options):
        """What is kept of a disk beside its bytes."""

        target: str = required("Name of the disk in the domain.")
        excluded: bool = option(False, "The plan left this disk out; nothing of it is kept.")
        format: str = option("", "Format of its image.")
        size: int = option(0, "Size that the guest sees.", unit="bytes")
        view: str = option("", "The frozen view it was read from.")
        why_full: str = option("", "Why it was read in full.")

    def protect(self, work: Work) -> Protected:
        """Read what changed since the earlier checkpoint, or everything."""
        target = str(work.resource.extra_info["target"])
        capture = Capture.from_dict(work.parent_results["prepare_begin"]["capture"])
        try:
            disk = capture.disk(target)
        except KeyError:
            return Protected({"target": target, "excluded": True})
        base, why_full = _base(work, disk)
        driver = self.environment.hypervisor(DRIVER)
        with driver.source(capture, target, full=base is None) as source:
            work.expect(sum(extent.length for extent in source.extents() if extent.kind is Kind.DATA))
            info = work.streams.write(STREAM, source, base_id=base.saved.streams[STREAM] if base else None)
        saved = {
            "target": target,
            "format": disk.format,
            "size": source.size,
            "view": capture.view,
            "why_full": why_full,
        }
        return Protected(
            saved,
            {STREAM: info},
            logical_bytes=source.size,
            mode="incremental" if base else "full",
            base_id=base.checkpoint_id if base else None,
        )

    def restore_prepare(self, work: Work) -> None:
        """Refuse a place without room for the data. Holes take none."""
        place = _place(work)
        if place is not None and not place.get("overwrite"):
            _, refusals = _room(work, place["path"])
            if refusals:
                raise refusals[0]

    def restore_plan(self, work: Work) -> RestorePlan:
        """Tell where the image would be written, and whether there is room."""
        place = _place(work)
        if place is None:
            return RestorePlan()
        if place.get("overwrite"):
            entry = {"name": work.resource.name, "place": place["path"]}
            return RestorePlan((), (entry,), bytes=_data(work))
        needed, refusals = _room(work, place["path"])
        # In place, the name of a file ends with digits of the restore, which has none yet.
        stem, mark, extension = place["path"].rpartition(f"-{work.operation_id[:8]}.")
        shown = f"{stem}-????????.{extension}" if mark and "/" not in extension else place["path"]
        return RestorePlan(({"name": work.resource.name, "place": shown},), bytes=needed, conflicts=refusals)

    def restore_replaces(self, work: Work) -> str:
        """A disk that is overwritten cannot be put back."""
        place = _place(work)
        if place is None or not place.get("overwrite"):
            return ""
        return f"The disk {place['path']} is being overwritten: until a restore ends well, it is neither old nor new."

    def restore(self, work: Work) -> Restored:
        """Write the image to the place that the domain's restore chose."""
        place = _place(work)
        if place is None:
            return Restored(work.resource.id, {"excluded": True})
        if place.get("instant"):  # the domain has it copied, under the guest
            return Restored("", {"path": place["path"], "format": place["format"]})
        reader = work.streams.read(STREAM)
        work.expect(reader.size)
        driver = self.environment.hypervisor(DRIVER)
        if place.get("overwrite"):
            driver.overwrite_disk(place["path"], place["format"], reader, work.advance)
            return Restored(work.resource.id, {"path": place["path"], "format": place["format"]})
        driver.write_disk(place["path"], place["format"], reader, work.advance)
        return Restored(place["path"], {"path": place["path"], "format": place["format"]})

    def restore_abandon(self, work: Work) -> None:
        """Remove what this restore wrote. The place was empty when the domain's restore chose it; a disk that is
        overwritten stays as it is: it may be restored again."""
        place = _place(work)
        if place is not None and not place.get("overwrite"):
            self.environment.hypervisor(DRIVER).remove_disk(place["path"])


def _data(work: Work) -> int:
    """Bytes of the saved disk that are not zero."""
    return sum(extent.length for extent in work.streams.read(STREAM).extents() if extent.kind is Kind.DATA)


def _room(work: Work, path: str) -> tuple[int, Sequence[errors.KarborError]]:
    """How many bytes will be written, and why they do not fit."""
    needed = _data(work)
    found = os.statvfs(Path(path).parent)
    free = found.f_bavail * found.f_frsize
    if needed <= free:
        return needed, ()
    refusal = errors.Conflict(
        f"There is not enough room in {Path(path).parent} for {work.resource.name}.",
        detail=f"{needed >> 20} MiB needed, {free >> 20} MiB free",
        next_action="choose another directory",
    )
    return needed, (refusal,)


def _base(work: Work, disk: CapturedDisk) -> tuple[EarlierPoint | None, str]:
    """The earlier point an increment can be put on, or None and why not. Anything doubtful is None."""
    if disk.since is None:
        return None, disk.why_full
    for point in work.earlier:
        if point.checkpoint_id != disk.since or STREAM not in point.saved.streams:
            continue
        if point.saved.saved.get("view") != disk.since_view:
            return None, "the tracker belongs to another view than the data of the earlier checkpoint"
        if point.saved.saved.get("size") != disk.size:
            return None, "the size of the disk has changed"
        if not work.streams.exists(point.saved.streams[STREAM]):
            return None, "the data of the earlier checkpoint is gone"
        return point, ""
    return None, "the earlier checkpoint is gone"


def _place(work: Work) -> Mapping[str, Any] | None:
    """Where the domain's restore wants this disk; None where the disk was left out or nothing was decided."""
    decided = work.parent_results.get("restore_prepare")
    found = decided["disks"].get(work.resource.extra_info["target"]) if decided else None
    return dict(found) if found else None
