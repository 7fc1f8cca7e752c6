# SPDX-License-Identifier: Apache-2.0
"""How does Karbor find the things of one type that can be protected, and what depends on them?"""

import abc
import copy
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self

from karbor.model import errors
from karbor.model.resource import Resource
from karbor.sdk.environment import Environment
from karbor.sdk.options import Options

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
