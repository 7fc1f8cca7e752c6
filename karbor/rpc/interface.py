# SPDX-License-Identifier: Apache-2.0
"""Which calls do our processes make to each other? Each is declared here once; client and server follow from it.

A message is delivered at most once. So it may only wake somebody up or ask a question: what must be done is always in
the database first.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeVar

#: Bytes of a file that one message may hold.
FILE_PART = 4 << 20

F = TypeVar("F", bound=Callable[..., Any])


def method(kind: Literal["call", "cast"], *, for_user: bool = False) -> Callable[[F], F]:
    """Mark a method of an interface: ``call`` waits for the answer, ``cast`` does not.

    ``for_user``: the answer may need to be looked up in the cloud with the rights of whoever asks, so the token of the
    request travels with the question; it is kept nowhere.
    """

    def mark(function: F) -> F:
        function.rpc_kind = kind  # type: ignore[attr-defined]
        function.rpc_for_user = for_user  # type: ignore[attr-defined]
        return function

    return mark


def methods(interface: type[Any]) -> dict[str, str]:
    """The declared methods of an interface by name, with their kind."""
    return {name: entry.rpc_kind for name, entry in vars(interface).items() if hasattr(entry, "rpc_kind")}


def for_user(interface: type[Any], name: str) -> bool:
    """Whether the token of the request travels with that question."""
    return bool(getattr(interface, name).rpc_for_user)


class Protection:
    """What karbor-protection does for the others."""

    TOPIC = "karbor-protection"
    VERSION = "1.3"

    @method("cast")
    def run(self, job_id: str) -> None:
        """Look for work: the row of this job or export, or of a step of this job, was just committed."""
        raise NotImplementedError

    @method("call")
    def list_types(self) -> Sequence[Mapping[str, Any]]:
        """Every resource type that can be found: ``{"name": TYPE, "dependent_types": [TYPE, ...]}``."""
        raise NotImplementedError

    @method("call", for_user=True)
    def list_instances(
        self,
        project_id: str,
        type: str,
        after: str,
        limit: int,
        parameters: Mapping[str, Any] | None,  # noqa: A002
    ) -> Sequence[Mapping[str, Any]]:
        """A page of resources of a type with their dependents: ``{id, type, name, extra_info, dependent_resources}``.

        Raises NotFound for an unknown type.
        """
        raise NotImplementedError

    @method("call", for_user=True)
    def show_instance(
        self,
        project_id: str,
        type: str,
        id: str,
        parameters: Mapping[str, Any] | None,  # noqa: A002
    ) -> Mapping[str, Any]:
        """One resource with its dependents. Raises NotFound, ResourceNotFound."""
        raise NotImplementedError

    @method("call", for_user=True)
    def check_resources(
        self, project_id: str, provider_id: str, resources: Sequence[Mapping[str, Any]]
    ) -> Sequence[Mapping[str, Any]]:
        """Those of ``resources`` that cannot be protected: ``{"id", "type", "reason"}``; empty where all is well."""
        raise NotImplementedError

    @method("call")
    def check_selection(self, provider_id: str, selection: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
        """Those choices of a plan that cannot be made here: ``{"type", "reason"}``; empty where all is well. Looks at
        no inventory: a choice may find nothing yet.
        """
        raise NotImplementedError

    @method("call", for_user=True)
    def plan_protect(self, project_id: str, provider_id: str, plan: Mapping[str, Any]) -> Mapping[str, Any]:
        """What a run of this plan (``Plan.snapshot()``) would do now: ``chosen``, ``resources`` (how many of each type
        there are with all that depends on them), ``cost`` (as a checkpoint keeps it) and ``conflicts`` (``{"reason",
        "next_action"}``). Changes nothing.

        Raises Unavailable where this worker does not have the provider, or cloud or hypervisor cannot be used.
        """
        raise NotImplementedError

    @method("call", for_user=True)
    def plan_restore(
        self,
        project_id: str,
        provider_id: str,
        checkpoint_id: str,
        parameters: Mapping[str, Mapping[str, Any]],
        target: Mapping[str, Any] | None,
    ) -> Mapping[str, Any]:
        """What a restore of this checkpoint would do now: ``creates``, ``replaces``, ``keeps``, ``conflicts``,
        ``warnings``, ``untold`` (lists of ``{"type", "id", ...}``), ``bytes`` and ``template``. Changes nothing.
        ``target``: another place than the project of the request, ``{"project_id", "sealed"}``; what is sealed is the
        login there, None where that is the token that came with the question.

        Raises Unavailable where this worker does not have the provider, or bank, key or hypervisor cannot be used.
        """
        raise NotImplementedError

    @method("call")
    def list_files(
        self, project_id: str, provider_id: str, checkpoint_id: str, wish: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """What lies on a disk of this checkpoint: ``volumes``, ``files`` of one directory, and a ``note``. ``wish`` has
        ``resource``, ``stream``, ``volume``, ``path`` (each may be None), ``after`` and ``limit``.

        Raises InvalidInput for what is not there or cannot be read, NotSupported where this worker cannot read files.
        """
        raise NotImplementedError

    @method("call")
    def read_file(
        self, project_id: str, provider_id: str, checkpoint_id: str, wish: Mapping[str, Any], offset: int, length: int
    ) -> Mapping[str, Any]:
        """A part of a file on a disk of this checkpoint: its ``name``, ``size`` and ``modified`` (seconds since 1970),
        and ``data``, at most ``length`` bytes from ``offset`` on, in base64. ``length`` is FILE_PART at most. ``wish``
        as in ``list_files``, without ``after`` and ``limit``.

        Raises InvalidInput for what is not there or cannot be read, Conflict where the bank is damaged there,
        NotSupported where this worker cannot read files, Unavailable where too many are being read.
        """
        raise NotImplementedError
