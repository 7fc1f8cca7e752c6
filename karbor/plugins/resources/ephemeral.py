# SPDX-License-Identifier: Apache-2.0
"""What is kept of the ephemeral disks of a server, and how does that come back?

They are read on the compute host (karbor.plugins.resources.host_disks), or not at all: no API of a cloud gives or takes
what is on them. So the data comes back on volumes that are attached to the new server, whose own ephemeral disks are
empty. Swap is no data.
"""

import json
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from karbor.clients.room import Rooms, rooms
from karbor.model import errors
from karbor.model.cost import Item, Use, bill, with_room
from karbor.plugins.resources import host_disks
from karbor.plugins.resources.cinder import PASSING, RESTORED, Cinder, saved_of
from karbor.plugins.resources.cloudtypes import SERVER, VOLUME
from karbor.plugins.resources.clouduses import image_uses
from karbor.plugins.resources.glance import Glance
from karbor.sdk.environment import Environment
from karbor.sdk.protection import UNKNOWN, EarlierPoint, Protected, Work
from karbor.sdk.template import HeatParameter

_GIB = 1 << 30
_SECONDS = 12 * 3600.0  # longest wait for Cinder to fill a volume
_FREE = "free something, have the quota raised, or let ephemeral_disks be blank"


def not_kept(server: Mapping[str, Any], view: Mapping[str, Any], *, wanted: bool) -> str:
    """What of the ephemeral disks of a server the checkpoint will not hold, and why, as a sentence; empty: nothing.

    ``server`` is what Nova tells, ``view`` what was seen on the host; ``wanted``: whether the plan wants them kept.
    """
    size = _size(server)
    if not wanted:
        return "The ephemeral disks are not kept: the plan leaves them out." if size else ""
    unread = [name for name in view["unread"] if host_disks.is_ephemeral(name)]
    if unread and not view["why"]:
        return f"The ephemeral disks {', '.join(unread)} are not kept: their images cannot be read on the host."
    if not size or host_disks.ephemeral_of(view):
        return ""
    why = view["why"].removesuffix(".") or "the host has no image files of them"
    return f"The ephemeral disks ({size} GiB) are not kept: {why}."


def protect(environment: Environment, work: Work, view: Mapping[str, Any]) -> Protected:
    """Read those that the view shows; of ``saved`` and ``consistency`` the caller knows more. Raises CaptureLost."""
    entries: list[dict[str, Any]] = []
    streams, read, bases = {}, 0, []
    for name in sorted(host_disks.ephemeral_of(view)):
        disk = host_disks.read(environment, work, view, name, name, kept=partial(_entry, name), before=read)
        entries.append({"name": name, **disk.saved})
        streams[name] = disk.info
        read += disk.changed
        bases += [disk.base.checkpoint_id] if disk.base else []
    saved = {"ephemeral": json.dumps(entries), "tracked": json.dumps(host_disks.tracked(view))}
    mode = ("incremental" if bases else "full") if entries else None
    size = sum(one["size"] for one in entries)
    return Protected(saved, streams, size, mode=mode, base_id=bases[0] if bases else None)


def decide(work: Work, server_name: str) -> tuple[list[dict[str, Any]], list[errors.KarborError], list[str]]:
    """Which volumes a restore makes of ephemeral disks, what stands against that, and what people should know."""
    saved, wanted = saved_of(work), work.options.ephemeral_disks
    kept, warnings = json.loads(saved.get("ephemeral") or "[]"), _told(saved)
    if not kept:
        return [], [], warnings
    if wanted == "blank":
        return [], [], [*warnings, "What was on its ephemeral disks stays in the checkpoint: those it gets are empty."]
    if not (work.cloud.has("block_storage") and work.cloud.has("image")):
        lack = "This cloud has no volumes that can be made of images, to bring back what was on ephemeral disks."
        if wanted == "volume":
            return [], [errors.NotSupported(lack, next_action="let ephemeral_disks be blank")], warnings
        return [], [], [*warnings, f"{lack} They are empty."]
    made = [
        {"name": one["name"], "size": -(-int(one["size"]) // _GIB), "volume_name": f"{server_name}-{one['name']}"}
        for one in kept
    ]
    items = _bill(work, made)
    uses = ", ".join(f"{item.kept} {item.kind}" for item in items if item.kept)
    warnings.append(
        "What was on its ephemeral disks comes back on new volumes that are attached to it behind the others "
        f"({', '.join(one['volume_name'] for one in made)}); the ephemeral disks it gets are empty. Of the quotas of "
        f"the project this uses: {uses}."
    )
    return made, [*_lost(work, made), *_scarce(items)], warnings


def lack_of(flavor: Mapping[str, Any], server: Mapping[str, Any]) -> list[str]:
    """What people should know of a flavor that gives less than the server had: programs in it may count on that."""
    has, had = int(flavor.get("OS-FLV-EXT-DATA:ephemeral") or 0), _size(server)
    if has >= had:
        return []
    return [f"The server had {had} GiB of ephemeral disks; the flavor {flavor['name']} gives {has} GiB."]


def parameters(work: Work, decided: Sequence[Mapping[str, Any]]) -> list[HeatParameter]:
    """What a plan knows of the volumes."""
    return [_parameter(work, one, UNKNOWN) for one in decided]


def restore(work: Work, decided: Sequence[Mapping[str, Any]]) -> list[HeatParameter]:
    """Make the volumes, each of a passing image. May be called again."""
    work.expect(sum(work.streams.read(one["name"]).size for one in decided))
    return [_parameter(work, one, _volume(work, one)) for one in decided]


def remove(work: Work) -> None:
    """Remove the volumes that a restore made or began, and what passed. May be called again."""
    for one in json.loads(saved_of(work).get("ephemeral") or "[]"):
        if work.cloud.has("image"):
            Glance(work, part=one["name"]).remove_own(PASSING)
        if work.cloud.has("block_storage"):
            Cinder(work, part=one["name"]).remove_own("volumes")


def volume_of(work: Work, disk: Mapping[str, Any]) -> str:
    """By what the template knows the volume with the data of an ephemeral disk."""
    return f"{work.key.id}:{disk['name']}"


def _size(server: Mapping[str, Any]) -> int:
    """How many GiB of ephemeral disks the flavor gives."""
    return int(server["flavor"].get("ephemeral") or 0)


def _entry(name: str, point: EarlierPoint) -> Mapping[str, Any]:
    """What an earlier checkpoint knows of a disk."""
    known: list[dict[str, Any]] = json.loads(point.saved.saved.get("ephemeral") or "[]")
    return next((one for one in known if one["name"] == name), {})


def _told(saved: Mapping[str, Any]) -> list[str]:
    """What the checkpoint lacks."""
    why = saved.get("not_kept")
    if why is None and _size(json.loads(saved["server"])):
        why = "The ephemeral disks are not kept: the release that made the checkpoint did not know of them."
    return [why] if why else []


def _parameter(work: Work, disk: Mapping[str, Any], volume_id: str) -> HeatParameter:
    return HeatParameter(volume_of(work, disk), volume_id, f"Ephemeral disk {disk['name']} of {work.resource.name}")


def _volume(work: Work, disk: Mapping[str, Any]) -> str:
    cinder, glance = Cinder(work, part=disk["name"]), Glance(work, part=disk["name"])
    volume = cinder.own_volume(RESTORED)
    if volume is None:
        image = glance.uploaded(PASSING, work.streams.read(disk["name"]), {})
        volume = cinder.made_volume(
            purpose=RESTORED,
            seconds=_SECONDS,
            name=disk["volume_name"],
            description=f"Ephemeral disk {disk['name']} of server {work.key.id}",
            size=disk["size"],
            imageRef=image["id"],
        )
    volume = cinder.settled_volume(volume["id"])
    cinder.set_bootable(volume["id"], {}, bootable=False)
    glance.remove_own(PASSING)
    work.tell(VOLUME, volume["id"], "", ready=True)
    return str(volume["id"])


def _lost(work: Work, made: Sequence[Mapping[str, Any]]) -> list[errors.KarborError]:
    """Why there is nothing to make them of."""
    found: list[errors.KarborError] = []
    for one in made:
        try:
            work.streams.read(one["name"])
        except errors.IntegrityError as gone:
            found.append(gone)
    return found


def _bill(work: Work, made: Sequence[Mapping[str, Any]]) -> list[Item]:
    """What the volumes use of the quotas, with the room that there is. Their images pass one after the other."""
    items = bill([[(SERVER, _uses(int(one["size"])))] for one in made])
    return with_room(items, {service: _room(work, service) for service in sorted({one.service for one in items})})


def _uses(size: int) -> list[Use]:
    volume = [Use("block_storage", "volumes", 1), Use("block_storage", "gigabytes", size)]
    return [*volume, *image_uses(size << 10)]


def _room(work: Work, service: str) -> Rooms:
    """Asked for once for all servers."""
    return work.shared(f"room in {service}", lambda: rooms(work.cloud, service))


def _scarce(items: Sequence[Item]) -> list[errors.KarborError]:
    shown = "; ".join(item.in_words() for item in items if not item.fits)
    text = f"The volumes for its ephemeral disks do not fit into the quotas of the project: {shown}."
    return [errors.Conflict(text, next_action=_FREE)] if shown else []
