# SPDX-License-Identifier: Apache-2.0
"""How is a guest held still while somebody else (a cloud) captures its disks, and thawed whatever happens?

What a capture does for an instant (karbor.virt.libvirt_freeze) lasts here from one step of a job to another: the same
watchdog, with a bound of its own, and a marker that the next start of a worker finds.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass

import libvirt

from karbor.common.clock import Clock
from karbor.model import errors
from karbor.sdk.hypervisor import FreezeResult
from karbor.virt import libvirt_freeze
from karbor.virt.libvirt_connection import translated
from karbor.virt.libvirt_freeze import Freeze, FreezePolicy, frozen
from karbor.virt.libvirt_inspect import is_active
from karbor.virt.libvirt_method import Host
from karbor.virt.libvirt_names import held_marker, parse_held

_NOT_OURS = "it was not frozen, or the process that froze it ended before it could thaw it"


@dataclass
class _Hold:
    """A guest that is held. ``end`` thaws it; from then on ``freeze`` tells whether it was frozen until then. One that
    is ``off`` holds still by itself."""

    end: ExitStack
    freeze: Freeze
    since: float
    off: bool = False


class Holds:
    """Guests that this process holds still. ``lock`` gives the lock of a domain, which captures use, too."""

    def __init__(
        self, host: Host, seconds: int, lock: Callable[[str], AbstractContextManager[object]], clock: Clock
    ) -> None:
        self._host = host
        self._seconds = seconds
        self._lock = lock
        self._clock = clock
        self._held: dict[tuple[str, str], _Hold] = {}  # by domain id and token; each guarded by the domain's lock

    def freeze(self, domain_id: str, token: str) -> FreezeResult:
        """See sdk.hypervisor.Hypervisor.freeze."""
        with self._lock(domain_id):
            standing = self._held.get((domain_id, token))
            if standing is not None and (standing.off or self._age(standing) < self._seconds):
                return FreezeResult(held=True, seconds=self._age(standing))
            if standing is not None:  # its watchdog has thawed the guest
                self._end(domain_id, token)
            if any(held == domain_id for held, _token in self._held):
                return FreezeResult(held=False, reason="another backup holds the guest frozen")
            domain = self._host.connection.domain(domain_id)
            if not is_active(domain):
                return self._off(domain, token)
            marker = held_marker(self._host.scratch_dir, domain_id, token)
            answers = min(self._seconds, self._host.freeze_seconds)
            policy = FreezePolicy("try", self._seconds, self._host.connection.uri, marker, answers)
            with ExitStack() as stack:
                freeze = stack.enter_context(frozen(domain, policy))
                if not freeze.count:
                    return FreezeResult(held=False, reason=freeze.reason)
                self._held[domain_id, token] = _Hold(stack.pop_all(), freeze, self._clock.monotonic())
            return FreezeResult(held=True)

    def thaw(self, domain_id: str, token: str) -> FreezeResult:
        """See sdk.hypervisor.Hypervisor.thaw."""
        with self._lock(domain_id):
            if (domain_id, token) in self._held:
                return self._end(domain_id, token)
            marker = held_marker(self._host.scratch_dir, domain_id, token)
            try:
                libvirt_freeze.thaw_leftover(self._host.connection.domain(domain_id), marker)
            except errors.ResourceNotFound:
                marker.unlink(missing_ok=True)
            return FreezeResult(held=False, reason=_NOT_OURS)

    def recover(self) -> Iterator[str]:
        """Thaw what processes that died had frozen. One line for each."""
        for marker in sorted(self._host.scratch_dir.glob("karbor-*.held")):
            found = parse_held(marker)
            if found is not None and found not in self._held:
                self.thaw(*found)
                yield f"guest thawed domain={found[0]}"

    def _off(self, domain: libvirt.virDomain, token: str) -> FreezeResult:
        """A guest that was shut down has written everything; one that was switched off may not have."""
        with translated(f"ask how domain {domain.UUIDString()} ended"):
            state, reason = domain.state()
        if (state, reason) != (libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_SHUTOFF_SHUTDOWN):
            return FreezeResult(held=False, reason="the guest is off, and was not shut down")
        self._held[domain.UUIDString(), token] = _Hold(ExitStack(), Freeze(), self._clock.monotonic(), off=True)
        return FreezeResult(held=True)

    def _end(self, domain_id: str, token: str) -> FreezeResult:
        hold = self._held.pop((domain_id, token))
        seconds = self._age(hold)
        if hold.off:
            return self._still_off(domain_id, seconds)
        hold.end.close()
        if hold.freeze.held:
            return FreezeResult(held=True, seconds=seconds)
        # Whether it was our watchdog cannot be told by the time: its clock does not begin at the same moment.
        bound = f"it is held for {self._seconds} s at most, and that took {seconds:.1f} s"
        reason = f"the guest was thawed before all was taken: {bound}"
        return FreezeResult(held=False, reason=reason, seconds=min(seconds, float(self._seconds)))

    def _still_off(self, domain_id: str, seconds: float) -> FreezeResult:
        try:
            if not is_active(self._host.connection.domain(domain_id)):
                return FreezeResult(held=True, seconds=seconds)
        except errors.ResourceNotFound:
            return FreezeResult(held=False, reason="the guest was removed before all was taken", seconds=seconds)
        return FreezeResult(held=False, reason="the guest was started before all was taken", seconds=seconds)

    def _age(self, hold: _Hold) -> float:
        return round(self._clock.monotonic() - hold.since, 3)
