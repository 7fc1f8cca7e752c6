# SPDX-License-Identifier: Apache-2.0
"""How does Karbor find the things of one type that can be protected, and what depends on them?"""

import abc
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from karbor.model.resource import Resource
from karbor.sdk.environment import Environment
from karbor.sdk.options import Options


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

    class Settings(Options):
        """A protectable without settings."""

    def __init__(self, settings: Options, environment: Environment) -> None:
        self.settings = settings
        self.environment = environment

    @abc.abstractmethod
    def list(
        self, project_id: str, *, after: str = "", limit: int = 1000, parameters: Mapping[str, Any] | None = None
    ) -> Sequence[Resource]:
        """At most ``limit`` resources in order of id, behind the id ``after``."""

    @abc.abstractmethod
    def get(self, project_id: str, resource_id: str, *, parameters: Mapping[str, Any] | None = None) -> Resource:
        """One resource. Raises ResourceNotFound."""

    def children(self, project_id: str, parents: Sequence[Resource]) -> Mapping[str, Sequence[Resource]]:
        """Resources of *this* type directly below each of ``parents`` (keyed by parent id), asked for a whole page at
        once. Called only with parents whose type is in ``parent_types``."""
        return {}
