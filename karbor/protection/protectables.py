# SPDX-License-Identifier: Apache-2.0
"""What can be protected here, and what depends on what, in the live inventory?"""

from collections.abc import Mapping, Sequence
from typing import Any

from karbor.model import errors, graph
from karbor.model.resource import Resource
from karbor.sdk.protectable import Protectable


class ProtectableRegistry:
    """All protectable plug-ins of this worker, by resource type."""

    def __init__(self, plugins: Sequence[Protectable]) -> None:
        self._by_type = {plugin.resource_type: plugin for plugin in plugins}

    def __contains__(self, type_: str) -> bool:
        return type_ in self._by_type

    def plugin(self, type_: str) -> Protectable:
        """The plug-in for a type. Raises NotFound."""
        try:
            return self._by_type[type_]
        except KeyError:
            raise errors.NotFound(f"The resource type {type_} is not known here.") from None

    def types(self) -> list[dict[str, Any]]:
        """Every type with the types that may lie below it."""
        return [{"name": type_, "dependent_types": self._below(type_)} for type_ in sorted(self._by_type)]

    def _below(self, type_: str) -> list[str]:
        return sorted(name for name, plugin in self._by_type.items() if type_ in plugin.parent_types)

    def dependents(self, project_id: str, parents: Sequence[Resource]) -> dict[str, list[Resource]]:
        """The resources directly below each of ``parents`` (all of one type), asked for in one go per child type."""
        found: dict[str, list[Resource]] = {parent.id: [] for parent in parents}
        if parents:
            for type_ in self._below(parents[0].type):
                for parent_id, children in self._by_type[type_].children(project_id, parents).items():
                    found[parent_id].extend(children)
        return found

    def list_instances(
        self, project_id: str, type_: str, *, after: str, limit: int, parameters: Mapping[str, Any] | None
    ) -> list[dict[str, Any]]:
        """A page of resources with their dependents, in the form of the API."""
        page = self.plugin(type_).list(project_id, after=after, limit=limit, parameters=parameters)
        below = self.dependents(project_id, page)
        return [_shown(resource, below[resource.id]) for resource in page]

    def show_instance(
        self, project_id: str, type_: str, id_: str, *, parameters: Mapping[str, Any] | None
    ) -> dict[str, Any]:
        """One resource with its dependents, in the form of the API. Raises ResourceNotFound."""
        resource = self.plugin(type_).get(project_id, id_, parameters=parameters)
        return _shown(resource, self.dependents(project_id, [resource])[resource.id])

    def find(self, project_id: str, resource: Resource) -> Resource:
        """Today's state of a resource that a plan names. Raises ResourceNotFound.

        A type that no plug-in finds is taken as the plan gives it; its protection plug-in decides what that means.
        """
        if resource.type not in self._by_type:
            return resource
        return self._by_type[resource.type].get(project_id, resource.id)

    def why_not(self, project_id: str, resource: Resource) -> str | None:
        """Why a plan may not name this resource; None where it may. Raises Unavailable where nobody can tell."""
        plugin = self._by_type.get(resource.type)
        if plugin is None:
            return None
        if not plugin.standalone:
            parents = " or ".join(plugin.parent_types)
            return f"A resource of type {resource.type} is protected with its {parents}; name that instead."
        try:
            plugin.get(project_id, resource.id)
        except errors.ResourceNotFound as fault:
            return fault.message
        return None

    def graph(self, project_id: str, roots: Sequence[Resource]) -> graph.ResourceGraph:
        """The graph below ``roots`` in the live inventory. Raises ResourceNotFound, InvalidInput (a circle)."""
        live = [self.find(project_id, root) for root in roots]
        return graph.build(live, lambda resource: self.dependents(project_id, [resource])[resource.id])


def _shown(resource: Resource, below: Sequence[Resource]) -> dict[str, Any]:
    return {
        "id": resource.id,
        "type": resource.type,
        "name": resource.name,
        "extra_info": dict(resource.extra_info) or None,
        "dependent_resources": [
            {"type": child.type, "id": child.id, "name": child.name, "extra_info": dict(child.extra_info) or None}
            for child in below
        ],
    }
