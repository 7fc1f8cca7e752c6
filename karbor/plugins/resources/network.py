# SPDX-License-Identifier: Apache-2.0
"""How are the networks of a project found, which are protected as one?"""

from collections.abc import Mapping, Sequence
from typing import Any

from karbor.model import errors
from karbor.model.resource import Resource
from karbor.plugins.resources.cloudtypes import NETWORK, PROJECT
from karbor.sdk.protectable import Protectable

NAME = "Network Topology"


class NetworkProtectable(Protectable):
    """One for each project, with the project's id: its networks, subnets, routers, ports and security groups. They
    refer to each other in both directions, so that none can be brought back alone."""

    resource_type = NETWORK
    parent_types = (PROJECT,)
    acts_in_cloud = True

    def list(
        self, project_id: str, *, after: str = "", limit: int = 1000, parameters: Mapping[str, Any] | None = None
    ) -> Sequence[Resource]:
        """It alone; no question beside the login."""
        return [_topology(project_id)][:limit] if project_id > after and self.cloud.has("network") else []

    def get(self, project_id: str, resource_id: str, *, parameters: Mapping[str, Any] | None = None) -> Resource:
        """It, by the id of the project."""
        if resource_id != project_id or not self.cloud.has("network"):
            raise errors.ResourceNotFound("The network does not exist.", detail=f"{resource_id[:80]!r} was asked for")
        return _topology(project_id)

    def children(self, project_id: str, parents: Sequence[Resource]) -> Mapping[str, Sequence[Resource]]:
        """It, below its project."""
        return {parent.id: self.list(project_id) for parent in parents if parent.id == project_id}


def _topology(project_id: str) -> Resource:
    return Resource(NETWORK, project_id, NAME)
