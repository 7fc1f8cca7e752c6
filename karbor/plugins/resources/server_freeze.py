# SPDX-License-Identifier: Apache-2.0
"""Is a server held still while the snapshots of its disks are taken, and what instant do they show?

The libvirt driver of its compute host freezes the guest's file systems: these steps run there, where that host has a
worker. Nova gives nobody a way to do that from elsewhere. Every disk says when it was taken (``taken_at``); one that
does not say it was not taken within the hold, and shows no certain instant.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from karbor.model import errors
from karbor.plugins.resources.cloudtypes import IMAGE, VOLUME
from karbor.plugins.resources.host_disks import DRIVER, NOT_HERE, ephemeral_of
from karbor.sdk.environment import Environment
from karbor.sdk.protection import Work

LOG = logging.getLogger(__name__)
#: Cinder tells whole seconds on some back ends: so far apart two snapshots may seem that were taken at once.
_TICK = 1.0


@dataclass(frozen=True)
class Instant:
    """What the disks of a server show. ``skew``: seconds between the first and the last of them; ``held``: how long the
    guest was frozen. ``why``: why they do not show it frozen; empty where they do."""

    consistency: str
    skew: float
    held: float
    why: str

    def to_dict(self) -> dict[str, Any]:
        return {"consistency": self.consistency, "skew": self.skew, "held": self.held, "not_frozen": self.why}


def hold(environment: Environment, work: Work) -> dict[str, Any]:
    """Freeze the server, if the plan asks and it can be. Raises StepFailed where it must be, and cannot."""
    if work.options.quiesce == "no":
        return {"held": False, "reason": "not asked for"}
    if not any(key.type in (VOLUME, IMAGE) for key, _child in work.children):
        return {"held": False, "reason": "none of its disks is protected"}
    held, reason = False, NOT_HERE
    if DRIVER in environment.hypervisors:
        try:
            found = environment.hypervisor(DRIVER).freeze(work.key.id, work.checkpoint_id)
            held, reason = found.held, found.reason
        except errors.ResourceNotFound:
            pass  # it runs elsewhere
        except errors.KarborError as fault:
            LOG.warning("server not frozen server=%s %s", work.key.id, fault.operator_text())
            reason = f"the hypervisor could not freeze it: {fault.message}"
    if work.options.quiesce == "required" and not held:
        raise _not_frozen(work, reason)
    return {"held": held, "reason": reason}


def let_go(environment: Environment, work: Work) -> dict[str, Any]:
    """Thaw the server; all its snapshots are taken. See Instant.

    Where they must show it frozen, and do not: raises CaptureLost where it was thawed too early, which another attempt
    may change, and StepFailed where it would not.
    """
    begun = work.results["prepare_begin"]["freeze"]
    held, seconds, why = bool(begun["held"]), 0.0, str(begun["reason"])
    required = work.options.quiesce == "required"
    if held:
        held, seconds, why = _thaw(environment, work)
        if required and not held:
            raise errors.CaptureLost(f"The server {work.resource.name} was not frozen until all was taken.", detail=why)
    found = _instant(work, held=held, seconds=seconds, why=why)
    LOG.info(
        "server taken server=%s consistency=%s skew=%s frozen=%s cause=%s",
        work.key.id, found.consistency, found.skew, found.held, found.why,
    )  # fmt: skip
    if required and found.why:
        raise _not_frozen(work, found.why)
    return found.to_dict()


def thaw(environment: Environment, work: Work) -> None:
    """Thaw the server, whatever was begun. May be called again."""
    if DRIVER in environment.hypervisors:
        environment.hypervisor(DRIVER).thaw(work.key.id, work.checkpoint_id)


def _thaw(environment: Environment, work: Work) -> tuple[bool, float, str]:
    try:
        found = environment.hypervisor(DRIVER).thaw(work.key.id, work.checkpoint_id)
    except errors.KarborError as fault:  # the watchdog thaws it; another worker may have frozen it
        LOG.warning("server not thawed server=%s %s", work.key.id, fault.operator_text())
        return False, 0.0, f"it could not be thawed by this worker: {fault.message}"
    return found.held, found.seconds, found.reason


def _instant(work: Work, *, held: bool, seconds: float, why: str) -> Instant:
    taken, loose = _taken(work)
    skew = max(taken) - min(taken) if taken else 0.0
    if held and loose:
        held, why = False, f"not taken while it was frozen: {', '.join(loose)}"
    elif held and skew > seconds + _TICK:
        # A snapshot of an earlier attempt, which could not be removed then.
        held, why = False, f"the snapshots are {skew:.1f} s apart, and it was frozen for {seconds:.1f} s"
    return Instant("filesystem" if held else "crash", round(skew, 3), round(seconds, 3), "" if held else why)


def _taken(work: Work) -> tuple[Sequence[float], Sequence[str]]:
    """When each disk was taken (seconds), and the names of those that do not say."""
    taken, loose = [], []
    view = work.results["prepare_begin"].get("view") or {}
    seen = _moment(view) if view and ephemeral_of(view) else None
    if seen is not None:
        taken.append(seen)
    for key, child in work.children:
        if key.type not in (VOLUME, IMAGE):
            continue
        moment = _moment(work.child_phases.get(key, {}).get("prepare_finish") or {})
        if moment is None:
            loose.append(child.name)
        else:
            taken.append(moment)
    return taken, loose


def _moment(finished: Mapping[str, Any]) -> float | None:
    try:
        found = datetime.fromisoformat(str(finished.get("taken_at") or ""))
    except ValueError:
        return None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def _not_frozen(work: Work, reason: str) -> errors.StepFailed:
    return errors.StepFailed(
        f"The server {work.resource.name} was not frozen, and the plan requires it: {reason}.",
        detail=reason,
        next_action="let a worker with the libvirt driver run on its compute host, check the agent in the guest, or "
        "set quiesce to try",
    )
