# SPDX-License-Identifier: Apache-2.0
"""What must a driver for a kind of KVM host be able to do? (Raksha's contract: full, incremental, restore.)

Words: a *capture* is one frozen view of chosen disks of a domain, all at one instant. A *tracker* is what the
hypervisor keeps so that a later capture can tell what changed since (a libvirt checkpoint with its dirty bitmaps).
Trackers and captures are named by (domain, scope, token): ``scope`` is the provider id, ``token`` the checkpoint id.
So anything a killed process left behind can be found by name alone.

Conditions:

1. ``begin`` with the same domain, scope and token finds the capture that an earlier call made, if it still stands, and
   returns the same answer; otherwise it makes a new one and leaves nothing of the old.
2. Whatever happens, the guest goes on: it is thawed (finally, watchdog, start-up), a guest that was paused because
   scratch room ran out is resumed, and it never waits for us.
3. Whenever it is not certain that a tracker covers every write since its token, the disk is read in full. Never a
   human step, never a wrong increment.
4. ``end``, ``keep``, ``discard`` and ``recover`` may be called again and when there is nothing to do.
5. All methods may be called from several threads.
"""

import abc
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, ClassVar

from karbor.sdk.options import Options
from karbor.sdk.streams import Advance, Source, StreamReader


@dataclass(frozen=True)
class DiskInfo:
    """One disk of a domain. ``target`` ("vda") is its name in the domain. ``size`` in bytes as the guest sees it.

    ``path`` is "" where it is no file or device of the host. ``serial`` is what whoever defined the domain calls it by.
    ``plain``: this guest alone uses it, and may write to it, and the host keeps no key for it.
    """

    target: str
    path: str
    format: str  # "qcow2" | "raw"
    size: int
    tracked: bool  # dirty bitmaps are possible (qcow2 v3)
    serial: str = ""
    plain: bool = True


@dataclass(frozen=True)
class DomainInfo:
    """One guest. ``project_id`` is "" where the domain names no owner."""

    id: str  # UUID with dashes
    name: str
    state: str  # "running" | "paused" | "shut off" | ...
    disks: tuple[DiskInfo, ...]
    project_id: str = ""


@dataclass(frozen=True)
class CaptureRequest:
    """What to freeze. ``since`` maps a disk target to the token its increment should be read against (no entry: full).

    Those in ``whole`` are read in full, and no tracker is made on them: nothing stays in their images.

    ``quiesce``: "required" fails without a freeze, "try" goes on without, "no" does not try.
    ``method``: "auto" takes bitmaps where any disk can have them and an external snapshot otherwise; "bitmap" and
    "snapshot" insist (a stopped guest is read from its images in every case).
    """

    domain_id: str
    scope: str
    token: str
    targets: tuple[str, ...]
    since: Mapping[str, str] = field(default_factory=dict)
    quiesce: str = "try"
    method: str = "auto"
    whole: tuple[str, ...] = ()


@dataclass(frozen=True)
class CapturedDisk:
    """``since`` is the token an incremental read refers to, or None: read in full, because of ``why_full``.

    ``since_view`` is the ``view`` of the capture that made that tracker: only data that was read from that very view
    may be the base of the increment.
    """

    target: str
    size: int
    format: str
    since: str | None
    why_full: str = ""
    tracked: bool = False  # a tracker for the next increment was made
    since_view: str = ""


@dataclass(frozen=True)
class Capture:
    """A frozen view. JSON through ``to_dict``; another process can use it as long as it stands.

    ``definition`` is the domain's definition (XML) needed to restore it. ``consistency`` is what was reached.
    ``private`` belongs to the driver. ``view`` names this very instant: a capture that is begun anew with the
    same token has another one.
    """

    domain_id: str
    scope: str
    token: str
    method: str  # "bitmap" | "snapshot" | "offline"
    consistency: str  # "filesystem" | "crash"
    disks: tuple[CapturedDisk, ...]
    definition: str
    private: Mapping[str, Any] = field(default_factory=dict)
    view: str = ""

    def disk(self, target: str) -> CapturedDisk:
        """The disk with that target. Raises KeyError."""
        for disk in self.disks:
            if disk.target == target:
                return disk
        raise KeyError(target)

    def to_dict(self) -> dict[str, Any]:
        plain = {name: getattr(self, name) for name in self.__dataclass_fields__ if name not in ("disks", "private")}
        return {**plain, "disks": [vars(disk) for disk in self.disks], "private": dict(self.private)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Capture":
        return cls(**{**data, "disks": tuple(CapturedDisk(**disk) for disk in data["disks"])})


@dataclass(frozen=True)
class NewDomain:
    """How a restored domain shall differ from its definition.

    ``name`` and ``uuid`` None: as they were. ``new_macs``: give each network card a fresh MAC. ``disks`` maps a target
    to (path, format); disks of the definition that are not in it are left out.
    """

    disks: Mapping[str, tuple[str, str]]
    name: str | None = None
    uuid: str | None = None
    new_macs: bool = False
    start: bool = False


@dataclass(frozen=True)
class FreezeResult:
    """Whether the file systems of a guest hold still (``freeze``), or held still all the time (``thaw``); ``reason``:
    why not. ``seconds``: how long it was frozen, as far as that is known."""

    held: bool
    reason: str = ""
    seconds: float = 0.0


@dataclass(frozen=True)
class Pull:
    """How far the copy of one disk of a guest that runs from a checkpoint is: ``done`` of ``total`` (0 of 1 where that
    is not known just now); ``independent``: all of the disk is on this host."""

    target: str
    done: int
    total: int
    independent: bool


@dataclass(frozen=True)
class Trial:
    """A guest to be booted from a checkpoint, to see whether it comes up. ``exports``: as in ``begin_instant``.

    ``uuid`` names the trial, and is none of a real guest. Signs of life: the guest agent answers, where ``agent``; the
    first serial console says ``text``, where that is not empty. ``seconds`` is how long it may take.
    """

    uuid: str
    definition: str
    socket: str
    exports: Mapping[str, str]
    seconds: int
    agent: bool = True
    text: str = ""


@dataclass(frozen=True)
class TrialResult:
    """``sign`` of life: "agent", "console", or "" where there was none, and then ``why``. ``console`` is the end of
    what the guest said there."""

    sign: str
    seconds: float
    console: str = ""
    why: str = ""


class Hypervisor(abc.ABC):
    """A driver. See the conditions at the top of this module."""

    name: ClassVar[str]

    class Settings(Options):
        """A driver without settings."""

    def __init__(self, settings: Options, *, state_dir: str) -> None:
        self.settings = settings
        self.state_dir = state_dir

    @abc.abstractmethod
    def domains(self) -> Sequence[DomainInfo]:
        """All persistent domains, in order of id. Raises HypervisorUnavailable."""

    @abc.abstractmethod
    def domain(self, domain_id: str) -> DomainInfo:
        """One domain. Raises ResourceNotFound."""

    @abc.abstractmethod
    def begin(self, request: CaptureRequest) -> Capture:
        """Freeze the view. Raises ResourceNotFound, InvalidInput (no such target), Conflict (another backup job of
        somebody else runs), StepFailed (a required freeze was not possible), Unavailable (no room for scratch)."""

    @abc.abstractmethod
    def source(self, capture: Capture, target: str, *, full: bool = False) -> AbstractContextManager[Source]:
        """Open one disk of the capture for reading. With ``full``, or where ``since`` is None, no extent is SAME.

        Raises CaptureLost where the view no longer stands.
        """

    @abc.abstractmethod
    def end(self, capture: Capture) -> None:
        """Let go of the view. The tracker stays until ``keep`` or ``discard``."""

    @abc.abstractmethod
    def keep(self, domain_id: str, scope: str, token: str) -> None:
        """The checkpoint ``token`` is committed: drop every other tracker of this scope on this domain."""

    @abc.abstractmethod
    def discard(self, domain_id: str, scope: str, token: str) -> None:
        """The checkpoint ``token`` failed: end its view if it stands, drop its tracker and every trace of it."""

    @abc.abstractmethod
    def freeze(self, domain_id: str, token: str) -> FreezeResult:
        """Hold still all file systems of a guest until ``thaw`` with the same token, for as long as its disks are
        captured by somebody else (volume snapshots of a cloud). The driver has a bound of its own; then, and when this
        process dies, the guest is thawed whatever happens.

        Called again while it stands: the same answer, and the bound counts from the first call. A guest that was shut
        down holds still until it is started. Where it cannot be, or somebody else holds the guest, the answer says why.
        Raises ResourceNotFound.
        """

    @abc.abstractmethod
    def thaw(self, domain_id: str, token: str) -> FreezeResult:
        """Let the guest go on, and say whether it held still from ``freeze`` until now. No error where the domain is
        gone, or nothing is frozen by that token; what others froze stays so."""

    @abc.abstractmethod
    def recover(self, is_wanted: Callable[[str, str], bool]) -> Sequence[str]:
        """Called when a worker starts: thaw, resume and clean up after processes that died.

        ``is_wanted(scope, token)`` tells whether an unfinished job will come back for that capture; those are left
        standing. Returns one line per thing that was mended.
        """

    @abc.abstractmethod
    def target_path(self, *, directory: str | None, pool: str | None, name: str) -> str:
        """The path of a new disk ``name`` in a directory or storage pool.

        Raises InvalidInput where the place does not exist or is not allowed, Conflict where the file exists.
        """

    @abc.abstractmethod
    def write_disk(self, path: str, format: str, reader: StreamReader, advance: Advance) -> None:
        """Write a new image from ``reader``, sparse, durable when it returns. May be called again for the same path:
        it starts over. ``advance`` is called with the number of bytes dealt with."""

    @abc.abstractmethod
    def overwrite_disk(self, path: str, format: str, reader: StreamReader, advance: Advance) -> None:
        """Make an image that is there equal to ``reader``, durable when it returns: it is read, and only what differs
        is written. Trackers in it count what is written. Killed in the middle it is neither old nor new; called again
        it ends right. Raises ResourceNotFound, and Conflict where a guest uses it or its size is another one."""

    @abc.abstractmethod
    def remove_disk(self, path: str) -> None:
        """Remove an image that ``write_disk`` made (or had begun to make) in a restore that failed."""

    @abc.abstractmethod
    def define(self, definition: str, new: NewDomain) -> str:
        """Define a domain over restored disks and return its id. Defining the same again is no error.

        Raises Conflict where name or uuid belong to another domain.
        """

    @abc.abstractmethod
    def start(self, domain_id: str) -> None:
        """Start a domain. No error where it runs already. Raises ResourceNotFound."""

    @abc.abstractmethod
    def undefine(self, domain_id: str) -> None:
        """Undo ``define`` in a restore that failed. The disks are left alone. No error where it is not there."""

    @abc.abstractmethod
    def admit(self, socket: str) -> None:
        """Let guests use an NBD socket of ours. May be called again, also for a new socket of that path."""

    @abc.abstractmethod
    def begin_instant(self, definition: str, new: NewDomain, socket: str, exports: Mapping[str, str]) -> str:
        """Define a domain as ``define`` does, and start it, over disks that have no content of their own yet: what they
        lack is read from ``exports`` (names of NBD exports by target) behind ``socket``. Returns its id.

        Where reads fail the guest pauses. Called again it goes on: a guest that is off is started, unless somebody has
        switched it off.
        """

    @abc.abstractmethod
    def advance_instant(
        self, domain_id: str, disks: Mapping[str, str], *, bandwidth: int, check: Callable[[], None]
    ) -> Sequence[Pull]:
        """Set going what stands still (a guest that paused because reads failed, the copy of a disk), and tell how far
        each of the ``disks`` (target to path) is. To be called again and again until all are independent.

        ``bandwidth`` bounds each copy (MiB in a second, 0: no bound). The exports must serve; where they do not, no
        error, but no progress. A guest that is off has its disks copied before this returns; ``check`` is called
        meanwhile and may raise.
        """

    @abc.abstractmethod
    def try_boot(self, trial: Trial, check: Callable[[], None]) -> TrialResult:
        """Boot a guest apart from everything: no network, no device of the host, bounded memory, processors and
        writes. Nothing of it is left when this returns or raises; nor when this process dies, but for files, which
        ``end_trial`` or another call removes. ``check`` is called at least every few seconds and may raise; a guest
        that paused because reads failed goes on after it.

        Raises StepFailed where it cannot even be started on this host.
        """

    @abc.abstractmethod
    def end_trial(self, uuid: str) -> None:
        """Remove every trace of a trial. No error where there is none."""
