# SPDX-License-Identifier: Apache-2.0
"""What does karbor-protection answer to the other processes?"""

from collections.abc import Mapping, Sequence
from typing import Any

from karbor.common.clock import Clock
from karbor.model import errors
from karbor.model.resource import Resource
from karbor.protection import restoreplan
from karbor.protection.protectables import ProtectableRegistry
from karbor.protection.providers import ProviderRegistry
from karbor.protection.worker import Worker
from karbor.rpc import interface


class ProtectionService(interface.Protection):
    """Serves the declared calls: wakes the worker, answers questions about the live inventory."""

    def __init__(
        self, worker: Worker, protectables: ProtectableRegistry, providers: ProviderRegistry, clock: Clock
    ) -> None:
        self._worker = worker
        self._clock = clock
        self._protectables = protectables
        self._providers = providers

    def run(self, job_id: str) -> None:
        self._worker.wake()

    def list_types(self) -> Sequence[Mapping[str, Any]]:
        return self._protectables.types()

    def list_instances(
        self,
        project_id: str,
        type: str,
        after: str,
        limit: int,
        parameters: Mapping[str, Any] | None,  # noqa: A002
    ) -> Sequence[Mapping[str, Any]]:
        return self._protectables.list_instances(project_id, type, after=after, limit=limit, parameters=parameters)

    def show_instance(
        self,
        project_id: str,
        type: str,
        id: str,
        parameters: Mapping[str, Any] | None,  # noqa: A002
    ) -> Mapping[str, Any]:
        return self._protectables.show_instance(project_id, type, id, parameters=parameters)

    def check_resources(
        self, project_id: str, provider_id: str, resources: Sequence[Mapping[str, Any]]
    ) -> Sequence[Mapping[str, Any]]:
        provider = self._providers.get(provider_id)
        refused = []
        for entry in resources:
            resource = Resource.from_dict(entry)
            reason = self._reason(provider.info.resource_types, project_id, resource)
            if reason:
                refused.append({"id": resource.id, "type": resource.type, "reason": reason})
        return refused

    def plan_restore(
        self, project_id: str, provider_id: str, checkpoint_id: str, parameters: Mapping[str, Mapping[str, Any]]
    ) -> Mapping[str, Any]:
        try:
            provider = self._providers.get(provider_id)
        except errors.NotFound as fault:
            raise errors.Unavailable(
                "The worker that was asked does not have this provider.", detail=fault.operator_text()
            ) from fault
        return restoreplan.plan_restore(
            provider, project_id=project_id, checkpoint_id=checkpoint_id, parameters=parameters, clock=self._clock
        )

    def _reason(self, types: frozenset[str], project_id: str, resource: Resource) -> str | None:
        if resource.type not in types:
            return f"The provider cannot protect resources of type {resource.type}."
        try:
            return self._protectables.why_not(project_id, resource)
        except errors.InvalidInput as fault:
            return fault.message
