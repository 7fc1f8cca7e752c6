# SPDX-License-Identifier: Apache-2.0
"""How are the disks of a server that lie on its compute host seen at one instant, and read there?

These are the root disk of a server that boots from an image, and ephemeral disks: Nova's names tell them; and volumes,
wherever these lie: their serials tell them. QEMU lets one backup of a guest run at a time, so there is one view of all
of them: the plug-in of the server makes it while the server is frozen, and ends it when its own reads and those of its
children have ended. What changed since the earlier checkpoint is read; volumes are read in full, because they move from
server to server, and nothing of ours may stay in them. Nova takes no part, and nothing passes through
Glance. Only the pull backup of QEMU is used: an overlay, as other ways need, would be unknown to Nova, and lost with
all that is in it when the server is rebooted hard.
"""

import hashlib
import json
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from karbor.common.clock import Clock, iso
from karbor.model import errors
from karbor.plugins.resources.pages import Pages
from karbor.sdk.environment import Environment
from karbor.sdk.hypervisor import Capture, CapturedDisk, CaptureRequest, DiskInfo, DomainInfo, Hypervisor
from karbor.sdk.protection import EarlierPoint, Work
from karbor.sdk.streams import Kind, StreamInfo

LOG = logging.getLogger(__name__)
DRIVER = "libvirt"
ROOT = "root"
NOT_HERE = "no worker of this service runs on the compute host of the server"
_NO_FILE = "the host has no image file of the root disk"
#: A view that shows nothing.
NOTHING: Mapping[str, Any] = {"disks": {}, "unread": [], "why": ""}
#: What may go wrong on the host without anything being wrong with the server.
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
#: As Nova names images: in a directory of the server, or beside those of others behind the id of the server.
_NAMED = re.compile(r"(?:(?P<id>[0-9a-f-]{36})_)?disk(?:\.(?P<more>eph\d+|local))?")
_EPHEMERAL = re.compile(r"eph\d+|local")
#: Whose volumes are connected to the host. What the definition of a guest that is off names may be another's by now.
_ALIVE = ("running", "paused")


@dataclass(frozen=True)
class Disk:
    """What was read of a disk. ``saved`` is what the next increment needs to know of it; ``changed``: bytes read."""

    info: StreamInfo
    size: int
    changed: int
    base: EarlierPoint | None
    saved: Mapping[str, Any]


def host_of(work: Work, server_id: str, hosts: Sequence[str]) -> str:
    """Which of these hosts a server runs on, as Nova names them; empty: none. Nova tells tenants a hash of the name."""
    try:
        server = Pages(work).server(server_id)
    except errors.NotFound:
        return ""
    told, project = server.get("hostId"), server["tenant_id"]
    return next((one for one in hosts if hashlib.sha224(f"{project}{one}".encode()).hexdigest() == told), "")


def begin(
    environment: Environment, work: Work, *, root: bool, ephemeral: bool, volumes: frozenset[str] = frozenset()
) -> dict[str, Any]:
    """Make the view of those disks of the server at hand. What comes back is the ``view`` of the functions below.

    ``disks``: by name (``root``, ``eph0``, the id of a volume) the target and size of each that it shows. ``why``: why
    there is no view. ``unread``: names of disks that are there and cannot be read. ``capture`` and ``taken_at``: where
    it shows any. ``why_no_volumes``: why it shows none where it could have.
    """
    if DRIVER not in environment.hypervisors:
        return {**NOTHING, "why": NOT_HERE}
    driver, unread = environment.hypervisor(DRIVER), []
    try:
        domain = _domain(driver, work.key.id)
        if domain is None:
            return {**NOTHING, "why": NOT_HERE}
        # What a try made that was cut off shows another instant than the one that begins now.
        driver.discard(work.key.id, work.provider_id, work.checkpoint_id)
        there = _named(work.key.id, domain, volumes)
        wanted = {
            name: disk for name, disk in there.items() if (root if name == ROOT else ephemeral or name in volumes)
        }
        unread = sorted(name for name, disk in wanted.items() if not disk.size)
        readable = {name: disk for name, disk in wanted.items() if disk.size}
        if not readable:
            return {**NOTHING, "unread": unread}
        found, why_no_volumes = _begun(driver, work, readable, volumes)
    except _ELSEWHERE as fault:
        LOG.info("no view of disks server=%s cause=%s", work.key.id, fault.operator_text())
        return {**NOTHING, "unread": unread, "why": fault.message}
    shown = {one.target for one in found.disks}
    disks = {name: {"target": d.target, "size": d.size} for name, d in readable.items() if d.target in shown}
    return {
        "capture": found.to_dict(), "taken_at": iso(Clock().now()), "disks": disks, "unread": unread, "why": "",
        "why_no_volumes": why_no_volumes,
    }  # fmt: skip


def is_ephemeral(name: str) -> bool:
    """Whether a disk of that name in a view is an ephemeral one."""
    return _EPHEMERAL.fullmatch(name) is not None


def ephemeral_of(view: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    """The ephemeral disks that a view shows, by name."""
    return {name: disk for name, disk in view["disks"].items() if is_ephemeral(name)}


def root_of_parent(work: Work) -> tuple[dict[str, Any] | None, str]:
    """For the image below a server: what the server's view shows of the root disk; or None, and why nothing."""
    view = (work.parent_results.get("prepare_begin") or {}).get("view")
    if view is None:
        return None, "the server has no view of its disks"
    if ROOT not in view["disks"]:
        return None, view["why"] or _NO_FILE
    return {"target": view["disks"][ROOT]["target"], "taken_at": view["taken_at"]}, ""


def is_read_by_children(work: Work) -> bool:
    """For the server: whether a child of it will read its disk from the view."""
    return any("target" in (phases.get("prepare_finish") or {}) for phases in work.child_phases.values())


def read(
    environment: Environment,
    work: Work,
    view: Mapping[str, Any],
    name: str,
    stream: str,
    *,
    kept: Callable[[EarlierPoint], Mapping[str, Any]] = lambda point: point.saved.saved,
    before: int = 0,
) -> Disk:
    """Read what changed on one disk since the earlier checkpoint, or everything, into ``stream``.

    ``kept`` finds the ``saved`` of the same disk in an earlier point; ``before``: bytes that this step has read of
    others. Raises CaptureLost, HypervisorUnavailable.
    """
    capture = Capture.from_dict(view["capture"])
    disk = capture.disk(view["disks"][name]["target"])
    base, why_full = _base(work, disk, stream, kept)
    with environment.hypervisor(DRIVER).source(capture, disk.target, full=base is None) as source:
        changed = sum(extent.length for extent in source.extents() if extent.kind is Kind.DATA)
        work.expect(before + changed)
        info = work.streams.write(stream, source, base_id=base.saved.streams[stream] if base else None)
        saved = {
            "target": disk.target,
            "view": capture.view,
            "tracked": disk.tracked,
            "why_full": why_full,
            "size": source.size,
        }
        return Disk(info, source.size, changed, base, saved)


def tracked(view: Mapping[str, Any]) -> list[str]:
    """The targets of which the next checkpoint can tell what changed."""
    if "capture" not in view:
        return []
    return [disk.target for disk in Capture.from_dict(view["capture"]).disks if disk.tracked]


def end(environment: Environment, view: Mapping[str, Any]) -> None:
    """Let go of the view, if there is one. May be called again."""
    if "capture" in view:
        environment.hypervisor(DRIVER).end(Capture.from_dict(view["capture"]))


def keep(environment: Environment, work: Work, view: Mapping[str, Any]) -> None:
    """The checkpoint is in the bank: the next increment refers to it, if it has a view."""
    if "capture" in view:
        environment.hypervisor(DRIVER).keep(work.key.id, work.provider_id, work.checkpoint_id)


def discard(environment: Environment, work: Work) -> None:
    """Leave nothing of what was begun, if anything was. May be called again."""
    if DRIVER in environment.hypervisors:
        driver: Hypervisor = environment.hypervisor(DRIVER)
        driver.discard(work.key.id, work.provider_id, work.checkpoint_id)


def _begun(
    driver: Hypervisor, work: Work, disks: Mapping[str, DiskInfo], volumes: frozenset[str]
) -> tuple[Capture, str]:
    """The view of these disks; or, where that cannot be, of those that are no volumes, and why: volumes can be read in
    another way."""

    def begun(targets: Sequence[str]) -> Capture:
        return driver.begin(
            CaptureRequest(
                work.key.id,
                work.provider_id,
                work.checkpoint_id,
                tuple(targets),
                _since(work, targets),
                quiesce="no",  # the server itself is frozen, where it can be
                method="bitmap",
                whole=tuple(disk.target for name, disk in disks.items() if name in volumes),
            )
        )

    try:
        return begun([disk.target for disk in disks.values()]), ""
    except _ELSEWHERE as fault:
        rest = [disk.target for name, disk in disks.items() if name not in volumes]
        if len(rest) in (0, len(disks)):
            raise
        LOG.info("no view of volumes server=%s cause=%s", work.key.id, fault.operator_text())
        return begun(rest), fault.message


def _domain(driver: Hypervisor, server_id: str) -> DomainInfo | None:
    """The guest; None where it is none of this host."""
    try:
        return driver.domain(server_id)
    except errors.ResourceNotFound:
        return None


def _named(server_id: str, domain: DomainInfo, volumes: frozenset[str]) -> dict[str, DiskInfo]:
    """Disks by what Nova calls their images, whatever boots now, as in a rescue. Swap is none of them. These volumes by
    their ids."""
    found = {}
    for disk in domain.disks:
        if disk.serial in volumes:
            if disk.plain and domain.state in _ALIVE:
                found[disk.serial] = disk
            continue
        name = _NAMED.fullmatch(PurePosixPath(disk.path).name)
        if name is not None and name["id"] in (None, server_id):
            found[name["more"] or ROOT] = disk
    return found


def _since(work: Work, targets: Sequence[str]) -> dict[str, str]:
    """For each disk the newest earlier checkpoint that has a tracker of it. Those of releases that knew of no more than
    the root disk do not say; whether they have one, the driver finds out."""
    found: dict[str, str] = {}
    for point in work.earlier:
        said = point.saved.saved.get("tracked")
        known = targets if said is None else json.loads(said)
        for target in set(targets).intersection(known):
            found.setdefault(target, point.checkpoint_id)
    return found


def _base(
    work: Work, disk: CapturedDisk, stream: str, kept: Callable[[EarlierPoint], Mapping[str, Any]]
) -> tuple[EarlierPoint | None, str]:
    """The earlier point an increment can be put on, or None and why not. Anything doubtful is None."""
    if disk.since is None:
        return None, disk.why_full
    for point in work.earlier:
        if point.checkpoint_id != disk.since or stream not in point.saved.streams:
            continue
        saved = kept(point)
        had = (saved.get("target"), saved.get("view"), saved.get("size"))
        if had != (disk.target, disk.since_view, disk.size):
            return None, "the data of the earlier checkpoint is of another view or size"
        if not work.streams.exists(point.saved.streams[stream]):
            return None, "the data of the earlier checkpoint is gone"
        return point, ""
    return None, "the earlier checkpoint is gone"
