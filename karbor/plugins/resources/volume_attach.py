# SPDX-License-Identifier: Apache-2.0
"""How does a volume that comes back get into a server that is there?"""

from karbor.model import errors
from karbor.plugins.resources.cloudtypes import SERVER
from karbor.sdk.options import Options, option
from karbor.sdk.protection import Work
from karbor.sdk.template import HeatResource, reference


class VolumeRestoreOptions(Options):
    """Parameters that every restore of a volume has. The names are those of the old service."""

    restore_name: str = option("", "Name of the new volume. Empty: CHECKPOINT@ORIGINAL.")
    restore_description: str = option("", "Description of the new volume. Empty: as the old one.")
    attach_to: str = option("", "Id of a server that is there, to which the new volume is attached. Empty: none.")


def require_attachable(work: Work) -> None:
    """Raise InvalidInput where the volume cannot be attached as the options say. Nothing is changed."""
    server_id = work.options.attach_to
    if not server_id:
        return
    if work.parent is not None and work.parent.type == SERVER:
        raise errors.InvalidInput(
            f"The volume {work.resource.name} is restored with its server {work.parent.name}, and attached to that.",
            next_action="restore the volume alone: name it in only of OS::Karbor::Restore",
        )
    try:
        found = work.cloud.compute.get(f"/servers/{server_id}").json()["server"]
    except errors.NotFound:
        raise errors.InvalidInput(f"There is no server {server_id} that the volume could be attached to.") from None
    if found["status"] not in ("ACTIVE", "SHUTOFF", "PAUSED", "SUSPENDED"):
        raise errors.Conflict(
            f"The server {found['name']} is {found['status']}: no volume can be attached to it.",
            next_action="start the server, or attach the volume by hand after the restore",
        )


def attachment(work: Work) -> tuple[HeatResource, ...]:
    """The part of a template that attaches the volume, if the options ask for it."""
    server_id = work.options.attach_to
    if not server_id:
        return ()
    properties = {"instance_uuid": server_id, "volume_id": reference(work.key.id)}
    name = f"{work.key.id}:{server_id}"
    return (HeatResource(name, "OS::Cinder::VolumeAttachment", properties, shown=False),)
