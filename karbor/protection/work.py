# SPDX-License-Identifier: Apache-2.0
"""What does a plug-in hold in its hands while it works on one resource?"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from karbor.common.once import Once
from karbor.model import errors
from karbor.model.checkpoint import SavedResource
from karbor.model.graph import ResourceGraph
from karbor.model.operation import Job
from karbor.model.resource import ResourceKey
from karbor.protection.control import Control
from karbor.protection.flows import step_name
from karbor.protection.lending import LentStreams, Loan
from karbor.sdk import protection
from karbor.sdk.lending import Lent
from karbor.sdk.streams import Source, StreamInfo, StreamReader, Streams
from karbor.vault.domain import Domain, Holding

if TYPE_CHECKING:
    from karbor.clients.openstack import Cloud


#: Answers Work.mapped for the resource with that key: kind, old -> new.
Mapped = Callable[[ResourceKey, str, str], str]
#: What a resource asks of its parents.
Wishes = Callable[[ResourceKey], frozenset[str]]


class VaultStreams(Streams):
    """Streams of one resource, kept in the vault of the provider under the project's keys. Those that were saved lie
    in ``saved_in``."""

    def __init__(
        self, domain: Domain, control: Control, saved: SavedResource | None, saved_in: Domain, lease: Holding | None
    ) -> None:
        self._domain = domain
        self._saved_in = saved_in
        self._control = control
        self._saved = saved
        self._lease = lease

    def write(self, name: str, source: Source, *, base_id: str | None = None) -> StreamInfo:
        return self._domain.write_stream(source, base_id=base_id, advance=self._control.advance, lease=self._lease)

    def exists(self, stream_id: str) -> bool:
        return self._domain.has_stream(stream_id, lease=self._lease)

    def read(self, name: str) -> StreamReader:
        if self._saved is None or name not in self._saved.streams:
            raise errors.IntegrityError(f"The checkpoint holds no stream {name!r} of this resource.")
        return self._saved_in.open_stream(self._saved.streams[name])


class StepWork(protection.Work):
    """The Work of one resource in one step."""

    def __init__(
        self,
        job: Job,
        control: Control,
        graph: ResourceGraph,
        key: ResourceKey,
        *,
        domain: Domain,
        options: Any,
        results: Mapping[str, Any],
        saved: SavedResource | None = None,
        saved_in: Domain | None = None,
        earlier: Sequence[protection.EarlierPoint] = (),
        lease: Holding | None = None,
        open_cloud: "Callable[[], Cloud] | None" = None,
        check: Callable[[], None] | None = None,
        mapped: Mapped | None = None,
        lend: Callable[[Loan, Callable[[], None]], LentStreams] | None = None,
        tell: Callable[[str, str, str, str], None] = lambda *_: None,
        once: Once | None = None,
        wishes: Wishes | None = None,
    ) -> None:
        node = graph[key]
        parents = graph.parents(key)
        self.operation, self.operation_id, self.attempt = job.operation, job.id, job.attempts
        self.checkpoint_id = job.checkpoint_id or ""
        self.provider_id, self.project_id = job.provider_id, job.project_id
        self.key, self.resource, self.options = key, node.resource, options
        self.parent = graph[parents[0]].resource if parents else None
        self.children = [(child, graph[child].resource) for child in node.children]
        self._once, self._graph = once or Once(), graph
        self.types = self.shared("types", lambda: frozenset(other.key.type for other in graph))
        self.saved, self.earlier = saved, earlier
        self.results = _phases(results, key)
        self.parent_results = _phases(results, parents[0]) if parents else {}
        self.parent_phases = {parent: _phases(results, parent) for parent in parents}
        self.child_phases = {child: _phases(results, child) for child in node.children}
        self.child_results = {
            child: results[step_name(child, "restore")]["result"]
            for child in node.children
            if step_name(child, "restore") in results
        }
        self.streams = VaultStreams(domain, control, saved, saved_in or domain, lease)
        self._control = control
        self._open_cloud = open_cloud
        self._mapped = mapped
        self._check = check or control.check
        self._lend, self._tell, self._wishes = lend, tell, wishes

    @property
    def cloud(self) -> "Cloud":
        return self._open_cloud() if self._open_cloud is not None else super().cloud

    def shared(self, name: str, find: Callable[[], protection.Found]) -> protection.Found:
        return self._once.get(name, find)

    def wishing(self, wish: str) -> frozenset[ResourceKey]:
        wishes = self._wishes
        return frozenset(child for child, _resource in self.children if wishes is not None and wish in wishes(child))

    def together(self, type_: str) -> frozenset[str]:
        of_type = (node.key.id for node in self._graph if node.key.type == type_)
        return self.shared(f"together {type_}", lambda: frozenset(of_type))

    def lend(self, resources: Sequence[ResourceKey], stream: str) -> Lent:
        if self._lend is None:
            return super().lend(resources, stream)
        loan = Loan(self.project_id, self.provider_id, self.checkpoint_id, list(resources), stream)
        return self._lend(loan, self.check)

    def tell(self, type: str, new_id: str, text: str, *, ready: bool = False) -> None:  # noqa: A002
        self._tell(type, new_id, "available" if ready else "restoring", text)

    def mapped(self, kind: str, value: str) -> str:
        return self._mapped(self.key, kind, value) if self._mapped is not None else super().mapped(kind, value)

    def expect(self, total_bytes: int) -> None:
        self._control.expect(self.key.text, total_bytes)

    def check(self) -> None:
        self._check()

    def advance(self, nbytes: int) -> None:
        self._control.advance(nbytes)


def _phases(results: Mapping[str, Any], key: ResourceKey) -> dict[str, Any]:
    """The results of one resource's steps by phase, from those a step was given."""
    phases = (*protection.PROTECT_PHASES, *protection.RESTORE_PHASES)
    named = {phase: step_name(key, phase) for phase in phases}
    return {phase: results[name] for phase, name in named.items() if results.get(name) is not None}
