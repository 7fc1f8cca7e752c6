# SPDX-License-Identifier: Apache-2.0
"""What keeps a checkpoint from being deleted, until when, and who may end that?

A *governance* lock may be shortened and lifted by those whom the policy allows to. A *compliance* lock can only be
extended, by nobody shortened. A *hold* has no end; it stands beside either until it is released.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from karbor.model import errors

GOVERNANCE, COMPLIANCE = "governance", "compliance"
MODES = (GOVERNANCE, COMPLIANCE)
LOCK, UNLOCK, HOLD, RELEASE = "lock", "unlock", "hold", "release"
ACTIONS = (LOCK, UNLOCK, HOLD, RELEASE)
#: Not a wish of anybody: the checkpoint is being deleted, and nothing can lock it from then on.
CLOSE = "close"
MAX_DAYS = 36500
#: Where a plan says, beside the options of its resources, how its checkpoints are locked: ``mode`` and ``days``.
PARAMETER = "Karbor::Lock"


@dataclass(frozen=True)
class Lock:
    """What is known of one checkpoint. Moments are kept when they have passed: whether they have is for ``counts``.

    Both kinds of lock stand beside each other; what is shown is the one that cannot be lifted as long as it lasts.
    """

    compliance_until: datetime | None = None
    governance_until: datetime | None = None
    held: bool = False
    held_reason: str = ""
    closed: bool = False  #: it is being deleted: what it has had counts as long as it lasts, and nothing is added

    @property
    def until(self) -> datetime | None:
        """When the last of its locks ends; None where there is none."""
        return max((end for end in (self.compliance_until, self.governance_until) if end), default=None)

    @property
    def mode(self) -> str | None:
        """Of the lock that ends last."""
        if self.until is None:
            return None
        return COMPLIANCE if self.until == self.compliance_until else GOVERNANCE

    def to_catalog(self) -> dict[str, Any]:
        """The fields of a checkpoint that show it."""
        return {
            "lock_mode": self.mode,
            "locked_until": self.until,
            "held": self.held,
            "held_reason": self.held_reason or None,
        }

    def counts(self, now: datetime) -> bool:
        """Whether the checkpoint must not be deleted at that moment."""
        return self.held or (self.until is not None and now < self.until)

    def after(self, event: Mapping[str, Any]) -> "Lock":
        """What one more event makes of it. No event shortens a compliance lock, whatever it says."""
        kind = event["event"]
        if self.closed:
            return self
        if kind == CLOSE:
            return replace(self, closed=True)
        if kind == LOCK:
            until = moment(event["until"])
            if event["mode"] == COMPLIANCE:
                return replace(self, compliance_until=max(until, self.compliance_until or until))
            return replace(self, governance_until=until)
        if kind == UNLOCK:
            return replace(self, governance_until=None)
        if kind == HOLD:
            return replace(self, held=True, held_reason=event["reason"])
        if kind == RELEASE:
            return replace(self, held=False, held_reason="")
        raise errors.NotSupported("This lock was written by another version.", detail=str(kind))

    def check(self, action: str, mode: str | None, until: datetime | None, *, now: datetime) -> None:
        """Raise CheckpointLocked for a wish that would shorten a compliance lock or lift it, InvalidInput for a lock
        that ends before it begins, Conflict where it is being deleted. Making a governance lock shorter is the caller's
        to allow."""
        if self.closed:
            raise errors.Conflict("The checkpoint is being deleted.")
        strict = self.compliance_until if self.compliance_until and now < self.compliance_until else None
        if action == UNLOCK and strict:
            raise errors.CheckpointLocked(
                f"The checkpoint has a compliance lock until {shown(strict)}; nobody can lift it.",
                next_action="wait until then",
            )
        if action != LOCK:
            return
        if until is None or until <= now:
            raise errors.InvalidInput("A lock must end in the future.")
        if strict and (mode == GOVERNANCE or until < strict):
            raise errors.CheckpointLocked(
                f"The checkpoint has a compliance lock until {shown(strict)}; it can only be made longer, as such.",
                next_action=f"lock it with mode {COMPLIANCE} and a later end",
            )

    def shortens(self, mode: str, until: datetime, *, now: datetime) -> bool:
        """Whether a new lock would end a governance lock earlier."""
        return mode == GOVERNANCE and bool(self.governance_until and max(now, until) < self.governance_until)

    def refusal(self, what: str) -> errors.CheckpointLocked:
        """Why it stays, and what can be done."""
        if self.held:
            reason = f": {self.held_reason}" if self.held_reason else ""
            return errors.CheckpointLocked(
                f"{what} is held{reason}.", next_action="release it, where the reason for the hold is gone"
            )
        ends = shown(self.until) if self.until else "now"
        lift = f"wait until {ends}" + (", or unlock it" if self.mode == GOVERNANCE else "; nobody can lift the lock")
        return errors.CheckpointLocked(f"{what} has a {self.mode} lock until {ends}.", next_action=lift)


def from_catalog(mode: str | None, until: datetime | None, *, held: bool, held_reason: str) -> Lock:
    """The inverse of ``Lock.to_catalog``."""
    strict = until if mode == COMPLIANCE else None
    return Lock(strict, until if mode == GOVERNANCE else None, held, held_reason)


def fold(events: Iterable[Mapping[str, Any]]) -> Lock:
    """What all events of a checkpoint, in their order, come to."""
    found = Lock()
    for event in events:
        found = found.after(event)
    return found


def moment(text: str) -> datetime:
    """The inverse of ``shown``. Raises ValueError."""
    found = datetime.fromisoformat(text)
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def shown(at: datetime) -> str:
    """``YYYY-MM-DDTHH:MM:SS.ffffff`` in UTC."""
    return at.astimezone(UTC).isoformat(timespec="microseconds").removesuffix("+00:00")
