# SPDX-License-Identifier: Apache-2.0
"""How do the firmware variables of a UEFI guest travel with its definition?

A guest may not boot without its boot entries, and they lie in a small file outside of its disks. So that file is kept
in the metadata of the saved definition and becomes a file beside the restored disks.
"""

import base64
import logging
import xml.etree.ElementTree as ET
import zlib
from pathlib import Path

from karbor.common import durable
from karbor.model import errors

LOG = logging.getLogger(__name__)

_TAG = "{https://docs.openstack.org/karbor/xmlns/nvram/1.0}nvram"
_LIMIT = 4 << 20
_SUFFIX = "-vars.fd"


def path_of(root: ET.Element) -> str:
    """Where a definition says that the variables lie; "" where it does not."""
    element = root.find("./os/nvram")
    if element is None:
        return ""
    source = element.find("source")
    return (source.get("file", "") if source is not None else element.text or "").strip()


def put_in(root: ET.Element) -> None:
    """Keep the variables in the definition. A file that cannot be read is logged: the disks are what matters."""
    path = path_of(root)
    if not path:
        return
    try:
        with Path(path).open("rb") as file:
            data = file.read(_LIMIT + 1)
    except OSError as fault:
        LOG.warning("firmware variables not kept path=%s cause=%s", path, fault)
        return
    if len(data) > _LIMIT:
        LOG.warning("firmware variables not kept path=%s cause=larger than %d bytes", path, _LIMIT)
        return
    metadata = root.find("metadata")
    if metadata is None:
        metadata = ET.SubElement(root, "metadata")
    ET.SubElement(metadata, _TAG).text = base64.b64encode(zlib.compress(data)).decode()


def take_out(root: ET.Element) -> bytes | None:
    """Remove the variables from the definition and return them. Raises IntegrityError where they are damaged."""
    metadata = root.find("metadata")
    element = metadata.find(_TAG) if metadata is not None else None
    if metadata is None or element is None:
        return None
    metadata.remove(element)
    try:
        unpacker = zlib.decompressobj()
        return unpacker.decompress(base64.b64decode(element.text or ""), _LIMIT)
    except (ValueError, zlib.error) as fault:
        raise errors.IntegrityError("The saved firmware variables are damaged.", detail=str(fault)) from fault


def place(root: ET.Element, data: bytes, directory: Path, *, name: str) -> None:
    """Write the variables as a file of the domain ``name`` in ``directory`` and let the definition name it.

    A file that an earlier call wrote is left as it is.
    """
    element = root.find("./os/nvram")
    if element is None:
        return
    path = _own(directory, name)
    durable.create_file(path, data)
    for child in list(element):
        element.remove(child)
    element.attrib.pop("type", None)
    element.text = str(path)


def remove(root: ET.Element, directory: Path, *, name: str) -> None:
    """Remove the file that ``place`` wrote, if the definition still names it."""
    path = _own(directory, name)
    if path_of(root) == str(path):
        path.unlink(missing_ok=True)


def _own(directory: Path, name: str) -> Path:
    return directory / f"{name.replace('/', '_')}{_SUFFIX}"
