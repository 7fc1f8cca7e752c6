# SPDX-License-Identifier: Apache-2.0
"""How does a guest run from an export at once, while its disks are copied behind its back?

Each disk is a local overlay on the export; what the guest writes lands there. Where the export is away the guest pauses
(error policy ``stop``) and goes on afterwards. Every method may be called again after a crash of the caller: what has
been done is found and left as it is.
"""

import logging
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import libvirt

from karbor.common import command
from karbor.sdk.hypervisor import NewDomain
from karbor.virt import libvirt_xml, qemuimg
from karbor.virt.libvirt_connection import Connection, translated
from karbor.virt.libvirt_define import Definer

LOG = logging.getLogger(__name__)
_POLICY = "stop"
_FLATTEN_SECONDS = 24 * 3600.0


@dataclass(frozen=True)
class Pull:
    """How far one disk is: ``done`` and ``total`` bytes; ``independent`` of the export."""

    target: str
    done: int
    total: int
    independent: bool


class InstantGuest:
    """A guest with overlays in ``directory`` on the exports behind ``socket``. ``names`` maps targets to exports."""

    def __init__(
        self, connection: Connection, uuid: str, directory: Path, socket: Path, names: Mapping[str, str]
    ) -> None:
        self.uuid = uuid
        self._connection = connection
        self._directory = directory
        self._socket = socket
        self._names = dict(names)

    def overlay(self, target: str) -> Path:
        """The image of a disk, which is all of it in the end."""
        return self._directory / f"{self.uuid}-{target}.qcow2"

    def begin(self, definition: str, name: str, definer: Definer, *, new_macs: bool = True) -> None:
        """Make the overlays, define the guest and start it. The export must serve."""
        self._directory.mkdir(parents=True, exist_ok=True)
        for target, export in self._names.items():
            self._make_overlay(target, export)
        disks = {target: (str(self.overlay(target)), "qcow2") for target in self._names}
        new = NewDomain(disks, name=name, uuid=self.uuid, new_macs=new_macs, start=True)
        definer.define(_stopping_on_errors(definition), new)

    def _make_overlay(self, target: str, export: str) -> None:
        overlay = self.overlay(target)
        if overlay.exists():
            return
        backing = f"nbd+unix:///{quote(export, safe='')}?socket={quote(str(self._socket))}"
        temporary = overlay.with_suffix(".new")
        arguments = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", backing]
        command.run([*arguments, qemuimg.checked(str(temporary), "qcow2")], timeout=60)
        temporary.rename(overlay)

    def advance(self, bandwidth: int = 0) -> tuple[Pull, ...]:
        """Look at every disk, and set going what stands still: a guest that paused, a copy that failed or was never
        begun. The export must serve. ``bandwidth`` bounds each copy (MiB in a second, 0: no bound). A guest that is
        off has its disks copied here and now."""
        with translated(f"look after domain {self.uuid}"):
            domain = self._connection.domain(self.uuid)
            if not domain.isActive():
                for target in self._names:
                    self._flatten(target)
            elif self._is_paused_by_errors(domain):
                LOG.info("guest paused because the export was away, resumed domain=%s", self.uuid)
                domain.resume()
            return tuple(self._pull(domain, target, bandwidth) for target in self._names)

    def is_there(self) -> bool:
        """Whether the guest has been defined."""
        with translated(f"look up domain {self.uuid}"):
            return any(domain.UUIDString() == self.uuid for domain in self._connection.get().listAllDomains())

    def _pull(self, domain: libvirt.virDomain, target: str, bandwidth: int) -> Pull:
        if self._is_independent(target):
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

    def _is_independent(self, target: str) -> bool:
        return qemuimg.info(str(self.overlay(target)), "qcow2").backing is None

    def _flatten(self, target: str) -> None:
        if not self._is_independent(target):
            path = str(self.overlay(target))
            command.run(["qemu-img", "rebase", "-f", "qcow2", "-b", "", path], timeout=_FLATTEN_SECONDS)

    @staticmethod
    def _is_paused_by_errors(domain: libvirt.virDomain) -> bool:
        state, reason = domain.state()
        return (state, reason) == (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_IOERROR)


def _stopping_on_errors(definition: str) -> str:
    """The definition with disks that pause the guest where they cannot be read, instead of telling it so."""
    root = libvirt_xml.parse(definition)
    for element in libvirt_xml.disk_elements(root).values():
        driver = element.find("driver")
        if driver is None:
            driver = ET.SubElement(element, "driver", name="qemu")
        driver.set("error_policy", _POLICY)
        driver.set("rerror_policy", _POLICY)
    return libvirt_xml.text_of(root)
