# SPDX-License-Identifier: Apache-2.0
"""What can be protected here, and what depends on what, in the live inventory?"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from karbor.model import errors, graph
from karbor.model.resource import Resource
from karbor.model.selection import NAMED, Choice, Chosen
from karbor.sdk.protectable import Protectable

if TYPE_CHECKING:
    from karbor.clients.openstack import Cloud


class ProtectableRegistry:
    """All protectable plug-ins of this worker, by resource type. A plan can choose ``max_chosen`` resources."""

    def __init__(self, plugins: Sequence[Protectable], *, max_chosen: int = 1000) -> None:
        self._by_type = {plugin.resource_type: plugin for plugin in plugins}
        self._max_chosen = max_chosen

    def for_caller(self, open_cloud: "Callable[[], Cloud] | None") -> "ProtectableRegistry":
        """The same for one request. ``open_cloud`` opens the cloud of whoever asks; None: nobody may look into one, and
        what lies in clouds is taken as plans give it."""
        plugins = []
        for plugin in self._by_type.values():
            if not plugin.acts_in_cloud:
                plugins.append(plugin)
            elif open_cloud is not None:
                plugins.append(plugin.in_cloud(open_cloud))
        return ProtectableRegistry(plugins, max_chosen=self._max_chosen)

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
        parents = list({parent.id: parent for parent in parents}.values())
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

    def find(self, project_id: str, resources: Sequence[Resource]) -> list[Resource]:
        """Today's state of resources that a plan names, in their order. Raises ResourceNotFound.

        A type that no plug-in finds is taken as the plan gives it; its protection plug-in decides what that means.
        """
        found = self._look_up(project_id, resources)
        live = []
        for one in resources:
            if one.type not in self._by_type:
                live.append(one)
            elif one.id in found[one.type]:
                live.append(found[one.type][one.id])
            else:  # asked for alone, it tells why it is not there
                live.append(self._by_type[one.type].get(project_id, one.id))
        return live

    def why_not(self, project_id: str, resources: Sequence[Resource]) -> list[str | None]:
        """For each resource why a plan may not name it; None where it may. Raises Unavailable where nobody can tell."""
        askable = [one for one in resources if one.type in self._by_type and self._by_type[one.type].standalone]
        found = self._look_up(project_id, askable)
        return [self._why_not(project_id, one, found) for one in resources]

    def _why_not(self, project_id: str, one: Resource, found: Mapping[str, Mapping[str, Resource]]) -> str | None:
        plugin = self._by_type.get(one.type)
        if plugin is None:
            return None
        if not plugin.standalone:
            parents = " or ".join(plugin.parent_types)
            return f"A resource of type {one.type} is protected with its {parents}; name that instead."
        if one.id in found[one.type]:
            return None
        try:
            plugin.get(project_id, one.id)
        except errors.ResourceNotFound as fault:
            return fault.message
        return None

    def _look_up(self, project_id: str, resources: Sequence[Resource]) -> dict[str, Mapping[str, Resource]]:
        """By type, those that are there by id; many of one type are asked for at once."""
        wanted: dict[str, list[str]] = {}
        for one in resources:
            if one.type in self._by_type:
                wanted.setdefault(one.type, []).append(one.id)
        return {type_: self._by_type[type_].get_many(project_id, ids) for type_, ids in wanted.items()}

    def choose(self, project_id: str, plan: Mapping[str, Any]) -> Chosen:
        """Today's state of what a plan (as a checkpoint keeps it) names, and of what its choices fit now.

        Raises ResourceNotFound where something that is named is not there, and where there is nothing at all: a run
        that protects nothing must not look like one that did. InvalidInput where too much is chosen.
        """
        named = [Resource.from_dict(entry) for entry in plan["resources"]]
        choices = [Choice.from_dict(entry) for entry in plan.get("selection") or ()]
        found = Chosen()
        found.add(self.find(project_id, named), NAMED)
        for choice, fitting in self._selected(project_id, choices):
            found.add(fitting, choice.reason)
            if not fitting:
                found.empty.append(choice.in_words())
        if choices and len(found.resources) > self._max_chosen + len(named):
            raise errors.InvalidInput(
                f"The plan chooses more than {self._max_chosen} resources.",
                next_action="choose fewer, or let the operator raise max_chosen",
            )
        if not found.resources:
            raise errors.ResourceNotFound(
                f"There is nothing that the plan chooses: {'; '.join(found.empty[:5])}.",
                next_action="give what shall be protected that name, tag or metadata, or change the plan",
            )
        return found

    def _selected(self, project_id: str, choices: Sequence[Choice]) -> Iterator[tuple[Choice, Sequence[Resource]]]:
        """Each choice with what it fits; one look through the resources of a type, however many choices there are."""
        for type_ in dict.fromkeys(choice.type for choice in choices):
            own = [choice for choice in choices if choice.type == type_]
            fitting = self._plugin_to_choose(type_).select_each(project_id, own, limit=self._max_chosen)
            yield from zip(own, fitting, strict=True)

    def require_choosable(self, choice: Choice) -> None:
        """Raise InvalidInput or NotSupported where nothing can be chosen so here. Asks nobody."""
        self._plugin_to_choose(choice.type).require_choosable(choice)

    def _plugin_to_choose(self, type_: str) -> Protectable:
        if type_ not in self._by_type:
            raise errors.NotSupported(
                f"Resources of type {type_} cannot be looked for here, so none can be chosen.",
                next_action="name them by their ids, or let the operator set cloud_resources in [clients]",
            )
        return self._by_type[type_]

    def graph_below(self, project_id: str, live: Sequence[Resource]) -> graph.ResourceGraph:
        """The graph below resources that were seen just now. Raises InvalidInput (a circle)."""
        return graph.build(live, lambda found: self.dependents(project_id, found))

    def graph(self, project_id: str, roots: Sequence[Resource]) -> graph.ResourceGraph:
        """The same below those that a plan names. Raises ResourceNotFound as well."""
        return self.graph_below(project_id, self.find(project_id, roots))


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
