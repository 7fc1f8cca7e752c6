# SPDX-License-Identifier: Apache-2.0
"""How does a restored guest run before its disks are here, and when is its restore done?

The disks are images without content of their own; what they lack is read from the checkpoint, which a process of this
host lends. Behind the back of the guest each disk is copied; when all of them are here, the restore has ended well.
Whatever dies in between (the worker, what lends, the bank) costs nothing but time: the guest pauses where it must.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from karbor.common.clock import Clock
from karbor.common.waiting import wait_for
from karbor.model import errors
from karbor.model.resource import ResourceKey
from karbor.sdk.hypervisor import Hypervisor, NewDomain, Pull
from karbor.sdk.lending import Lent
from karbor.sdk.protection import Work

LOG = logging.getLogger(__name__)
DISK, STREAM = "Libvirt::Disk", "disk"
#: Seconds in which no disk gets on, after which the restore fails. A bank may be away for an hour.
PATIENCE = 3600.0
_FOREVER = 3650 * 24 * 3600.0
_RUNS = "The guest runs. Until all of its disks are here, it needs the checkpoint; what it lacks is copied."
_WAITS = "The guest was started, and now waits for the checkpoint"
_STANDS = "All of its disks are here. The guest stands still; the restore ends when it runs again, or is off."
RISK = "Until the restore has ended well, cancelling it removes the guest, with all that it has written since."


def lent(work: Work, targets: Mapping[str, Any]) -> tuple[Lent, dict[str, str]]:
    """What the disks of these targets read from, and the name of each there."""
    keys: dict[str, ResourceKey] = {
        str(child.extra_info["target"]): key
        for key, child in work.children
        if key.type == DISK and child.extra_info["target"] in targets
    }
    found = work.lend(list(keys.values()), STREAM)
    return found, {target: found.names[key] for target, key in keys.items()}


class InstantRestore:
    """The restore of one guest. ``sizes`` are the bytes of each disk by target."""

    def __init__(
        self, driver: Hypervisor, work: Work, new: NewDomain, sizes: Mapping[str, int], *, patience: float = PATIENCE
    ) -> None:
        self._driver, self._work, self._new = driver, work, new
        self._paths = {target: path for target, (path, _format) in new.disks.items()}
        self._sizes = {target: sizes[target] for target in self._paths}
        self._clock, self._patience = Clock(), patience
        self._lent, self._exports = lent(work, self._paths)
        self._done = dict.fromkeys(self._paths, 0)
        self._moved = self._clock.monotonic()
        self._told = ""

    def run(self, definition: str) -> str:
        """Start the guest, or find it again, and copy until all is here. Returns its id."""
        work = self._work
        work.expect(sum(self._sizes.values()))
        self._serve()
        new_id = self._driver.begin_instant(definition, self._new, self._lent.socket, self._exports)
        self._tell(_RUNS)
        wait_for(self._look, clock=self._clock, seconds=_FOREVER, check=work.check, first=0.2, longest=1.0)
        for path in self._paths.values():
            work.tell(DISK, path, "", ready=True)
        state = self._driver.domain(new_id).state
        if state != "running":
            LOG.warning("guest of an instant restore does not run at its end domain=%s state=%s", new_id, state)
        self._lent.end()
        return new_id

    def _look(self) -> bool | None:
        """True when nothing is missing any more. Raises StepFailed when nothing has moved for too long."""
        trouble: errors.KarborError | None = None
        pulls: Sequence[Pull] = ()
        try:
            self._serve()
            pulls = self._driver.advance_instant(
                str(self._new.uuid), self._paths, bandwidth=self._work.options.bandwidth, check=self._work.check
            )
        except errors.Unavailable as fault:
            trouble = fault
        self._count(pulls)
        if pulls and all(pull.independent for pull in pulls):
            return True
        if self._done == self._sizes and trouble is None:
            self._tell(_STANDS)  # for as long as somebody likes
            return None
        still = self._clock.monotonic() - self._moved
        if trouble is not None:
            self._tell(f"{_WAITS}: {trouble.message}")
        elif still < 30:
            self._tell(_RUNS)
        if still > self._patience:
            why = trouble.operator_text() if trouble else "reads of the checkpoint fail: see the log of what lends"
            raise errors.StepFailed(
                f"Nothing of the disks could be copied for {still / 60:.0f} minutes.",
                detail=why,
                next_action="verify the checkpoint, and look at the bank",
            )
        return None

    def _serve(self) -> None:
        self._lent.keep_up()
        self._driver.admit(self._lent.socket)

    def _count(self, pulls: Sequence[Pull]) -> None:
        """Only what is further than ever counts: a copy that was begun anew runs through what is here already."""
        for pull in pulls:
            size = self._sizes[pull.target]
            done = size if pull.independent else size * pull.done // pull.total
            step = done - self._done[pull.target]
            if step > 0:
                self._done[pull.target], self._moved = done, self._clock.monotonic()
                self._work.advance(step)

    def _tell(self, text: str) -> None:
        if text != self._told:
            self._told = text
            LOG.info("instant restore domain=%s state=%s", self._new.uuid, text)
            self._work.tell(self._work.key.type, str(self._new.uuid), text)
