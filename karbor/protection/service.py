# SPDX-License-Identifier: Apache-2.0
"""What does karbor-protection answer to the other processes?"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from karbor.clients.openstack import Cloud
from karbor.clients.sealedlogins import DRY_RUN
from karbor.clients.sealedparameters import opened
from karbor.common.clock import Clock
from karbor.model import errors
from karbor.model.resource import Resource
from karbor.model.selection import Choice
from karbor.protection import filecontent, filelisting, protectplan, restoreplan
from karbor.protection.clouds import Clouds
from karbor.protection.protectables import ProtectableRegistry
from karbor.protection.providers import Provider, ProviderRegistry
from karbor.protection.worker import Worker
from karbor.rpc import interface


class ProtectionService(interface.Protection):
    """Serves the declared calls: wakes the worker, answers questions about the live inventory."""

    def __init__(
        self,
        worker: Worker,
        protectables: ProtectableRegistry,
        providers: ProviderRegistry,
        clock: Clock,
        *,
        clouds: Clouds | None = None,
        max_passing: int = 16,
        file_readers: int = 4,
        wake: Callable[[], None] = lambda: None,
    ) -> None:
        """``wake`` tells whoever else in this process looks for work."""
        self._worker = worker
        self._wake = wake
        self._clock = clock
        self._clouds = clouds
        self._max_passing = max_passing
        self._readers = filecontent.Readers(file_readers)
        self._protectables = protectables
        self._providers = providers

    def run(self, job_id: str) -> None:
        self._worker.wake()
        self._wake()

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
        seen = self._protectables.for_caller(self._open_cloud(project_id))
        return seen.list_instances(project_id, type, after=after, limit=limit, parameters=parameters)

    def show_instance(
        self,
        project_id: str,
        type: str,
        id: str,
        parameters: Mapping[str, Any] | None,  # noqa: A002
    ) -> Mapping[str, Any]:
        seen = self._protectables.for_caller(self._open_cloud(project_id))
        return seen.show_instance(project_id, type, id, parameters=parameters)

    def check_resources(
        self, project_id: str, provider_id: str, resources: Sequence[Mapping[str, Any]]
    ) -> Sequence[Mapping[str, Any]]:
        types = self._providers.get(provider_id).info.resource_types
        seen = self._protectables.for_caller(self._open_cloud(project_id))
        named = [Resource.from_dict(entry) for entry in resources]
        reasons = _reasons(seen, project_id, [one for one in named if one.type in types])
        refused = []
        for one in named:
            reason = (
                next(reasons) if one.type in types else f"The provider cannot protect resources of type {one.type}."
            )
            if reason:
                refused.append({"id": one.id, "type": one.type, "reason": reason})
        return refused

    def check_selection(self, provider_id: str, selection: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
        types = self._provider(provider_id).info.resource_types
        refused = []
        for choice in map(Choice.from_dict, selection):
            try:
                if choice.type not in types:
                    raise errors.InvalidInput(f"The provider cannot protect resources of type {choice.type}.")
                self._protectables.require_choosable(choice)
            except (errors.InvalidInput, errors.NotSupported) as fault:
                refused.append({"type": choice.type, "reason": fault.message})
        return refused

    def plan_protect(self, project_id: str, provider_id: str, plan: Mapping[str, Any]) -> Mapping[str, Any]:
        opener = self._open_cloud(project_id)
        return protectplan.plan_protect(
            self._provider(provider_id),
            self._protectables.for_caller(opener),
            plan,
            project_id=project_id,
            max_passing=self._max_passing,
            open_cloud=opener,
        )

    def plan_restore(
        self,
        project_id: str,
        provider_id: str,
        checkpoint_id: str,
        parameters: Mapping[str, Mapping[str, Any]],
        target: Mapping[str, Any] | None,
    ) -> Mapping[str, Any]:
        provider = self._provider(provider_id)
        if self._clouds is not None:
            parameters = opened(parameters, DRY_RUN, self._clouds.opened)
        return restoreplan.plan_restore(
            provider,
            project_id=project_id,
            checkpoint_id=checkpoint_id,
            parameters=parameters,
            clock=self._clock,
            open_cloud=self._open_target(target) if target else self._open_cloud(project_id),
        )

    def list_files(
        self, project_id: str, provider_id: str, checkpoint_id: str, wish: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        provider = self._provider(provider_id)
        with self._readers.turn():
            return filelisting.list_files(provider, wish, project_id=project_id, checkpoint_id=checkpoint_id)

    def read_file(
        self, project_id: str, provider_id: str, checkpoint_id: str, wish: Mapping[str, Any], offset: int, length: int
    ) -> Mapping[str, Any]:
        provider = self._provider(provider_id)
        wanted = {"offset": offset, "length": length}
        with self._readers.turn():
            return filecontent.read_file(provider, wish, project_id=project_id, checkpoint_id=checkpoint_id, **wanted)

    def _provider(self, provider_id: str) -> Provider:
        try:
            return self._providers.get(provider_id)
        except errors.NotFound as fault:
            raise errors.Unavailable(
                "The worker that was asked does not have this provider.", detail=fault.operator_text()
            ) from fault

    def _open_target(self, target: Mapping[str, Any]) -> Callable[[], Cloud] | None:
        """As ``_open_cloud``, for somebody who looks at another place."""
        if self._clouds is None or not target["sealed"]:
            return self._open_cloud(target["project_id"])
        return self._clouds.of_login(DRY_RUN, target["sealed"])

    def _open_cloud(self, project_id: str) -> Callable[[], Cloud] | None:
        """Opens the cloud as the user who asks just now sees it; None where this worker has none."""
        return self._clouds.of_request(project_id) if self._clouds is not None else None


def _reasons(seen: ProtectableRegistry, project_id: str, named: Sequence[Resource]) -> Iterator[str | None]:
    """Why each of them cannot be protected; None where it can. What a plug-in takes for wrong is asked for alone."""
    try:
        yield from seen.why_not(project_id, named)
    except errors.InvalidInput:
        for one in named:
            try:
                yield from seen.why_not(project_id, [one])
            except errors.InvalidInput as fault:
                yield fault.message
