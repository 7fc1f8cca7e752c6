# SPDX-License-Identifier: Apache-2.0
"""How are the file systems of a guest held still for an instant, and thawed whatever happens?

Three things thaw: the code that froze (always), a watchdog beside this process (when it dies or takes too long), and
the next start of a worker, which finds the marker file that is written before the freeze.
"""

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import libvirt

from karbor.common import durable
from karbor.model import errors
from karbor.virt import thaw_watchdog
from karbor.virt.libvirt_connection import has_code
from karbor.virt.thaw_watchdog import ThawWatchdog

LOG = logging.getLogger(__name__)
_NO_AGENT = (libvirt.VIR_ERR_AGENT_UNRESPONSIVE, libvirt.VIR_ERR_AGENT_UNSYNCED, libvirt.VIR_ERR_CONFIG_UNSUPPORTED)


@dataclass
class Freeze:
    """``held`` after the block: the file systems were frozen from its begin to its end. ``reason``: why not."""

    held: bool = False
    reason: str = ""
    count: int = 0
    foreign: bool = False  # somebody else holds the guest frozen; his freeze is not ours to end


@dataclass(frozen=True)
class FreezePolicy:
    """``quiesce`` is required, try or no; the guest stays frozen for ``seconds`` at most. ``answers``: how long its
    agent may take to freeze; None: as long."""

    quiesce: str
    seconds: int
    uri: str
    marker: Path
    answers: int | None = None


@contextmanager
def frozen(domain: libvirt.virDomain, policy: FreezePolicy) -> Iterator[Freeze]:
    """Freeze the guest for the block, if the policy asks and the guest can.

    Raises StepFailed where a freeze is required and not possible, or was over before the block ended; whoever made
    something in the block then drops it.
    """
    freeze = Freeze()
    if policy.quiesce == "no":
        freeze.reason = "not asked for"
        yield freeze
        return
    with ExitStack() as stack:
        watchdog = _armed(stack, domain, policy, freeze)
        if watchdog is None:
            yield freeze
            return
        thaw_leftover(domain, policy.marker)
        durable.write_file(policy.marker, domain.UUIDString().encode())
        thawed = 0
        try:
            _freeze(domain, policy, freeze)
            yield freeze
        finally:
            if not freeze.foreign:
                thawed = thaw(domain)
            if (
                freeze.count and not thawed
            ):  # nothing was frozen any more; or libvirt was restarted, and knows us no more
                thaw_watchdog.thaw(policy.uri, domain.UUIDString())
            policy.marker.unlink(missing_ok=True)
    freeze.held = 0 < freeze.count <= thawed and not watchdog.fired
    if freeze.count and not freeze.held:
        freeze.reason = "the guest was thawed before the view was made"
    if policy.quiesce == "required" and not freeze.held:
        raise _not_frozen(freeze.reason)


def thaw_leftover(domain: libvirt.virDomain, marker: Path) -> bool:
    """Thaw a guest that a process which died had frozen. True where the marker was there."""
    if not marker.exists():
        return False
    thaw(domain)
    marker.unlink(missing_ok=True)
    return True


def thaw(domain: libvirt.virDomain) -> int:
    """Thaw the guest and return how many file systems were thawed. No error where none was frozen."""
    try:
        return int(domain.fsThaw())
    except libvirt.libvirtError as fault:
        LOG.debug("thaw domain=%s said=%s", domain.UUIDString(), fault.get_error_message())
        return 0


def _armed(stack: ExitStack, domain: libvirt.virDomain, policy: FreezePolicy, freeze: Freeze) -> ThawWatchdog | None:
    """The watchdog, ready; None with a reason where there is none: then nothing is frozen."""
    try:
        return stack.enter_context(ThawWatchdog(policy.uri, domain.UUIDString(), policy.seconds))
    except errors.Unavailable as fault:
        LOG.warning("no watchdog domain=%s %s", domain.UUIDString(), fault.operator_text())
        freeze.reason = f"the watchdog that would thaw it is not ready: {fault.message}"
        if policy.quiesce == "required":
            raise _not_frozen(freeze.reason) from fault
        return None


def _freeze(domain: libvirt.virDomain, policy: FreezePolicy, freeze: Freeze) -> None:
    """Freeze and say how many file systems, or why none. Raises StepFailed where a freeze is required."""
    try:
        if domain.state()[0] == libvirt.VIR_DOMAIN_RUNNING:
            _limit_answers(domain, policy.answers or policy.seconds)
            freeze.count = int(domain.fsFreeze())
            freeze.reason = "" if freeze.count else "the guest has no file system that can be frozen"
        else:
            freeze.reason = "the guest is not running"
    except libvirt.libvirtError as fault:
        text = fault.get_error_message()
        freeze.foreign = "frozen" in text
        freeze.reason = (
            f"no guest agent answers: {text}" if has_code(fault, *_NO_AGENT) else f"the freeze failed: {text}"
        )
    if policy.quiesce == "required" and not freeze.count:
        raise _not_frozen(freeze.reason)


def _limit_answers(domain: libvirt.virDomain, seconds: int) -> None:
    """A guest agent that hangs must not hold us longer than the guest may stay frozen."""
    try:
        domain.agentSetResponseTimeout(seconds, 0)
    except libvirt.libvirtError as fault:
        if not has_code(fault, libvirt.VIR_ERR_NO_SUPPORT):
            raise


def _not_frozen(reason: str) -> errors.StepFailed:
    return errors.StepFailed(
        "The guest could not be frozen, and the plan requires it.",
        detail=reason,
        next_action="check the guest agent, or set quiesce to try",
    )
