# SPDX-License-Identifier: Apache-2.0
"""How is the root disk of a server read on its compute host, through the hypervisor's driver?

The view of the disk is made while the server is frozen, and what changed since the earlier checkpoint is read. Nova
takes no part and nothing passes through Glance. Only the pull backup of QEMU is used: an overlay, as other ways need,
would be unknown to Nova, and lost with all that is in it when the server is rebooted hard.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from karbor.common.clock import Clock, iso
from karbor.model import errors
from karbor.sdk.environment import Environment
from karbor.sdk.hypervisor import Capture, CapturedDisk, CaptureRequest, DomainInfo, Hypervisor
from karbor.sdk.protection import EarlierPoint, Work
from karbor.sdk.streams import Kind, StreamInfo

DRIVER = "libvirt"
#: What may go wrong on the host without anything being wrong with the server: then Nova is asked.
_ELSEWHERE = (
    errors.ResourceNotFound,
    errors.HypervisorUnavailable,
    errors.Conflict,
    errors.Unavailable,
    errors.NotSupported,
    errors.StepFailed,
    errors.CaptureLost,
    errors.ConfigurationError,
)


@dataclass(frozen=True)
class Disk:
    """What was read of a root disk."""

    info: StreamInfo
    size: int
    base: EarlierPoint | None
    saved: Mapping[str, Any]


def begin(environment: Environment, work: Work) -> tuple[dict[str, Any] | None, str]:
    """Make the view; JSON for the later phases. Or None, and why it cannot be made by this worker."""
    if DRIVER not in environment.hypervisors:
        return None, "no worker of this service on the compute host of the server has this job"
    driver = environment.hypervisor(DRIVER)
    try:
        target = _target(driver.domain(work.key.parent_id))
        if not target:
            return None, "the host has no image file of the root disk"
        request = CaptureRequest(
            work.key.parent_id,
            work.provider_id,
            work.checkpoint_id,
            (target,),
            _since(work, target),
            quiesce="no",  # the server itself is frozen, where it can be
            method="bitmap",
        )
        found = driver.begin(request)
    except _ELSEWHERE as fault:
        return None, fault.message
    return {"capture": found.to_dict(), "taken_at": iso(Clock().now())}, ""


def read(environment: Environment, work: Work, begun: Mapping[str, Any], stream: str) -> Disk:
    """Read what changed since the earlier checkpoint, or everything. Raises CaptureLost, HypervisorUnavailable."""
    capture = Capture.from_dict(begun["capture"])
    (disk,) = capture.disks
    base, why_full = _base(work, disk, stream)
    with environment.hypervisor(DRIVER).source(capture, disk.target, full=base is None) as source:
        work.expect(sum(extent.length for extent in source.extents() if extent.kind is Kind.DATA))
        info = work.streams.write(stream, source, base_id=base.saved.streams[stream] if base else None)
        saved = {
            "target": disk.target,
            "view": capture.view,
            "tracked": disk.tracked,
            "why_full": why_full,
            "size": source.size,
        }
        return Disk(info, source.size, base, saved)


def end(environment: Environment, begun: Mapping[str, Any]) -> None:
    """Let go of the view. May be called again."""
    environment.hypervisor(DRIVER).end(Capture.from_dict(begun["capture"]))


def keep(environment: Environment, work: Work) -> None:
    """The checkpoint is in the bank: the next increment refers to it."""
    environment.hypervisor(DRIVER).keep(work.key.parent_id, work.provider_id, work.checkpoint_id)


def discard(environment: Environment, work: Work) -> None:
    """Leave nothing of what was begun, if anything was. May be called again."""
    if DRIVER in environment.hypervisors:
        driver: Hypervisor = environment.hypervisor(DRIVER)
        driver.discard(work.key.parent_id, work.provider_id, work.checkpoint_id)


def _target(info: DomainInfo) -> str:
    """The root disk by the name that Nova gives its image; whatever boots now, as in a rescue. Empty: there is none."""
    names = ("disk", f"{info.id}_disk")
    return next((disk.target for disk in info.disks if PurePosixPath(disk.path).name in names), "")


def _since(work: Work, target: str) -> dict[str, str]:
    for point in work.earlier:
        if point.saved.saved.get("tracked") and point.saved.saved.get("target") == target:
            return {target: point.checkpoint_id}
    return {}


def _base(work: Work, disk: CapturedDisk, stream: str) -> tuple[EarlierPoint | None, str]:
    """The earlier point an increment can be put on, or None and why not. Anything doubtful is None."""
    if disk.since is None:
        return None, disk.why_full
    for point in work.earlier:
        saved = point.saved.saved
        if point.checkpoint_id != disk.since or stream not in point.saved.streams:
            continue
        if (saved.get("view"), saved.get("size")) != (disk.since_view, disk.size):
            return None, "the data of the earlier checkpoint is of another view or size"
        if not work.streams.exists(point.saved.streams[stream]):
            return None, "the data of the earlier checkpoint is gone"
        return point, ""
    return None, "the earlier checkpoint is gone"
