# SPDX-License-Identifier: Apache-2.0
"""How is the project of the caller found, so that a plan can name all that is in it?"""

from collections.abc import Mapping, Sequence
from typing import Any

from karbor.model import errors
from karbor.model.resource import Resource
from karbor.plugins.resources.cloudtypes import PROJECT
from karbor.sdk.protectable import Protectable


class ProjectProtectable(Protectable):
    """The one project that the caller's login is for. A plan that names it covers what is in it at each run."""

    resource_type = PROJECT
    acts_in_cloud = True

    def list(
        self, project_id: str, *, after: str = "", limit: int = 1000, parameters: Mapping[str, Any] | None = None
    ) -> Sequence[Resource]:
        """The project itself; no question beside the login."""
        return [self._project(project_id)][:limit] if project_id > after else []

    def get(self, project_id: str, resource_id: str, *, parameters: Mapping[str, Any] | None = None) -> Resource:
        """The project, by its id."""
        if resource_id != project_id:
            raise errors.ResourceNotFound("The project does not exist.", detail=f"{resource_id[:80]!r} was asked for")
        return self._project(project_id)

    def _project(self, project_id: str) -> Resource:
        return Resource(PROJECT, project_id, self.cloud.project_name)
