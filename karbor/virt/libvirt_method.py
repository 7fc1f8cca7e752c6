# SPDX-License-Identifier: Apache-2.0
"""What must each way to capture a domain (pull backup, external snapshot, stopped images) be able to do?"""

import abc
import os
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import libvirt

from karbor.model import errors
from karbor.sdk.hypervisor import Capture, CaptureRequest, DiskInfo
from karbor.sdk.streams import Extent, Source, fill
from karbor.virt import libvirt_nvram, libvirt_xml
from karbor.virt.libvirt_connection import Connection, translated
from karbor.virt.libvirt_names import CaptureFiles
from karbor.virt.libvirt_record import CaptureRecord


@dataclass(frozen=True)
class Host:
    """One hypervisor with the operator's settings. ``notes_dir``: for what must outlive the scratch directory."""

    connection: Connection
    scratch_dir: Path
    freeze_seconds: int
    reserve_bytes: int
    notes_dir: Path | None = None

    def prepare_scratch(self) -> None:
        """Make the scratch directory where it is missing, so that QEMU can write to it. May be called again.

        Raises ConfigurationError where it cannot be made, or where the user that QEMU runs as cannot get there.
        """
        user = self.connection.qemu_user() if os.geteuid() == 0 else None
        try:
            if not self.scratch_dir.is_dir():
                self.scratch_dir.mkdir(mode=0o711, parents=True)
                self.scratch_dir.chmod(0o711)  # whatever the umask is
                if user is not None:
                    os.chown(self.scratch_dir, *user)
            closed = _closed_to(user, self.scratch_dir) if user is not None else None
        except OSError as fault:
            raise errors.ConfigurationError(
                "The scratch directory cannot be made.", detail=str(fault), next_action="check scratch_dir"
            ) from fault
        if closed is not None:
            raise errors.ConfigurationError(
                "QEMU cannot reach the scratch directory.",
                detail=f"the user with id {user[0] if user else ''} that QEMU runs as may not pass through {closed}",
                next_action="set scratch_dir of the hypervisor to a place it can reach, as /var/tmp/karbor",
            )

    def files(self, domain_id: str, scope: str, token: str) -> CaptureFiles:
        return CaptureFiles(self.scratch_dir, domain_id, scope, token)


def _closed_to(user: tuple[int, int], path: Path) -> Path | None:
    """The first directory above ``path`` that this user may not pass through; None where the way is open."""
    if user[0] == 0:
        return None
    for above in reversed(path.resolve().parents):
        found = above.stat()
        bit = 0o100 if found.st_uid == user[0] else 0o010 if found.st_gid == user[1] else 0o001
        if not found.st_mode & bit:
            return above
    return None


class Method(abc.ABC):
    """One way. Stateless; what it must remember is in the record and in what libvirt says."""

    name: str

    def __init__(self, host: Host) -> None:
        self.host = host

    @abc.abstractmethod
    def make(
        self, domain: libvirt.virDomain, files: CaptureFiles, disks: Sequence[DiskInfo], request: CaptureRequest
    ) -> Capture:
        """Freeze the view. What it leaves when it raises is removed by ``let_go`` and ``libvirt_trackers.drop``."""

    @abc.abstractmethod
    def stands(self, record: CaptureRecord) -> bool:
        """Whether the view is still there and constant. ``record.capture`` is set."""

    @abc.abstractmethod
    def open(self, record: CaptureRecord, target: str, *, full: bool) -> AbstractContextManager[Source]:
        """One disk for reading. Raises CaptureLost."""

    def still(self, record: CaptureRecord, target: str) -> bool:
        """A cheap look after every read; ``stands`` is asked when the reading is over."""
        return True

    @abc.abstractmethod
    def let_go(self, record: CaptureRecord) -> Sequence[str]:
        """End the view and put the guest back as it was; trackers stay. One line per thing done.

        May be called at any time and again, also for a record that was only begun.
        """


def new_view() -> str:
    """A name for one instant."""
    return uuid.uuid4().hex


def definition(domain: libvirt.virDomain) -> str:
    """What a restore defines again: the persistent definition, with disks that were plugged in since then and with the
    firmware variables."""
    with translated(f"read the definition of {domain.UUIDString()}"):
        kept = libvirt_xml.parse(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE | libvirt.VIR_DOMAIN_XML_MIGRATABLE))
        live = libvirt_xml.parse(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_MIGRATABLE))
    known, devices = libvirt_xml.disk_elements(kept), kept.find("devices")
    for target, element in libvirt_xml.disk_elements(live).items():
        if target not in known and devices is not None:
            devices.append(element)
    libvirt_nvram.put_in(kept)
    return libvirt_xml.text_of(kept)


class CheckedSource:
    """A source whose every answer is followed by a look whether the view still stands."""

    def __init__(self, inner: Source, check: Callable[[], None]) -> None:
        self._inner = inner
        self._check = check
        self.size = inner.size

    def extents(self) -> Iterator[Extent]:
        yield from self._inner.extents()
        self._check()

    def read(self, offset: int, length: int) -> bytes:
        data = self._inner.read(offset, length)
        self._check()
        return data

    def read_into(self, offset: int, into: memoryview) -> None:
        fill(self._inner, offset, into)
        self._check()


@contextmanager
def lost_when(stands: Callable[[], bool], reason: Callable[[], str]) -> Iterator[None]:
    """Around reading: raises CaptureLost where the view does not stand at the end, whatever else went wrong."""
    try:
        yield
    except errors.StepFailed as fault:
        if not stands():
            raise errors.CaptureLost(detail=f"{reason()}; {fault.operator_text()}") from fault
        raise
    if not stands():
        raise errors.CaptureLost(detail=reason())
