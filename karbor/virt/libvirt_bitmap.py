# SPDX-License-Identifier: Apache-2.0
"""How is a running guest captured with a pull backup and dirty bitmaps?

All disks of the request go into one backup job, so they show one instant. Disks that cannot hold a bitmap are in the
same job and are read in full. The job, its socket and its scratch files are libvirt's: they outlive this process and
the daemon, and libvirt removes the scratch files at the end.

What libvirt finds missing or broken demotes disks to a full read, one at a time where it names the disk; never more.
"""

import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import libvirt

from karbor.model import errors
from karbor.sdk.hypervisor import CapturedDisk, DiskInfo
from karbor.virt import libvirt_trackers, libvirt_xml
from karbor.virt.libvirt_connection import Connection, has_code, translated
from karbor.virt.libvirt_names import CaptureFiles, tracker_name
from karbor.virt.libvirt_wait import wait_until

LOG = logging.getLogger(__name__)

_BACKUP_JOB = 9  # VIR_DOMAIN_JOB_OPERATION_BACKUP
END_SECONDS = 60
_NO_JOB = (libvirt.VIR_ERR_NO_DOMAIN_BACKUP, libvirt.VIR_ERR_OPERATION_INVALID, libvirt.VIR_ERR_NO_SUPPORT)
_BROKEN = (libvirt.VIR_ERR_CHECKPOINT_INCONSISTENT, libvirt.VIR_ERR_NO_DOMAIN_CHECKPOINT)
_NAMED_DISK = re.compile(r"disk '(?P<target>[^']+)'")
_NO_TRACKER = ("cannot store dirty bitmaps", "checkpoint", "bitmap")


@dataclass
class PullPlan:
    """What is asked of libvirt; shrinks as libvirt says no. ``view`` names the view that is to be made."""

    view: str
    disks: Sequence[DiskInfo]
    left_out: Sequence[str]
    since: dict[str, str] = field(default_factory=dict)  # target -> token
    since_view: dict[str, str] = field(default_factory=dict)  # target -> view
    why_full: dict[str, str] = field(default_factory=dict)  # target -> reason
    tracked: set[str] = field(default_factory=set)

    def demote(self, targets: Sequence[str], reason: str) -> None:
        for target in targets:
            self.since.pop(target, None)
            self.since_view.pop(target, None)
            self.why_full[target] = reason

    def captured(self) -> tuple[CapturedDisk, ...]:
        return tuple(
            CapturedDisk(
                disk.target,
                disk.size,
                disk.format,
                self.since.get(disk.target),
                "" if disk.target in self.since else self.why_full.get(disk.target, "no earlier checkpoint"),
                disk.target in self.tracked,
                self.since_view.get(disk.target, ""),
            )
            for disk in self.disks
        )


def plan(
    domain: libvirt.virDomain, files: CaptureFiles, disks: Sequence[DiskInfo], since: Mapping[str, str], *, view: str
) -> PullPlan:
    """Which disks can be read as an increment, as far as libvirt's list of checkpoints tells."""
    trackers = libvirt_trackers.tokens(domain, files.scope)
    every = [disk.target for disk in disks]
    root = libvirt_xml.parse(domain.XMLDesc(0))
    left_out = [disk.target for disk in libvirt_xml.disks(root) if disk.target not in every]
    made = PullPlan(view, disks, left_out, tracked={disk.target for disk in disks if disk.tracked})
    for disk in disks:
        token = since.get(disk.target)
        tracker = trackers.get(token) if token is not None else None
        if not disk.tracked:
            made.why_full[disk.target] = f"a {disk.format} image of this kind keeps no dirty bitmap"
        elif token is not None and tracker is not None and disk.target in tracker.targets:
            made.since[disk.target], made.since_view[disk.target] = token, tracker.view
        elif token is not None:
            made.why_full[disk.target] = "the tracker of the earlier checkpoint is missing"
    return made


def begin(domain: libvirt.virDomain, files: CaptureFiles, wanted: PullPlan) -> frozenset[str]:
    """Start the pull backup; ``wanted`` then says what was really started. At most two more tries per disk.

    Returns the tokens of trackers that turned out to be broken. Raises StepFailed.
    """
    broken: set[str] = set()
    for _ in range(2 * len(wanted.disks) + 2):
        try:
            _start(domain, files, wanted)
            return frozenset(broken - set(wanted.since.values()))
        except libvirt.libvirtError as fault:
            broken |= set(wanted.since.values())
            _demote(wanted, fault)
    raise errors.StepFailed("The backup could not be started.", detail="libvirt refused every form of it")


def _start(domain: libvirt.virDomain, files: CaptureFiles, wanted: PullPlan) -> None:
    chosen = [
        libvirt_xml.BackupDisk(
            disk.target,
            files.scratch(disk.target),
            tracker_name(files.scope, wanted.since[disk.target]) if disk.target in wanted.since else None,
        )
        for disk in wanted.disks
    ]
    order = libvirt_xml.backup_xml(files.socket, chosen, wanted.left_out)
    tracked = [disk.target for disk in wanted.disks if disk.target in wanted.tracked]
    others = [disk.target for disk in wanted.disks if disk.target not in wanted.tracked]
    rest = [*others, *wanted.left_out]
    checkpoint = libvirt_xml.checkpoint_xml(files.tracker, wanted.view, tracked, rest) if tracked else None
    domain.backupBegin(order, checkpoint, 0)


def _demote(wanted: PullPlan, fault: libvirt.libvirtError) -> None:
    """Ask for less after libvirt said no. Raises the translated error where less would not help."""
    text = fault.get_error_message()
    named = _NAMED_DISK.search(text)
    target = named["target"] if named else None
    if has_code(fault, *_BROKEN) and wanted.since:
        chosen = [target] if target in wanted.since else list(wanted.since)
        LOG.warning("tracker unusable disks=%s cause=%s", ",".join(chosen), text)
        wanted.demote(chosen, f"the tracker of the earlier checkpoint is unusable: {text}")
        return
    if wanted.tracked and any(word in text.lower() for word in _NO_TRACKER):
        chosen = [target] if target in wanted.tracked else sorted(wanted.tracked)
        LOG.warning("no tracker possible disks=%s cause=%s", ",".join(chosen), text)
        wanted.tracked.difference_update(chosen)
        wanted.demote(chosen, f"the image keeps no dirty bitmap: {text}")
        return
    with translated("start a pull backup"):
        raise fault


def drop_broken(connection: Connection, domain: libvirt.virDomain, scope: str, tokens: Iterable[str]) -> None:
    """Drop broken trackers. One that cannot be dropped now is dropped by the next begin or keep."""
    for token in sorted(tokens):
        try:
            libvirt_trackers.drop(connection, domain, tracker_name(scope, token))
        except errors.KarborError as fault:
            LOG.warning("broken tracker stays token=%s cause=%s", token, fault.operator_text())


@dataclass(frozen=True)
class Job:
    """A running backup job. ``socket`` and ``scratch`` tell whose it is."""

    socket: str
    scratch: tuple[str, ...]

    def belongs_to(self, files: CaptureFiles) -> bool:
        return self.socket == str(files.socket) and any(
            path.startswith(f"{files.scratch_dir}/{files.stem}.") for path in self.scratch
        )


def job(domain: libvirt.virDomain) -> Job | None:
    """The backup job that the domain has now."""
    with translated(f"look for a backup job of {domain.UUIDString()}"):
        try:
            if not domain.isActive() or domain.jobStats().get("operation") != _BACKUP_JOB:
                return None
            return Job(*libvirt_xml.job_files(domain.backupGetXMLDesc(0)))
        except libvirt.libvirtError as fault:
            if has_code(fault, *_NO_JOB):
                return None
            raise


def end(domain: libvirt.virDomain, files: CaptureFiles) -> bool:
    """End the job where it is ours, and wait until libvirt has torn it down. True where there was one."""
    running = job(domain)
    if running is None or not running.belongs_to(files):
        return False
    with translated(f"end the backup job of {domain.UUIDString()}"):
        try:
            domain.abortJob()
        except libvirt.libvirtError as fault:
            if not has_code(fault, libvirt.VIR_ERR_OPERATION_INVALID):
                raise
        wait_until(lambda: _job_is_over(domain), "the end of the backup job", seconds=END_SECONDS)
    return True


def _job_is_over(domain: libvirt.virDomain) -> bool:
    return not domain.isActive() or domain.jobInfo()[0] == libvirt.VIR_DOMAIN_JOB_NONE
