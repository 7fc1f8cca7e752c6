# SPDX-License-Identifier: Apache-2.0
"""Which snapshots, volumes, backups and images in a cloud were made by jobs, and how is one removed without its job?"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from karbor.model import errors
from karbor.plugins.resources.cinder import JOB, PASSING, PURPOSE, marked
from karbor.plugins.resources.glance import is_passing
from karbor.sdk.made import Made

if TYPE_CHECKING:
    from karbor.clients.openstack import Cloud

_NAMED = re.compile(rf"karbor-{PASSING}-([0-9a-f]{{8}}(?:-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}})-")

_DESCRIBED = re.compile(r"\[karbor (\S+)\]$")


def of_cinder(cloud: "Cloud", *kinds: tuple[str, str]) -> Iterator[Made]:
    """Things by kind (``snapshots``) and purpose. One list of each where Cinder leaves out what has no such mark."""
    if not cloud.has("block_storage"):
        return
    for kind, purpose in kinds:
        for one in marked(cloud.block_storage, kind, {PURPOSE: purpose}):
            metadata = one.get("metadata") or {}
            if metadata.get(PURPOSE) == purpose and metadata.get(JOB):
                yield Made("block_storage", kind, one["id"], one.get("name") or "", metadata[JOB], purpose == PASSING)


def of_glance(cloud: "Cloud") -> Iterator[Made]:
    """Images that pass: those of the project are looked through, for the services that make them give no tags."""
    if not cloud.has("image"):
        return
    for one in cloud.image.each("/images", "images", owner=cloud.project_id, sort_key="id", sort_dir="asc"):
        named = _NAMED.match(one.get("name") or "")
        if named and is_passing(one):
            yield Made("image", "images", one["id"], one["name"], named[1], passing=True)


def of_described(items: Iterable[Mapping[str, Any]], service: str, kind: str) -> Iterator[Made]:
    """Things that are kept for checkpoints, by the job that is named in their description."""
    for one in items:
        named = _DESCRIBED.search(str(one.get("description") or ""))
        if named:
            yield Made(service, kind, one["id"], one.get("name") or "", named[1], passing=False)


def remove(cloud: "Cloud", made: Made) -> None:
    """Let it be removed, and do not wait. Raises Conflict where that cannot be now: it is busy, or another thing stands
    on it that must go first."""
    try:
        getattr(cloud, made.service).delete(f"/{made.kind}/{made.id}")
    except errors.NotFound:
        return
    except errors.InvalidInput as refusal:
        if _is_going(cloud, made):
            return
        text = f"The {made.kind[:-1]} {made.id} cannot be removed now."
        raise errors.Conflict(text, detail=refusal.operator_text()) from refusal


def _is_going(cloud: "Cloud", made: Made) -> bool:
    """Whether it is being removed already, or was: a second request for that is refused by some services."""
    try:
        told = getattr(cloud, made.service).get(f"/{made.kind}/{made.id}").json()
    except errors.NotFound:
        return True
    found = told.get(made.kind[:-1], told)
    return str(found.get("status")) == "deleting"
