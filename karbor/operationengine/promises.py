# SPDX-License-Identifier: Apache-2.0
"""Until when must a plan have a good checkpoint, as its schedules promise?

After each planned time of a schedule there is to be a good checkpoint that was begun then or later: by the end of the
window of that time, and the grace that the making of a checkpoint is given. A schedule that verifies promises a good
verification in the same way. Where seconds are given (``rpo``), they count instead.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

from karbor.model import errors
from karbor.model.alarm import Due, Promise, Standing, explicit
from karbor.model.retention import DATA, LEVELS, QUICK
from karbor.sdk.trigger import TriggerType

_MAKES = ("protect", "retention_protect")
_VERIFIES = {"verify": QUICK, "restore_check": DATA}


class Promises:
    """Knows the kinds of triggers."""

    def __init__(self, kinds: Mapping[str, TriggerType], *, grace: timedelta) -> None:
        self._kinds = kinds
        self._grace = grace

    def due(self, standing: Standing) -> Due | None:
        """The first promise that is broken unless something good happens; None where nothing was promised."""
        return min(self._all(standing), key=lambda due: due.at, default=None)

    def _all(self, standing: Standing) -> Iterator[Due]:
        if standing.plan.rpo:
            yield explicit(standing, standing.plan.rpo, None)
        for promise in standing.promises:
            if (found := self._of(standing, promise)) is not None:
                yield found

    def _of(self, standing: Standing, promise: Promise) -> Due | None:
        definition, type_ = promise.schedule.operation_definition, promise.schedule.operation_type
        name = promise.schedule.name
        if type_ in _MAKES:
            seconds, level = definition.get("rpo"), definition.get("verified")
            if isinstance(seconds, int) and seconds > 0:
                return explicit(standing, seconds, promise.since, level=level if level in LEVELS else None)
            at = self._broken(standing, promise, standing.last_good_at)
            return Due(at, f"The schedule {name} has made no good checkpoint in time.") if at else None
        if type_ in _VERIFIES:
            level = str(definition.get("level") or _VERIFIES[type_])
            verified_at = standing.verified[level][1] if level in standing.verified else None
            at = self._broken(standing, promise, verified_at)
            return Due(at, f"The schedule {name} has verified no checkpoint in time.") if at else None
        return None

    def _broken(self, standing: Standing, promise: Promise, good: datetime | None) -> datetime | None:
        """The end of what the first planned time after ``good`` was given."""
        begins_at = standing.alarm.begins_at if standing.alarm else None
        changed = promise.trigger.updated_at
        return self._until(promise, max(at for at in (good, promise.since, begins_at, changed) if at is not None))

    def _until(self, promise: Promise, after: datetime) -> datetime | None:
        trigger = promise.trigger
        kind = self._kinds.get(trigger.type)
        if kind is None:
            return None  # the engine tells of that at its runs
        made = trigger.created_at or promise.since
        try:
            fire = next(iter(kind.fires(trigger.properties, created_at=made, after=after, seed=trigger.id)), None)
            return None if fire is None else kind.until(trigger.properties, fire) + self._grace
        except errors.KarborError:
            return None
