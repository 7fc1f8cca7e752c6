# SPDX-License-Identifier: Apache-2.0
"""How much room is there in the quotas of a tenant's cloud? One question for each service."""

from collections.abc import Callable, Mapping
from typing import Any

from karbor.clients.openstack import Cloud
from karbor.model import errors
from karbor.model.cost import Room

Rooms = Mapping[str, Room]


def rooms(cloud: Cloud, service: str) -> Rooms:
    """The quotas of a service (by the name of its attribute) with what is in use, as it names them.

    Empty where the service does not tell, is not there, or has none that a tenant may see. Raises Unavailable.
    """
    if service not in _ASKED or not cloud.has(service):
        return {}
    try:
        return _ASKED[service](cloud)
    except (errors.NotFound, errors.Forbidden, errors.InvalidInput):
        return {}


def _block_storage(cloud: Cloud) -> Rooms:
    asked = cloud.block_storage.get(f"/os-quota-sets/{cloud.project_id}", params={"usage": "True"})
    return _usages(asked.json()["quota_set"])


def _shares(cloud: Cloud) -> Rooms:
    return _usages(cloud.shared_file_system.get(f"/quota-sets/{cloud.project_id}/detail").json()["quota_set"])


def _images(cloud: Cloud) -> Rooms:
    told: Mapping[str, Any] = cloud.image.get("/info/usage").json()["usage"]
    return {kind: Room(_limit(one["limit"]), int(one["usage"])) for kind, one in told.items()}


def _usages(told: Mapping[str, Any]) -> Rooms:
    return {
        kind: Room(_limit(one["limit"]), int(one["in_use"]) + int(one.get("reserved") or 0))
        for kind, one in told.items()
        if isinstance(one, Mapping)
    }


def _limit(value: int) -> int | None:
    return int(value) if int(value) >= 0 else None


_ASKED: Mapping[str, Callable[[Cloud], Rooms]] = {
    "block_storage": _block_storage,
    "shared_file_system": _shares,
    "image": _images,
}
