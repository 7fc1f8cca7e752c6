# SPDX-License-Identifier: Apache-2.0
"""How does a plug-in make, find again and remove volumes, volume snapshots and backups of Cinder?

What is made carries the job and the resource it was made for in its metadata. So another try, on whatever worker, finds
what an earlier one began; and whoever looks into the cloud sees what is only passing.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from karbor.model import errors
from karbor.sdk.protection import Work

JOB, PURPOSE = "karbor_job", "karbor"
#: Purposes. ``passing``: goes when the job ends. ``kept``: belongs to a checkpoint. ``restored``: the user's own now.
#: ``released``: no checkpoint needs it, but a later backup is built on it.
PASSING, KEPT, RESTORED, RELEASED = "passing", "kept", "restored", "released"
_SECONDS = 12 * 3600.0  # longest wait for data to be moved by Cinder; an operator's own limits come first
_SOON = 1800.0  # for what moves no data

Item = Mapping[str, Any]


class Cinder:
    """Cinder as one step of a work sees it. Methods that begin with ``made_`` may be called again: they return what is
    there already; those that remove accept what is gone. ``part`` names what this is about where a job makes several
    things of one kind for its resource."""

    def __init__(self, work: Work, *, part: str = "") -> None:
        self._work = work
        self._part = part
        self._cloud = work.cloud
        self._api = work.cloud.block_storage

    def volume(self, volume_id: str) -> Item:
        """One volume. Raises NotFound."""
        return self._one("volumes", "volume", volume_id)

    def snapshot(self, snapshot_id: str) -> Item:
        """One volume snapshot. Raises NotFound."""
        return self._one("snapshots", "snapshot", snapshot_id)

    def backup(self, backup_id: str) -> Item:
        """One backup. Raises NotFound."""
        return self._one("backups", "backup", backup_id)

    def backups(self, volume_id: str) -> list[Item]:
        """All backups of one volume, the newest first."""
        found = self._all("backups", volume_id=volume_id)
        return sorted(found, key=lambda one: str(one["created_at"]), reverse=True)

    def made_snapshot(self, volume_id: str, name: str, *, purpose: str, description: str = "") -> Item:
        """A volume snapshot of this job, ready. One of a volume in use is allowed."""
        body = {"volume_id": volume_id, "name": name, "description": description, "force": True}
        found = self._made("snapshots", {**body, "metadata": self._marks(purpose)}, volume_id=volume_id)
        return self._ready("snapshots", "snapshot", found["id"], f"the snapshot of volume {volume_id}", _SOON)

    def made_backup(self, volume_id: str, *, incremental: bool, **given: Any) -> Item:
        """A backup of this job, complete. ``given`` are fields of the request that Cinder knows."""
        body = {"volume_id": volume_id, "incremental": incremental, "metadata": self._marks(KEPT), **given}
        wanted = {key: value for key, value in body.items() if value is not None}
        found = self._made("backups", wanted, volume_id=volume_id)
        return self._ready("backups", "backup", found["id"], f"the backup of volume {volume_id}", _SECONDS)

    def made_volume(self, *, purpose: str, seconds: float = _SOON, **given: Any) -> Item:
        """A volume of this job and resource, ready. ``given`` are fields of the request that Cinder knows."""
        metadata = {**dict(given.pop("metadata", None) or {}), **self._marks(purpose)}
        body = {key: value for key, value in given.items() if value not in (None, "")}
        found = self._made("volumes", {**body, "metadata": metadata})
        return self._ready("volumes", "volume", found["id"], f"the volume {given.get('name') or found['id']}", seconds)

    def fill(self, volume_id: str, backup_id: str) -> None:
        """Restore a backup into a new volume of this job."""
        volume = self.volume(volume_id)
        if volume["metadata"].get("karbor_filled") != backup_id and volume["status"] == "available":
            self._api.post(f"/backups/{backup_id}/restore", json={"restore": {"volume_id": volume_id}})
        self._ready("volumes", "volume", volume_id, "the restored volume", _SECONDS)
        self._ready("backups", "backup", backup_id, "the backup that is restored", _SOON)
        self._api.post(f"/volumes/{volume_id}/metadata", json={"metadata": {"karbor_filled": backup_id}})

    def own_volume(self, purpose: str) -> Item | None:
        """The volume that this job made for its resource and that purpose."""
        found = self._own("volumes")
        return found if found is not None and found["metadata"][PURPOSE] == purpose else None

    def settled_volume(self, volume_id: str) -> Item:
        """A volume as soon as it is ready, which takes as long as Cinder needs to fill it."""
        return self._ready("volumes", "volume", volume_id, f"the volume {volume_id}", _SECONDS)

    def upload(self, volume_id: str, name: str) -> str:
        """Begin to make a raw image of a volume that nothing uses; the id of the image."""
        given = {"image_name": name, "disk_format": "raw", "container_format": "bare", "force": False}
        answer = self._api.post(f"/volumes/{volume_id}/action", json={"os-volume_upload_image": given})
        return str(answer.json()["os-volume_upload_image"]["image_id"])

    def set_bootable(self, volume_id: str, image_metadata: Mapping[str, str], *, bootable: bool = True) -> None:
        """Let servers boot from a volume, or not, with the properties of the image its original was made of."""
        self._api.post(f"/volumes/{volume_id}/action", json={"os-set_bootable": {"bootable": bootable}})
        own = {key: value for key, value in image_metadata.items() if key not in _SIZES}
        if own:
            body = {"os-set_image_metadata": {"metadata": own}}
            self._api.post(f"/volumes/{volume_id}/action", json=body)

    def remove_own(self, *kinds: str, volume_id: str = "") -> None:
        """Remove what this job made of these kinds (``snapshots``, ``backups``, ``volumes``), and wait until it is."""
        for kind in kinds:
            named = {"volume_id": volume_id} if kind != "volumes" else {}
            found = self._own(kind, **named)
            if found is not None:
                self.remove(kind, found["id"])

    def remove(self, kind: str, id_: str) -> None:
        """Remove one thing and wait until it is gone. Raises Conflict where Cinder does not allow it."""
        single = kind[:-1]

        def settled() -> Item | None:
            try:
                return self._one(kind, single, id_)
            except errors.NotFound:
                return None

        # Cinder refuses to delete what it is still making.
        busy = ("creating", "backing-up", "restoring", "restoring-backup", "downloading", "uploading")
        found = self._cloud.wait(
            settled,
            lambda one: one is None or one["status"] not in busy or self._is_stuck(kind, one),
            what=f"{single} {id_} is still being made",
            deadline=_SECONDS,
        )
        if found is None:
            return
        if found["status"] in busy:
            raise errors.Conflict(
                f"Cinder has left the {single} {id_} {found['status']}, and lets nobody remove it.",
                next_action=f"let an administrator of the cloud reset its state, then remove the {single}",
            )
        if found["status"] != "deleting":
            try:
                self._api.delete(f"/{kind}/{id_}")
            except errors.NotFound:
                return
            except errors.InvalidInput as refusal:
                text = f"The {single} {id_} cannot be removed now."
                raise errors.Conflict(text, detail=refusal.operator_text()) from refusal
        left = self._cloud.wait(
            settled,
            lambda one: one is None or str(one["status"]).startswith("error"),
            what=f"{single} {id_} is being removed",
            deadline=_SOON,
        )
        if left is not None:
            raise errors.StepFailed(
                f"Cinder could not remove the {single} {id_}.", next_action="look at that resource in the cloud"
            )

    def _is_stuck(self, kind: str, one: Item) -> bool:
        """Whether a snapshot is said to be backed up and nobody does: so Cinder leaves it where its backup service is
        ended in the middle, for good."""
        if kind != "snapshots" or one["status"] != "backing-up":
            return False
        begun = [backup for backup in self.backups(one["volume_id"]) if backup["status"] == "creating"]
        return not any(backup.get("snapshot_id") == one["id"] for backup in begun)

    def release(self, backup_id: str) -> None:
        """Remove a backup that no checkpoint needs, as soon as no later backup is built on it: now, or when those go.

        Cinder keeps increments as chains and refuses to remove what others need.
        """
        try:
            backup = self.backup(backup_id)
        except errors.NotFound:
            return
        marks = {**dict(backup.get("metadata") or {}), PURPOSE: RELEASED}
        self._api.put(f"/backups/{backup_id}", json={"backup": {"metadata": marks}})
        while True:  # each that goes may free the one it was built on
            free = [one for one in self.backups(backup["volume_id"]) if _is_free(one)]
            if not free:
                return
            for one in free:
                self.remove("backups", one["id"])

    def _own(self, kind: str, **named: str) -> Item | None:
        marks = {key: value for key, value in self._marks("").items() if key != PURPOSE}
        # Of volumes nothing narrows the search but the marks; a cloud whose users may not ask so lists all of them.
        for one in self._all(kind, **named) if named else marked(self._api, kind, marks):
            metadata = one.get("metadata") or {}
            if all(metadata.get(key) == value for key, value in marks.items()):
                return one
        return None

    def _marks(self, purpose: str) -> dict[str, str]:
        marks = marks_of(self._work, purpose)
        return {**marks, "karbor_part": self._part} if self._part else marks

    def _ready(self, kind: str, single: str, id_: str, what: str, seconds: float) -> Item:
        def look() -> Item:
            return self._one(kind, single, id_)

        def reached(one: Item) -> bool:
            if str(one["status"]).startswith("error"):
                said = str(one.get("fail_reason") or "").strip()
                raise errors.StepFailed(
                    f"Cinder could not make {what}." + (f" It says: {said[:300]}" if said else ""),
                    detail=f"{single} {id_} has the status {one['status']}",
                    next_action="look at the service and that resource in the cloud, then try again",
                )
            return bool(one["status"] in ("available", "in-use"))

        return self._cloud.wait(look, reached, what=what, deadline=seconds)

    def _one(self, kind: str, single: str, id_: str) -> Item:
        found: Item = self._api.get(f"/{kind}/{id_}").json()[single]
        return found

    def _all(self, kind: str, **query: str) -> list[Item]:
        named: dict[str, Any] = {key: value for key, value in query.items() if value}
        return list(self._api.each(f"/{kind}/detail", kind, sort="id:asc", **named))

    def _made(self, kind: str, body: Mapping[str, Any], **named: str) -> Item:
        """What this job made of a kind for its resource, among those that are ``named`` so; else it is made now."""
        single = kind[:-1]

        def make() -> Item:
            found: Item = self._api.post(f"/{kind}", json={single: body}).json()[single]
            return found

        return self._cloud.made(lambda: self._own(kind, **named), make)


def marked(api: Any, kind: str, marks: Mapping[str, str]) -> Iterator[Item]:
    """Things of a kind that may have these marks: those that do, where Cinder leaves out the others."""
    try:
        found = list(api.each(f"/{kind}/detail", kind, sort="id:asc", metadata=str(dict(marks))))
    except errors.InvalidInput:
        found = list(api.each(f"/{kind}/detail", kind, sort="id:asc"))
    return iter(found)


def marks_of(work: Work, purpose: str) -> dict[str, str]:
    """What tells whose and what for a thing is that was made in a cloud."""
    return {PURPOSE: purpose, JOB: work.operation_id, "karbor_resource": work.key.parent_id or work.key.id}


def _is_free(backup: Item) -> bool:
    return (backup.get("metadata") or {}).get(PURPOSE) == RELEASED and not backup["has_dependent_backups"]


#: What Cinder fills in itself.
_SIZES = ("checksum", "size", "container_format", "disk_format", "image_id", "image_name")


def described(volume: Item) -> dict[str, Any]:
    """What must be kept of a volume to make another like it."""
    return {
        "volume_id": volume["id"],
        "volume_name": volume.get("name") or "",
        "volume_description": volume.get("description") or "",
        "size": volume["size"],
        "volume_type": volume.get("volume_type") or "",
        "availability_zone": volume.get("availability_zone") or "",
        "bootable": str(volume.get("bootable")).lower() == "true",
        "multiattach": bool(volume.get("multiattach")),
        "encrypted": bool(volume.get("encrypted")),
        "metadata": {key: value for key, value in volume["metadata"].items() if not key.startswith("karbor")},
        "image_metadata": dict(volume.get("volume_image_metadata") or {}),
    }


def saved_of(work: Work) -> Mapping[str, Any]:
    """What the checkpoint keeps of the resource at hand. Raises IntegrityError where it keeps nothing."""
    if work.saved is None:
        raise errors.IntegrityError(f"The checkpoint tells nothing of {work.resource.name}.")
    return work.saved.saved
