# SPDX-License-Identifier: Apache-2.0
"""Which volumes of Cinder are read on the compute host of the server that uses them, and why not the others?

The server's plug-in puts those that ask for it into its view (karbor.plugins.resources.host_disks): Nova gives the disk
of a volume its id as serial. A volume is read there only where the view shows all that is to know of it: one server
alone uses it, may write to it, and has it plain.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from karbor.model.resource import ResourceKey
from karbor.plugins.resources import host_disks
from karbor.plugins.resources.cloudtypes import SERVER
from karbor.plugins.resources.pages import Pages
from karbor.sdk.protection import Work

#: The wish of a volume that its server's view should show it; and that it should in later attempts, too: a view may be
#: lost each time, as when a guest changes more than the host has room for.
IN_VIEW = "in the view of the disks on the host"
IN_EACH_VIEW = "in the view of the disks on the host in each attempt"
FAILED = "an attempt to read it on the host failed"
NOT_SHOWN = "its server is off, or shows on its host no such disk that it alone uses and may write to"
_GIB = 1 << 30


def asked_for(work: Work) -> frozenset[str]:
    """For the server: the ids of the volumes that want to be in its view."""
    return frozenset(key.id for key in work.wishing(IN_VIEW if work.attempt <= 1 else IN_EACH_VIEW))


def host(work: Work, hosts: Sequence[str]) -> str:
    """For a volume: which of these hosts its server runs on; empty: none, or it is not to be read there."""
    if not any(key.type == SERVER for key in work.parent_phases):
        return ""
    server_id, _why = _server(work, Pages(work).volume(work.key.id))
    return host_disks.host_of(work, server_id, hosts) if server_id else ""


def seen(work: Work, volume: Mapping[str, Any]) -> tuple[dict[str, Any] | None, str]:
    """For a volume, as Cinder tells it: what its server's view shows of it; or None, and why nothing."""
    server_id, why = _server(work, volume)
    if not server_id:
        return None, why
    shown = view(work, server_id)
    if shown is None:
        return None, "its server has no view of its disks"
    disk = shown["disks"].get(work.key.id)
    if disk is None:
        return None, shown["why"] or shown.get("why_no_volumes") or NOT_SHOWN
    if disk["size"] > int(volume["size"]) * _GIB:
        return None, "the disk on the host is larger than Cinder says: it would not fit into a volume like it"
    return {"server_id": server_id, "target": disk["target"], "taken_at": shown["taken_at"]}, ""


def view(work: Work, server_id: str) -> Mapping[str, Any] | None:
    """For a volume: the view of its server."""
    begun = work.parent_phases[ResourceKey(SERVER, server_id)].get("prepare_begin") or {}
    found: Mapping[str, Any] | None = begun.get("view")
    return found


def _server(work: Work, volume: Mapping[str, Any]) -> tuple[str, str]:
    """The one server in whose view it may be; or why there is none."""
    attached = [one.get("server_id") for one in volume.get("attachments") or ()]
    marks = volume.get("metadata") or {}
    if not attached:
        return "", "no server uses it"
    if len(attached) > 1 or volume.get("multiattach"):
        return "", "more than one server may use it"
    if not any(key.type == SERVER and key.id == attached[0] for key in work.parent_phases):
        return "", "the plan does not cover the server that uses it"
    if str(marks.get("readonly")).lower() == "true" or marks.get("attached_mode") == "ro":
        return "", "its server may only read it"
    return str(attached[0]), ""
