# SPDX-License-Identifier: Apache-2.0
"""What do all operations have in common: their parts, the reason of a failure, the calling of plug-ins?"""

import abc
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy.exc import SQLAlchemyError

from karbor.common.clock import Clock
from karbor.common.once import Once
from karbor.db.database import Database, Transaction
from karbor.model import errors
from karbor.model.checkpoint import RECORD as RECORD
from karbor.model.checkpoint import Reason, SavedResource
from karbor.model.graph import ResourceGraph
from karbor.model.host_step import ABANDON
from karbor.model.plan import options_for
from karbor.model.resource import ResourceKey
from karbor.protection.advice import advice_on
from karbor.protection.clouds import Clouds
from karbor.protection.control import Control
from karbor.protection.flows import Step
from karbor.protection.hosts import Hosts
from karbor.protection.lending import Lender, LentStreams, Loan
from karbor.protection.protectables import ProtectableRegistry
from karbor.protection.providers import Provider, ProviderRegistry
from karbor.protection.work import Mapped, StepWork
from karbor.sdk.protection import EarlierPoint, Protection
from karbor.vault.borrowing import Borrowed
from karbor.vault.domain import Domain
from karbor.vault.leases import Lease

if TYPE_CHECKING:
    from karbor.clients.openstack import Cloud

LOG = logging.getLogger(__name__)
#: In the payload of a job: the text of a resource's key -> the host whose worker does the steps of that resource.
HOSTS = "hosts"


@dataclass(frozen=True)
class Parts:
    """What the operations of a worker share."""

    database: Database
    providers: ProviderRegistry
    protectables: ProtectableRegistry
    clock: Clock
    clouds: Clouds | None = None  # None where this worker has no cloud
    max_passing: int = 16  # things of one kind that a protect may have in a cloud for a while at the same time
    lender: Lender | None = None  # None where this worker cannot lend streams to guests
    hosts: Hosts | None = None  # None where there can be no other hosts


class Operation(abc.ABC):
    """One job's work: its steps, what each does, and what the end means for the rows that users see."""

    def __init__(self, parts: Parts, control: Control) -> None:
        self.parts = parts
        self.control = control
        self.job = control.job
        self.checkpoint_id = control.job.checkpoint_id or ""
        self.restore_id = control.job.restore_id or ""
        self.provider: Provider = parts.providers.get(self.job.provider_id)
        self.graph = ResourceGraph(())
        self._first_steps: dict[ResourceKey, str] = {}
        self._domain: Domain | None = None
        self._once = Once()

    @property
    def domain(self) -> Domain:
        """The project's part of the vault. Raises KeyUnavailable, BankUnavailable."""
        # No functools.cached_property: in Python 3.11 it has one lock for all objects of a class, and would let every
        # job of this process wait for the bank of one. Asked twice at the same time, both answers are the same.
        if self._domain is None:
            self._domain = self.provider.vault.holder(self.job.project_id, RECORD, self.checkpoint_id)
        return self._domain

    @property
    def open_cloud(self) -> "Callable[[], Cloud] | None":
        """Opens the tenant's cloud; None where this worker has none, or the tenant handed on no right in it."""
        return self.cloud_opener(self.control.check)

    def cloud_opener(self, check: Callable[[], None]) -> "Callable[[], Cloud] | None":
        """The same, with waits that call ``check``."""
        clouds, trust_id = self.parts.clouds, self.job.trust_id
        if clouds is None or not trust_id:
            return None
        return lambda: clouds.of_trust(trust_id).watched(check)

    @abc.abstractmethod
    def plan(self) -> Sequence[Step]:
        """Find out what must be done and return the steps. May be called again after a crash; gives the same steps."""

    @abc.abstractmethod
    def engine_step(self, step: Step, results: Mapping[str, Any]) -> Any:
        """Do a step of the engine itself (read back, commit, finish)."""

    def undo_engine_step(self, step: Step, results: Mapping[str, Any]) -> None:  # noqa: B027 - most leave nothing
        """Undo a step of the engine, which may not have begun. May be called again."""

    @abc.abstractmethod
    def resource_step(self, step: Step, plugin: Protection, work: StepWork) -> Any:
        """Do a step of a plug-in and return JSON."""

    def done_after_all(self) -> bool:
        """Whether what was asked for is there, although a step failed: the fault may have come after the work."""
        return False

    @abc.abstractmethod
    def ended_well(self, rows: Transaction) -> None:
        """All steps ended well: show it, in the transaction that ends the job. The job is ours as long as that lasts.
        Nothing else may be changed here; it may be called again, in another transaction."""

    @abc.abstractmethod
    def ended_badly(self, rows: Transaction, reason: Reason) -> None:
        """The operation failed for good and was undone: show it, as in ``ended_well``."""

    def let_go(self, *, well: bool) -> None:  # noqa: B027 - most hold nothing
        """The end was written. What is held for the job elsewhere is of no use any more; not called after a crash."""

    @abc.abstractmethod
    def abandon(self, plugin: Protection, work: StepWork) -> None:
        """Undo what the plug-in did for one resource."""

    def close(self) -> None:  # noqa: B027 - most have nothing to let go of
        """This worker is done with it, however it ended."""

    #: The write lease in the bank, for those that store anything there. One that is borrowed is another worker's.
    lease: Lease | None = None
    borrowed: Borrowed | None = None

    #: Set by subclasses: the parameters that options are taken from, and the class that declares them.
    parameters: Mapping[str, Mapping[str, Any]] = {}

    @abc.abstractmethod
    def options(self, plugin: Protection, values: Mapping[str, Any]) -> Any:
        """The checked options of a plug-in for this kind of operation."""

    def saved(self, key: ResourceKey) -> SavedResource | None:
        """What is saved of a resource in the checkpoint at hand."""
        return None

    @property
    def saved_in(self) -> Domain:
        """Where the streams of ``saved`` lie."""
        return self.domain

    def earlier(self, key: ResourceKey) -> Sequence[EarlierPoint]:
        """Earlier points of a resource, newest first."""
        return ()

    def mapped(self, results: Mapping[str, Any]) -> Mapped | None:
        """Tells resources what stands in for what, where ``results`` of earlier steps are known."""
        return None

    def wishes(self, key: ResourceKey) -> frozenset[str]:
        """What a resource asks of its parents."""
        return frozenset()

    def plugin(self, key: ResourceKey) -> Protection:
        return self.provider.protection(key.type)

    def has(self, key: ResourceKey, phase: str) -> bool:
        """Whether the plug-in for a resource has a phase."""
        return self.plugin(key).has(phase)

    def perform(self, step: Step, results: Mapping[str, Any]) -> Any:
        """Do a step; see runner.Performer."""
        self.control.enter(step.key.text if step.key else "", step.phase)
        if step.key is None:
            return self.engine_step(step, results)
        there = self._done_there(step.key, step.phase, results, self.control.check)
        return there["value"] if there is not None else self.perform_here(step, results)

    def perform_here(self, step: Step, results: Mapping[str, Any]) -> Any:
        """Do a step of a plug-in on this host."""
        assert step.key is not None
        return self.resource_step(step, self.plugin(step.key), self._work(step.key, results))

    def join(self, earlier: "Operation | None", *, storing: bool) -> None:
        """Make ready for a step of a job that another worker has, instead of ``plan``. ``earlier`` did that before for
        the same claim on the job. ``storing``: the step may store something. Raises WriteLeaseLost, LeaseLost."""
        raise errors.NotSupported(f"Steps of {self.job.operation} are done by the worker that has the job.")

    def share(self, other: "Operation") -> None:
        """Take over what another object for the same job has found out."""
        self.graph, self.parameters, self.borrowed = other.graph, other.parameters, other.borrowed
        self._domain, self._once = other._domain, other._once

    def _done_there(
        self, key: ResourceKey, phase: str, results: Mapping[str, Any], check: Callable[[], None]
    ) -> Mapping[str, Any] | None:
        """``{"value": ...}`` where the worker of another host did it."""
        host = (self.control.job.payload.get(HOSTS) or {}).get(key.text)
        if self.parts.hosts is None or host in (None, self.parts.hosts.own):
            return None
        return self.parts.hosts.ask(self.control, key, phase, results, host=host, check=check)

    def undo(self, step: Step, results: Mapping[str, Any]) -> None:
        """Undo a resource once, when the first of its steps is undone. What fails here is logged: the next start-up
        or the next operation mends it."""
        if step.key is not None and self._first_steps.get(step.key) != step.name:
            return
        try:
            with self.parts.database.read() as rows:
                rows.jobs.check(self.job)
        except SQLAlchemyError as fault:  # nobody can tell whose job this is
            self.control.lose()
            raise errors.LeaseLost(detail=f"the database failed while {step.name} was undone: {fault}") from fault
        try:
            if step.key is None:
                self.undo_engine_step(step, results)
            elif self._done_there(step.key, ABANDON, results, self.control.check_ours) is None:
                self.abandon_here(step.key, results)
        except errors.LeaseLost:
            raise
        except errors.KarborError as fault:
            LOG.warning("undo failed job=%s step=%s %s", self.job.id, step.name, fault.operator_text())

    def abandon_here(self, key: ResourceKey, results: Mapping[str, Any]) -> None:
        """Undo on this host what was begun for a resource."""
        self.abandon(self.plugin(key), self._work(key, results, check=self.control.check_ours))

    def failed(self, step: Step, fault: BaseException) -> None:
        """Keep the reason with the job; the first one wins, also over those of an earlier worker."""
        resource = self.graph[step.key].resource.name if step.key else ""
        self.note_failure(reason_of(fault, resource=resource, step=step.phase), fault)

    def note_failure(self, reason: Reason, fault: BaseException) -> None:
        """See ``failed``."""
        text = fault.operator_text() if isinstance(fault, errors.KarborError) else repr(fault)
        known = isinstance(fault, errors.KarborError)
        LOG.error(
            "step failed job=%s step=%s resource=%s cause=%s", self.job.id, reason.step, reason.resource, text,
            exc_info=None if known else fault,
        )  # fmt: skip
        again = known and not fault.permanent  # type: ignore[attr-defined]
        with self.parts.database.write() as rows:
            current = rows.jobs.get(self.job.id)
            if not current.payload.get("failure"):
                note = {**reason.to_dict(), "again": again}
                self.control.job = rows.jobs.set_payload(self.control.job, failure=note)

    def remember_first_steps(self, steps: Sequence[Step]) -> Sequence[Step]:
        """Note which step begins the work on each resource; returns ``steps``."""
        for step in steps:
            if step.key is not None:
                self._first_steps.setdefault(step.key, step.name)
        return steps

    def _work(
        self, key: ResourceKey, results: Mapping[str, Any], *, check: Callable[[], None] | None = None
    ) -> StepWork:
        plugin = self.plugin(key)
        once = self._once if check is None else None  # what is undone may be newer than any list
        check = check or self.control.check
        return StepWork(
            self.control.job,
            self.control,
            self.graph,
            key,
            domain=self.domain,
            options=self.options(plugin, options_for(self.parameters, key.type, key.id)),
            results=results,
            saved=self.saved(key),
            saved_in=self.saved_in,
            earlier=self.earlier(key),
            lease=self.lease or self.borrowed,
            open_cloud=self.cloud_opener(check),
            check=check,
            mapped=self.mapped(results),
            lend=self._lending(self.parts.lender, key) if self.parts.lender is not None else None,
            tell=self.tell,
            once=once,
            wishes=self.wishes,
        )

    def tell(self, type_: str, id_: str, status: str, text: str) -> None:  # noqa: B027 - for those that show resources
        """Show what a plug-in has made before its step ends."""

    def _lending(self, lender: Lender, key: ResourceKey) -> Callable[[Loan, Callable[[], None]], LentStreams]:
        def lend(loan: Loan, check: Callable[[], None]) -> LentStreams:
            with self.parts.database.write() as rows:
                rows.jobs.bind(self.control.job, lender.host)
            return lender.lend(self.job.id, key, loan, check)

        return lend


def reason_of(fault: BaseException, *, resource: str, step: str) -> Reason:
    """What a user may know of a failure. An unexpected fault shows no internals."""
    cause = fault.message if isinstance(fault, errors.KarborError) else "An internal fault."
    return Reason(resource, step, cause, advice_on(fault))
