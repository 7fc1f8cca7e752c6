# SPDX-License-Identifier: Apache-2.0
"""How does Karbor find the things of one type that can be protected, and what depends on them?"""

import abc
import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self

from karbor.model import errors
from karbor.model.resource import Resource
from karbor.model.selection import NAME, Choice, Pattern, Traits
from karbor.sdk.environment import Environment
from karbor.sdk.options import Options

_PAGE = 1000

if TYPE_CHECKING:
    from karbor.clients.openstack import Cloud


class Protectable(abc.ABC):
    """Finds resources of ``resource_type``. Stateless: one object serves all tenants, so it keeps nothing of a caller.

    Every method is given the project of the caller and shows only what belongs to that project; a foreign resource
    is answered like a missing one. Raises HypervisorUnavailable or Unavailable where it could not look.
    """

    resource_type: ClassVar[str]
    #: Types whose resources have resources of this type below them.
    parent_types: ClassVar[tuple[str, ...]] = ()
    #: Whether a plan may name such a resource by itself. A disk is only ever protected with its domain.
    standalone: ClassVar[bool] = True
    #: Whether it looks into the cloud of the caller. A worker without a cloud does not have such a plug-in.
    acts_in_cloud: ClassVar[bool] = False
    #: What a plan can choose such resources by, of ``name``, ``tags`` and ``metadata``; see ``traits``.
    chosen_by: ClassVar[frozenset[str]] = frozenset({NAME})

    class Settings(Options):
        """A protectable without settings."""

    def __init__(self, settings: Options, environment: Environment) -> None:
        self.settings = settings
        self.environment = environment
        self._open_cloud: Callable[[], Cloud] | None = None

    def in_cloud(self, open_cloud: "Callable[[], Cloud]") -> Self:
        """This plug-in for one request, of somebody whose cloud ``open_cloud`` opens. Only for ``acts_in_cloud``."""
        other = copy.copy(self)
        other._open_cloud = open_cloud
        return other

    @property
    def cloud(self) -> "Cloud":
        """The cloud of the caller, with the caller's rights in it. Raises NotSupported where nobody asks."""
        if self._open_cloud is None:
            raise errors.NotSupported("There is no cloud here.", next_action="set find_resources in [clients]")
        return self._open_cloud()

    @abc.abstractmethod
    def list(
        self, project_id: str, *, after: str = "", limit: int = 1000, parameters: Mapping[str, Any] | None = None
    ) -> Sequence[Resource]:
        """At most ``limit`` resources in order of id, behind the id ``after``."""

    @abc.abstractmethod
    def get(self, project_id: str, resource_id: str, *, parameters: Mapping[str, Any] | None = None) -> Resource:
        """One resource. Raises ResourceNotFound."""

    def get_many(self, project_id: str, resource_ids: Sequence[str]) -> Mapping[str, Resource]:
        """Those of some resources that are there, by the id that was asked for. Worth writing where one question can
        find many."""
        found = {}
        for resource_id in resource_ids:
            try:
                found[resource_id] = self.get(project_id, resource_id)
            except errors.ResourceNotFound:
                continue
        return found

    def children(self, project_id: str, parents: Sequence[Resource]) -> Mapping[str, Sequence[Resource]]:
        """Resources of *this* type directly below each of ``parents`` (keyed by parent id), asked for a whole page at
        once. Called only with parents whose type is in ``parent_types``."""
        return {}

    def traits(self, project_id: str, choice: Choice) -> Iterator[Traits]:
        """What a choice can go by of every resource that ``choice`` may fit, in any order, each once. More may come
        than fit; a plug-in whose service can leave out what does not should let it. They are looked up while they are
        read. Worth writing where resources have tags or metadata: this one knows names."""
        after = ""
        while True:
            page = self.list(project_id, after=after, limit=_PAGE)
            yield from (Traits(resource, resource.name) for resource in page)
            if len(page) < _PAGE:
                return
            after = page[-1].id

    def select(self, project_id: str, choice: Choice, *, limit: int) -> Sequence[Resource]:
        """The resources that ``choice`` fits now; see ``select_each``."""
        return self.select_each(project_id, [choice], limit=limit)[0]

    def select_each(self, project_id: str, choices: Sequence[Choice], *, limit: int) -> Sequence[Sequence[Resource]]:
        """For each of ``choices`` the resources that it fits now; all are looked through once. Not to be overridden.

        Raises InvalidInput where a choice goes by what such resources do not have, or fits more than ``limit``.
        """
        for choice in choices:
            self.require_choosable(choice)
        asked = choices[0] if len(choices) == 1 else Choice(self.resource_type, Pattern(name="*"))
        found: list[list[Resource]] = [[] for _ in choices]
        for traits in self.traits(project_id, asked):
            for choice, chosen in zip(choices, found, strict=True):
                if choice.fits(traits):
                    chosen.append(traits.resource)
                if len(chosen) > limit:
                    raise errors.InvalidInput(
                        f"More than {limit} resources are chosen by: {choice.in_words()}.",
                        next_action="choose fewer, or let the operator raise max_chosen",
                    )
        return found

    def require_choosable(self, choice: Choice) -> None:
        """Raise InvalidInput where a plan cannot choose such resources so. Asks nobody."""
        if not self.standalone:
            parents = " or ".join(self.parent_types)
            raise errors.InvalidInput(
                f"A resource of type {self.resource_type} is protected with its {parents}; choose that instead."
            )
        unknown = sorted(choice.goes_by - self.chosen_by)
        if unknown:
            known = ", ".join(sorted(self.chosen_by))
            raise errors.InvalidInput(
                f"Resources of type {self.resource_type} cannot be chosen by {' and '.join(unknown)}, only by: {known}."
            )
