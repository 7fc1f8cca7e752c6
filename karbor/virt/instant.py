# SPDX-License-Identifier: Apache-2.0
"""How does a guest run from an export at once, while its disks are copied behind its back?

Each disk is a local overlay on the export; what the guest writes lands there. Where the export is away the guest pauses
(error policy ``stop``) and goes on afterwards. Every method may be called again after a crash of the caller: what has
been done is found and left as it is.
"""

import logging
import os
import xml.etree.ElementTree as ET
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import libvirt

from karbor.common import command
from karbor.sdk.hypervisor import NewDomain, Pull
from karbor.virt import libvirt_xml, qemuimg
from karbor.virt.diskwriter import part_name
from karbor.virt.libvirt_connection import Connection, translated
from karbor.virt.libvirt_define import Definer, has_disks

LOG = logging.getLogger(__name__)
_POLICY = "stop"
_BY_SOMEBODY = (libvirt.VIR_DOMAIN_SHUTOFF_SHUTDOWN, libvirt.VIR_DOMAIN_SHUTOFF_DESTROYED)


class InstantGuest:
    """A guest whose ``disks`` (target to path) are overlays on exports."""

    def __init__(self, connection: Connection, uuid: str, disks: Mapping[str, str]) -> None:
        self.uuid = uuid
        self._connection = connection
        self._disks = {target: qemuimg.checked(path, "qcow2") for target, path in disks.items()}

    def begin(self, definition: str, new: NewDomain, definer: Definer, socket: str, exports: Mapping[str, str]) -> None:
        """Make the overlays on ``exports`` (names by target) behind ``socket``, define the guest and start it. The
        exports must serve. One that was begun before and that somebody switched off stays off."""
        for target, path in self._disks.items():
            make_overlay(path, socket, exports[target])
        if not self._is_switched_off(new):
            definer.define(stopping_on_errors(definition), new)

    def _is_switched_off(self, new: NewDomain) -> bool:
        with translated(f"look up domain {self.uuid}"):
            for domain in self._connection.get().listAllDomains():
                if domain.UUIDString() == self.uuid and not domain.isActive() and has_disks(domain, new):
                    return domain.state()[1] in _BY_SOMEBODY
        return False

    def advance(self, bandwidth: int = 0, check: Callable[[], None] = lambda: None) -> tuple[Pull, ...]:
        """Look at every disk, and set going what stands still: a guest that paused, a copy that failed or was never
        begun. The export must serve. ``bandwidth`` bounds each copy (MiB in a second, 0: no bound). A guest that is
        off has its disks copied here and now; ``check`` is called meanwhile and may raise."""
        with translated(f"look after domain {self.uuid}"):
            domain = self._connection.domain(self.uuid)
            if not domain.isActive():
                for path in self._disks.values():
                    _flatten(path, check)
            elif is_paused_by_errors(domain):
                LOG.info("guest paused because the export was away, resumed domain=%s", self.uuid)
                domain.resume()
            pulls = tuple(self._pull(domain, target, bandwidth) for target in self._disks)
            if all(pull.independent for pull in pulls) and not _is_on_disk(domain):
                return tuple(replace(pull, independent=False) for pull in pulls)
            return pulls

    def _pull(self, domain: libvirt.virDomain, target: str, bandwidth: int) -> Pull:
        if _is_independent(self._disks[target]):
            return Pull(target, 1, 1, independent=True)
        if not domain.isActive():
            return Pull(target, 0, 1, independent=False)
        job = domain.blockJobInfo(target, 0)
        if job:
            return Pull(target, int(job["cur"]), max(int(job["end"]), 1), independent=False)
        try:
            domain.blockPull(target, bandwidth, 0)
        except libvirt.libvirtError as fault:  # the first request after an outage only connects anew
            LOG.info("copy not begun, tried again domain=%s disk=%s cause=%s", self.uuid, target, fault)
        return Pull(target, 0, 1, independent=False)


def admit(connection: Connection, socket: str) -> None:
    """Let QEMU use a socket of ours, and nobody else. The directories above it let it pass."""
    user = connection.qemu_user()
    if user is not None and os.geteuid() == 0:
        os.chown(socket, *user)


def make_overlay(path: str, socket: str, export: str) -> None:
    """An image that holds nothing yet; what it lacks is read from an export, which must serve. One that is there is
    left as it is."""
    overlay = Path(qemuimg.checked(path, "qcow2"))
    if overlay.exists():
        return
    temporary = overlay.with_name(part_name(overlay, "new"))
    backing = f"nbd+unix:///{quote(export, safe='')}?socket={quote(socket)}"
    command.run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", backing, str(temporary)], timeout=60)
    temporary.chmod(0o600)
    temporary.rename(overlay)


def stopping_on_errors(definition: str) -> str:
    """The definition with disks that pause the guest where they cannot be read, instead of telling it so."""
    root = libvirt_xml.parse(definition)
    for element in libvirt_xml.disk_elements(root).values():
        driver = element.find("driver")
        if driver is None:
            driver = ET.SubElement(element, "driver", name="qemu")
        driver.set("error_policy", _POLICY)
        driver.set("rerror_policy", _POLICY)
    return libvirt_xml.text_of(root)


def _is_independent(path: str) -> bool:
    return qemuimg.info(path, "qcow2").backing is None


def _flatten(path: str, check: Callable[[], None]) -> None:
    """Copy what an overlay lacks, where no guest uses it. Cut off, it is gone on with by another call."""
    if not _is_independent(path):
        command.run_watched(["qemu-img", "rebase", "-f", "qcow2", "-b", "", path], check=check)


def _is_on_disk(domain: libvirt.virDomain) -> bool:
    """Whether a kill of QEMU would lose nothing of what was copied. It keeps a part of that in memory when a copy ends,
    until the guest flushes; it also writes everything out when a guest is paused, so that is done, for a moment. A
    guest that somebody else has paused is waited for."""
    if not domain.isActive():
        return True
    if domain.state()[0] != libvirt.VIR_DOMAIN_RUNNING:
        return False
    domain.suspend()
    domain.resume()
    return True


def is_paused_by_errors(domain: libvirt.virDomain) -> bool:
    """Whether a guest stands still because a disk could not be read."""
    state, reason = domain.state()
    return (state, reason) == (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_IOERROR)
