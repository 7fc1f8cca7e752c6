# SPDX-License-Identifier: Apache-2.0
"""How is a resource of one type protected, restored and deleted?

Phases of a protect operation, and the order the engine keeps between a resource and its dependents:

====================  ====================  =====================================================================
method                order                 purpose
====================  ====================  =====================================================================
``prepare_begin``     parent before child   hold still: freeze a guest, open one view of all its disks
``prepare_finish``    child before parent   take the volume snapshot, then let the parent go on
``protect``           none, in parallel     the heavy lifting; returns what is needed to restore
``complete``          child before parent   let go of everything that was held
``committed``         after the commit      the checkpoint is in the bank: drop what older points needed
``abandon``           after a failure       put everything back as it was before ``prepare_begin``
====================  ====================  =====================================================================

Restore: ``restore_prepare`` (parent before child: decide names and places, refuse conflicts), ``restore`` (child before
parent: build), ``restore_abandon`` (after a failure: remove what was built). ``restore_plan`` (parent before child)
tells without doing anything what the other two would do. Instead of building, ``restore`` may return parts of a Heat
template; the engine puts those of all resources together and has the stack built when every ``restore`` has ended. When
the restore fails, the stack is removed before any ``restore_abandon``.

Copy: what lies in the bank is copied by the engine. ``copy`` is for plug-ins that keep something outside of it (those
with ``delete``); one that has ``delete`` and no ``copy`` cannot be copied. ``copy_abandon``: after a failure.

Verify: the engine itself checks every stream of every resource, so most plug-ins have nothing to do. ``verify`` is for
those that keep something outside the bank, or can tell more than that the bytes are there.

Conditions:

1. Every method may be called again with the same arguments, also after a kill -9 in the middle of it and on another
   worker; it then finds what it made before and goes on.
2. What a method returns is JSON; it reaches the other phases of this resource (``work.results``), its parents
   (``work.child_phases``, ``work.child_results``) and its children (``work.parent_results``), also after a resume.
3. A method that is not overridden costs nothing: the engine makes no step for it.
4. A plug-in never writes a status. It returns, or raises an error of ``karbor.model.errors``; anything else it raises
   is shown as an internal fault. ``permanent`` says whether a new attempt may help.
5. Anything long calls ``work.check()`` at least once a second, or uses ``work.streams``, which does.
"""

# ruff: noqa: B027 - a phase that a plug-in leaves out is an empty method on purpose

import abc
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar

from karbor.model.checkpoint import SavedResource
from karbor.model.cost import Use
from karbor.model.errors import KarborError, NotSupported
from karbor.model.resource import Resource, ResourceKey
from karbor.sdk.environment import Environment
from karbor.sdk.lending import Lent
from karbor.sdk.made import Made
from karbor.sdk.mapping import OldNames
from karbor.sdk.options import Options, option
from karbor.sdk.streams import Streams
from karbor.sdk.template import HeatParameter, HeatResource

if TYPE_CHECKING:
    from karbor.clients.openstack import Cloud

Found = TypeVar("Found")
#: Names of the phases a plug-in may have, in the order they run.
PROTECT_PHASES = ("prepare_begin", "prepare_finish", "protect", "complete", "committed")
RESTORE_PHASES = ("restore_prepare", "restore")
#: In a plan of a restore, an id that is not known yet.
UNKNOWN = "?"


@dataclass(frozen=True)
class EarlierPoint:
    """An earlier available checkpoint of this project and provider that holds this resource."""

    checkpoint_id: str
    saved: SavedResource


@dataclass(frozen=True)
class Protected:
    """What ``protect`` returns. ``saved`` must satisfy the plug-in's ``Saved`` options.

    ``streams`` maps a name of the plug-in's choice to a StreamInfo of ``work.streams.write``. ``logical_bytes`` is the
    size of what was protected. ``consistency`` is what was reached; None where this resource has no say (a disk whose
    domain decides).
    """

    saved: Mapping[str, Any] = field(default_factory=dict)
    streams: Mapping[str, Any] = field(default_factory=dict)
    logical_bytes: int = 0
    mode: str | None = None  # "full" | "incremental" | None where neither fits
    base_id: str | None = None
    consistency: str | None = None


@dataclass(frozen=True)
class Restored:
    """What ``restore`` returns. ``result`` is JSON for the parents; ``new_id`` shows up in the restore, and is empty
    where nothing is there yet. ``template``: what Heat shall build (see karbor.sdk.template), from a plug-in that says
    ``through_heat``."""

    new_id: str
    result: Mapping[str, Any] = field(default_factory=dict)
    template: Sequence[HeatResource | HeatParameter] = ()


@dataclass(frozen=True)
class RestorePlan:
    """What ``restore_plan`` returns: what a restore with these options would do now.

    ``creates``, ``replaces`` and ``keeps`` are entries ``{"name": ..., "place": ...}``; the place may be left out.
    ``keeps`` is what stays although somebody might think otherwise. ``bytes`` is what will be written. ``conflicts``
    are the errors for which ``restore_prepare`` would refuse, the first of them first; ``warnings`` are for people.
    ``decided`` is what ``restore_prepare`` would have returned; the plans of the children see it as its result.
    ``template`` is what ``restore`` would leave to Heat, as far as that can be known; ``UNKNOWN`` stands for an id that
    only the restore itself will know. Where there are conflicts it may be left out.
    """

    creates: Sequence[Mapping[str, str]] = ()
    replaces: Sequence[Mapping[str, str]] = ()
    keeps: Sequence[Mapping[str, str]] = ()
    bytes: int = 0
    conflicts: Sequence[KarborError] = ()
    warnings: Sequence[str] = ()
    decided: Mapping[str, Any] | None = None
    template: Sequence[HeatResource | HeatParameter] = ()


class Work(abc.ABC):
    """One resource in one operation: the only argument of every method of a Protection."""

    operation: str  # "protect" | "restore" | "verify" | "copy" | "delete"
    operation_id: str  # the job id; the same in every attempt and on every worker
    attempt: int = 1  # how often the work was begun anew, this time included; the same for all steps of an attempt
    checkpoint_id: str
    provider_id: str
    project_id: str
    key: ResourceKey
    resource: Resource
    parent: Resource | None
    children: Sequence[tuple[ResourceKey, Resource]]
    options: Any  # the plug-in's options for this operation, checked
    saved: SavedResource | None  # restore, verify, copy, delete: what protect returned then
    earlier: Sequence[EarlierPoint]  # protect: newest first, at most a handful
    results: Mapping[str, Any]  # phase -> what this resource's earlier phases returned
    parent_results: Mapping[str, Any]  # phase -> what the parent's phases returned so far
    parent_phases: Mapping[ResourceKey, Mapping[str, Any]]  # the same of every parent
    child_phases: Mapping[ResourceKey, Mapping[str, Any]]  # protect: child -> phase -> what it returned, where this
    # step comes after it
    child_results: Mapping[ResourceKey, Any]  # restore: child -> Restored.result
    streams: Streams
    types: frozenset[str] = frozenset()  # resource types of everything in this operation

    @property
    def cloud(self) -> "Cloud":
        """The cloud of the tenant whose work this is, with the rights that the tenant handed on to the service. Its
        waits call ``check``. Raises NotSupported where this worker has no cloud, or the job no right in it."""
        raise NotSupported("This work has no cloud.")

    def mapped(self, kind: str, value: str) -> str:
        """Restore: what to use now in the place of ``value``, by the mapping that the user gave; ``value`` itself where
        it says nothing. ``kind`` is a word of karbor.sdk.mapping, such as ``volume_type``."""
        return value

    def lend(self, resources: Sequence[ResourceKey], stream: str) -> Lent:
        """Restore, verify: streams of that name, of these resources of the checkpoint, to be lent over NBD. Always the
        same ones for one resource in one job. From here on, only a worker of this host goes on with the job. Raises
        NotSupported where this worker cannot lend."""
        raise NotSupported("This worker cannot lend what is in a checkpoint.")

    def tell(self, type: str, new_id: str, text: str, *, ready: bool = False) -> None:  # noqa: A002
        """Restore: show what is there already, before this step ends. ``ready``: nothing of it is missing."""

    def shared(self, name: str, find: Callable[[], Found]) -> Found:
        """What ``find`` returns; asked once for all resources of this operation, so that one list of a service serves
        every step. It may be as old as the attempt: nothing that was made or removed since is in it."""
        return find()

    def wishing(self, wish: str) -> frozenset[ResourceKey]:
        """Protect: the children whose plug-ins have that wish (``Protection.wishes``)."""
        return frozenset()

    def together(self, type_: str) -> frozenset[str]:
        """The ids of all resources of that type in this operation."""
        return frozenset({self.resource.id}) if type_ == self.resource.type else frozenset()

    @abc.abstractmethod
    def expect(self, total_bytes: int) -> None:
        """Say how many bytes ``streams`` will deal with for this resource, for progress and ETA."""

    @abc.abstractmethod
    def check(self) -> None:
        """Raise Cancelled or LeaseLost where this work must end. Cheap; call often."""

    @abc.abstractmethod
    def advance(self, nbytes: int) -> None:
        """Count bytes that ``streams`` does not see, and ``check``."""


class Protection(abc.ABC):
    """Protects and restores resources of ``resource_types``. Stateless, as Protectable is."""

    resource_types: ClassVar[tuple[str, ...]]
    #: Whether it uses ``work.cloud``: then a job carries the tenant's permission to act in the cloud.
    acts_in_cloud: ClassVar[bool] = False
    #: Whether ``restore`` returns parts of a Heat template.
    through_heat: ClassVar[bool] = False

    class Settings(Options):
        """Settings of the operator, from the provider file: none."""

    class Protect(Options):
        """Parameters of a plan for this type: none."""

    class Restore(Options):
        """Parameters of a restore for this type: none."""

    class Verify(Options):
        """Parameters of a verification for this type; subclass it to add some."""

        level: Literal["quick", "data"] = option(
            "data", "quick: every object is there with its right size; data: every byte is read and proven."
        )

    class Copy(Options):
        """Parameters of a copy for this type: none."""

    class Saved(Options):
        """What is saved of a resource of this type: nothing."""

    def __init__(self, settings: Options, environment: Environment) -> None:
        self.settings = settings
        self.environment = environment

    def cost(self, resource: Resource, options: Any) -> Sequence[Use]:
        """What protecting that resource with these options (those of ``Protect``) uses of the tenant's quotas in the
        cloud. Asks nobody: it is called for every resource before anything is made, also for those who only want to
        know. Most plug-ins use nothing there."""
        return ()

    def wishes(self, resource: Resource, options: Any) -> frozenset[str]:
        """What parents are asked to do for that resource with these options (those of ``Protect``) in their
        ``prepare_begin``, in words that both plug-ins know (``Work.wishing``). Asks nobody."""
        return frozenset()

    def prepare_begin(self, work: Work) -> Mapping[str, Any] | None:
        """See the module text."""

    def prepare_finish(self, work: Work) -> Mapping[str, Any] | None:
        """See the module text."""

    def host(self, work: Work, hosts: Sequence[str]) -> str:
        """Which of these hosts the steps of a protect of this resource have to run on, where each has a worker; empty:
        none of them. Asked once, before all phases (``work.results`` is empty). ``environment`` is that host's then.

        A worker that goes away is not waited for: a step may run elsewhere all the same, and says what it cannot do.
        """
        return ""

    @abc.abstractmethod
    def protect(self, work: Work) -> Protected:
        """See the module text."""

    def complete(self, work: Work) -> Mapping[str, Any] | None:
        """See the module text."""

    def committed(self, work: Work) -> None:
        """See the module text. A failure here is logged; the checkpoint stays available."""

    def abandon(self, work: Work) -> None:
        """See the module text. ``work.results`` may lack the results of phases that did not end."""

    def restore_prepare(self, work: Work) -> Mapping[str, Any] | None:
        """See the module text."""

    @abc.abstractmethod
    def restore(self, work: Work) -> Restored:
        """See the module text."""

    def restore_abandon(self, work: Work) -> None:
        """See the module text."""

    def restore_replaces(self, work: Work) -> str:
        """What ``restore`` begins to replace for good, in a sentence for people; empty: ``restore_abandon`` puts
        everything back. It is shown from before ``restore`` begins until a restore of it ends well, whatever happens to
        the job. Then ``new_id`` of ``restore`` is the id of the resource."""
        return ""

    def restore_plan(self, work: Work) -> RestorePlan:
        """Say what a restore with these options would do. Changes nothing; ``work.operation_id`` is all zeroes.

        Where ``conflicts`` is empty, ``restore_prepare`` would not refuse as things stand, and the other way round.
        """
        raise NotImplementedError

    def old_names(self, saved: SavedResource) -> OldNames:
        """Names that things had when this was saved, so that a mapping may call them so: kind of karbor.sdk.mapping ->
        id -> name."""
        return {}

    def verify(self, work: Work) -> Mapping[str, Any] | None:
        """Prove that the resource could be restored, beyond its streams: those were checked just before and are whole.

        Raises IntegrityError or ResourceNotFound where it is proven that it could not: that makes the checkpoint
        unusable. StepFailed fails the verification, when everything else has been looked at; its detail is shown in the
        report. Any other error fails it at once. What it returns is shown in the report.
        """

    def verify_abandon(self, work: Work) -> None:
        """Remove what ``verify`` made, in a verification that failed or was cancelled."""

    def copy(self, work: Work) -> Protected | None:
        """Copy what this resource keeps outside the bank for the new checkpoint, which lies in another bank.

        ``work.saved`` and ``work.streams.read`` are those of the old checkpoint, ``work.streams.write`` stores in the
        new one. Of the answer count ``saved`` and ``streams``, which are added to those that the engine copied; None:
        what was saved is right for the copy, too.
        """

    def copy_abandon(self, work: Work) -> None:
        """Remove what ``copy`` made for a checkpoint that failed."""

    def delete(self, work: Work) -> None:
        """Remove what lies outside the bank (a volume snapshot in the cloud). Streams are not its business."""

    def made_by_jobs(self, cloud: "Cloud") -> Iterable[Made]:
        """Everything in a cloud that bears the mark of a job of this service and is not the user's own: what passes,
        and what is kept for checkpoints. What was restored is the user's. So what a job left behind can be found by
        whoever comes next."""
        return ()

    def remove_made(self, cloud: "Cloud", made: Made) -> None:
        """Let one of those be removed. Does not wait; it may be gone already. Raises Conflict where that is impossible
        now."""

    @classmethod
    def has(cls, phase: str) -> bool:
        """Whether this plug-in really has that phase."""
        return getattr(cls, phase) is not getattr(Protection, phase)

    @classmethod
    def can_copy(cls) -> bool:
        """Whether a checkpoint of such resources can be copied to another bank: nothing of it may be left behind."""
        return cls.has("copy") or not cls.has("delete")
