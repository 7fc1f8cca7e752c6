# SPDX-License-Identifier: Apache-2.0
"""What becomes of a trigger whose time has come?

All its times up to now: of those, the last one is run where its window is still open; the others were missed. A
function of what is handed in alone, so that ten days of a thousand triggers can be gone through in a test.
"""

from collections.abc import Mapping

from karbor.db.fires import BROKEN, UNPLANNED, Due, Fired, Settled, milliseconds, moment
from karbor.model import errors
from karbor.sdk.trigger import TriggerType

#: Times of one trigger that are looked at in one go; what is left is due at once again.
AT_ONCE = 200
_LATE = "No engine was there within its window of {} seconds."
_COALESCED = "A later time was due as well; one run is made for both."
_BROKEN = "The times of the trigger could not be found out: {}"


def settle(due: Due, kinds: Mapping[str, TriggerType], now_ms: int) -> Settled:
    """What becomes of the trigger at ``now_ms``. One that nobody understands is told of as such."""
    try:
        return _settle(due, kinds[due.trigger.type], now_ms)
    except KeyError:
        cause = f"its type {due.trigger.type} is not installed."
    except errors.KarborError as fault:
        cause = fault.message
    fired = () if due.at_ms == UNPLANNED else (Fired(due.at_ms, missed=_BROKEN.format(cause)),)
    return Settled(due, BROKEN, fired)


def _settle(due: Due, kind: TriggerType, now_ms: int) -> Settled:
    trigger = due.trigger
    after = now_ms if due.at_ms == UNPLANNED else due.at_ms
    created_at = trigger.created_at or moment(now_ms)
    times = [] if due.at_ms == UNPLANNED else [due.at_ms]
    following = None
    for fire in kind.fires(trigger.properties, created_at=created_at, after=moment(after), seed=trigger.id):
        at = milliseconds(fire)
        if at > now_ms or len(times) == AT_ONCE:
            following = at
            break
        times.append(at)
    more = following is not None and following <= now_ms
    untils = [milliseconds(kind.until(trigger.properties, moment(at))) for at in times]
    return Settled(
        due,
        following,
        tuple(_fired(at, until, times, now_ms, more=more) for at, until in zip(times, untils, strict=True)),
    )


def _fired(at: int, until: int, times: list[int], now_ms: int, *, more: bool) -> Fired:
    if until < now_ms:
        return Fired(at, missed=_LATE.format((until - at) // 1000))
    if more or at != times[-1]:
        return Fired(at, missed=_COALESCED)
    return Fired(at, until_ms=until)
