# SPDX-License-Identifier: Apache-2.0
"""How are trackers kept on guests that somebody else manages, who may not find them in libvirt?

Nova undefines a domain whenever it deletes, moves or reboots a server, and libvirt refuses that while the domain has
checkpoints. So of the guests of Nova libvirt forgets each tracker at once; its bitmaps stay in the images and go on
recording, and a note in a directory of ours says which they are. For the time of one step the trackers are shown to
libvirt again. It then proves that every bitmap is there and sound; of one that is not, the note is forgotten.
"""

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import libvirt

from karbor.common import durable
from karbor.model import errors
from karbor.virt import libvirt_trackers, libvirt_xml
from karbor.virt.libvirt_connection import Connection, has_code, translated
from karbor.virt.libvirt_inspect import is_of_nova, local_disks
from karbor.virt.libvirt_names import is_tracker

LOG = logging.getLogger(__name__)
_UNUSABLE = (
    libvirt.VIR_ERR_CHECKPOINT_INCONSISTENT,
    libvirt.VIR_ERR_CONFIG_UNSUPPORTED,
    libvirt.VIR_ERR_INVALID_ARG,
    libvirt.VIR_ERR_XML_ERROR,
)
_DROP = libvirt.VIR_DOMAIN_CHECKPOINT_DELETE_METADATA_ONLY


@dataclass(frozen=True)
class _Note:
    """``paths``: the image that each disk had then; the bitmap is in there."""

    path: Path
    name: str
    view: str
    created: int
    paths: Mapping[str, str]


class HiddenTrackers:
    """The notes of one host, in ``directory``. ``lock`` gives the lock of a domain; whoever calls ``shown`` has it."""

    def __init__(
        self, connection: Connection, directory: Path, lock: Callable[[str], AbstractContextManager[object]]
    ) -> None:
        self._connection = connection
        self._directory = directory
        self._lock = lock

    @contextmanager
    def shown(self, domain: libvirt.virDomain) -> Iterator[None]:
        """Let libvirt know of the trackers for the block, where this is a guest of Nova; afterwards it knows none."""
        if not is_of_nova(domain):
            yield
            return
        shown: set[str] = set()
        try:
            self._show(domain, shown)
            yield
        finally:
            self._hide(domain, shown)

    def recover(self) -> Iterator[str]:
        """Hide what a process that died left to be seen; forget notes of guests and images that are gone."""
        with translated("list domains"):
            domains = self._connection.get().listAllDomains(0)
        for domain in domains:
            try:
                with self._lock(domain.UUIDString()):
                    found = is_of_nova(domain) and self._hide(domain, set())
            except errors.ResourceNotFound:
                continue
            if found:
                yield f"trackers hidden domain={domain.UUIDString()}"
        for note in self._notes(""):
            if not any(Path(path).exists() for path in note.paths.values()):
                note.path.unlink(missing_ok=True)
                yield f"tracker forgotten name={note.name}"

    def _show(self, domain: libvirt.virDomain, shown: set[str]) -> None:
        """Show what can be shown, and add its names to ``shown``."""
        with translated(f"list checkpoints of {domain.UUIDString()}"):
            known = {checkpoint.getName() for checkpoint in domain.listAllCheckpoints(0)}
        now = self._paths(domain)
        for note in self._notes(domain.UUIDString()):
            if note.name in known or any(now.get(target) != path for target, path in note.paths.items()):
                continue  # the disk is away for a while, as in a rescue: the bitmap cannot be seen, and may be sound
            with translated(f"show checkpoint {note.name} of {domain.UUIDString()}"):
                try:
                    _redefine(domain, note, sound=bool(domain.isActive()))
                    shown.add(note.name)
                except libvirt.libvirtError as fault:
                    if not has_code(fault, *_UNUSABLE):
                        raise
                    LOG.info("tracker unusable name=%s cause=%s", note.name, fault.get_error_message())
                    self._forget(domain, note)

    def _forget(self, domain: libvirt.virDomain, note: _Note) -> None:
        """Remove what is left of a tracker whose bitmaps are gone or broken."""
        try:
            _redefine(domain, note, sound=False)
            libvirt_trackers.drop(self._connection, domain, note.name)
        except (libvirt.libvirtError, errors.KarborError) as fault:
            LOG.warning("broken tracker stays name=%s cause=%s", note.name, fault)
        note.path.unlink(missing_ok=True)

    def _hide(self, domain: libvirt.virDomain, shown: set[str]) -> bool:
        """See to it that each tracker that libvirt knows has a note, and make it forget them. Whether there was any.

        A note of one that was ``shown``, and that libvirt knows no more, is of no use: it was dropped.
        """
        with translated(f"hide checkpoints of {domain.UUIDString()}"):
            found = [one for one in domain.listAllCheckpoints(0) if is_tracker(one.getName())]
            names, noted = {one.getName() for one in found}, set()
            for note in self._notes(domain.UUIDString()):
                noted.add(note.name)
                if note.name in shown - names:
                    note.path.unlink(missing_ok=True)
            now = self._paths(domain) if names - noted else {}
            for checkpoint in found:
                if checkpoint.getName() not in noted:
                    self._write(domain, checkpoint, now)
                checkpoint.delete(_DROP)
            return bool(found)

    def _write(
        self, domain: libvirt.virDomain, checkpoint: libvirt.virDomainCheckpoint, now: Mapping[str, str]
    ) -> None:
        xml = checkpoint.getXMLDesc(libvirt.VIR_DOMAIN_CHECKPOINT_XML_NO_DOMAIN)
        view, targets = libvirt_xml.checkpoint_content(xml)
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        data = {
            "name": checkpoint.getName(),
            "view": view,
            "created": libvirt_xml.checkpoint_created(xml),
            "paths": {target: now.get(target, "") for target in sorted(targets)},
        }
        path = self._directory / f"{domain.UUIDString()}.{checkpoint.getName()}.json"
        durable.write_file(path, json.dumps(data).encode())

    def _notes(self, domain_id: str) -> list[_Note]:
        """Those of one domain, or all. One that cannot be read says nothing, and is removed."""
        found = []
        for path in sorted(self._directory.glob(f"{domain_id}*.json")):
            try:
                data = json.loads(path.read_bytes())
                found.append(_Note(path, data["name"], data["view"], int(data["created"]), dict(data["paths"])))
            except (OSError, ValueError, KeyError, TypeError) as fault:
                LOG.warning("note of a tracker cannot be read path=%s cause=%s", path, fault)
                path.unlink(missing_ok=True)
        return found

    def _paths(self, domain: libvirt.virDomain) -> dict[str, str]:
        root = libvirt_xml.parse(domain.XMLDesc(0))
        return {disk.target: disk.path for disk in local_disks(self._connection, root)}


def _redefine(domain: libvirt.virDomain, note: _Note, *, sound: bool) -> None:
    """Let libvirt know a tracker again. ``sound``: only where its bitmaps are there and sound, which libvirt can tell
    of running guests; of others the images are looked at before they are read."""
    root = libvirt_xml.parse(domain.XMLDesc(0 if domain.isActive() else libvirt.VIR_DOMAIN_XML_INACTIVE))
    order = libvirt_xml.redefine_checkpoint_xml(note.name, note.view, root, note.paths, created=note.created)
    flags = libvirt.VIR_DOMAIN_CHECKPOINT_CREATE_REDEFINE
    domain.checkpointCreateXML(order, flags | (libvirt.VIR_DOMAIN_CHECKPOINT_CREATE_REDEFINE_VALIDATE if sound else 0))
