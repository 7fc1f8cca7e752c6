# SPDX-License-Identifier: Apache-2.0
"""Which things of a tenant were made by stacks of his own, and what must be kept of these to make them again?

Heat is asked for its list of stacks, once for each stack what is in it, and for the whole of those that matter.
Values of hidden parameters are never kept: neither Heat nor we shall show them to whoever reads a checkpoint.
"""

import contextlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from karbor.model import errors

if TYPE_CHECKING:
    from karbor.clients.openstack import Cloud

_VEIL = "******"  # what Heat shows in the place of a hidden value
_DEPTH = 10  # of stacks in stacks; Heat itself allows 5 unless it is set otherwise
_NETWORK = "OS::Neutron::"
_GONE = ("DELETE_COMPLETE", "DELETE_IN_PROGRESS")


@dataclass(frozen=True)
class Member:
    """What a stack made: its ``id`` and type, its ``name`` in the template, and whether a stack below it made it."""

    id: str
    type: str
    name: str
    nested: bool = False


@dataclass(frozen=True)
class Origin:
    """A stack of a tenant as it was when his things were protected.

    ``parameters`` are those that he gave, without the ``hidden`` ones; ``environment`` has ``resource_registry`` and
    ``parameter_defaults``.
    """

    id: str
    name: str
    template: Mapping[str, Any]
    members: tuple[Member, ...]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    hidden: tuple[str, ...] = ()
    environment: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The form kept in a checkpoint."""
        return {
            "id": self.id,
            "name": self.name,
            "template": dict(self.template),
            "members": [
                {"id": one.id, "type": one.type, "name": one.name, "nested": one.nested} for one in self.members
            ],
            "parameters": dict(self.parameters),
            "hidden": list(self.hidden),
            "environment": dict(self.environment),
            "files": dict(self.files),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Origin":
        """The other way round; what later releases add is left out."""
        known = {name: data[name] for name in cls.__dataclass_fields__ if name in data}
        known["members"] = tuple(
            Member(one["id"], one["type"], one["name"], one.get("nested", False)) for one in data["members"]
        )
        known["hidden"] = tuple(data.get("hidden") or ())
        return cls(**known)


def origins(cloud: "Cloud", ids: Collection[str], *, networks: bool, page: int = 1000) -> list[Origin]:
    """The stacks that made any of the things with these ids, or, with ``networks``, anything of Neutron.

    Costs one request for each ``page`` of stacks, one for each stack, and three for each that is returned. A stack that
    goes away meanwhile is left out. Raises what a Cloud does.
    """
    found = []
    for stack in _stacks(cloud, page):
        if stack["stack_status"] in _GONE:
            continue
        with contextlib.suppress(errors.NotFound):  # it went away while we looked
            members = _members(cloud, stack)
            if any(one.id in ids or (networks and one.type.startswith(_NETWORK)) for one in members):
                found.append(_origin(cloud, stack, members))
    return found


def _stacks(cloud: "Cloud", size: int) -> Iterator[Mapping[str, Any]]:
    """Those above all others. Heat names no next page."""
    marker: dict[str, str] = {}
    while True:
        page = cloud.orchestration.get("/stacks", params={"limit": size, **marker}).json()["stacks"]
        yield from page
        if len(page) < size:
            return
        marker = {"marker": page[-1]["id"]}


def _path(stack: Mapping[str, Any], what: str = "") -> str:
    return f"/stacks/{quote(stack['stack_name'])}/{stack['id']}{what}"


def _members(cloud: "Cloud", stack: Mapping[str, Any]) -> tuple[Member, ...]:
    answer = cloud.orchestration.get(_path(stack, "/resources"), params={"nested_depth": _DEPTH}).json()
    return tuple(
        Member(
            one["physical_resource_id"], one["resource_type"], one["resource_name"], bool(one.get("parent_resource"))
        )
        for one in answer["resources"]
        if one.get("physical_resource_id")
    )


def _origin(cloud: "Cloud", stack: Mapping[str, Any], members: tuple[Member, ...]) -> Origin:
    heat = cloud.orchestration
    template = heat.get(_path(stack, "/template")).json()
    environment = heat.get(_path(stack, "/environment")).json() or {}
    files = heat.get(_path(stack, "/files")).json() or {}
    given = environment.get("parameters") or {}
    defaults = environment.get("parameter_defaults") or {}
    # A parameter may be hidden by a template further down: then only Heat knows.
    veiled = {name: True for name, value in {**defaults, **given}.items() if value == _VEIL}
    hidden = {**_hidden(template), **veiled}
    return Origin(
        id=stack["id"],
        name=stack["stack_name"],
        template=template,
        members=members,
        parameters={name: value for name, value in given.items() if name not in hidden},
        hidden=tuple(sorted(name for name in hidden if name in given or name in defaults or hidden[name])),
        environment={
            "resource_registry": environment.get("resource_registry") or {},
            "parameter_defaults": {name: value for name, value in defaults.items() if name not in hidden},
        },
        files=files,
    )


def _hidden(template: Mapping[str, Any]) -> dict[str, bool]:
    """The hidden parameters, and of each whether it must be given."""
    declared = template.get("parameters") or template.get("Parameters") or {}
    return {
        name: "default" not in one and "Default" not in one
        for name, one in declared.items()
        if str(one.get("hidden", one.get("NoEcho", ""))).lower() in ("true", "1", "yes", "on")
    }
