# SPDX-License-Identifier: Apache-2.0
"""Which checkpoints of a plan may go, and which must stay?

What always holds, whatever the policy says:

- The newest good checkpoint stays, and the newest good one of the schedule itself. Nothing good goes unless a newer one
  is good, and was verified as deep as the policy asks.
- Only what the schedule itself has made goes (with scope ``plan``: what any schedule of the plan has made): no manual,
  foreign, copied, locked or held checkpoint, and none that is still being made or deleted. Those neither count nor make
  room.
- Newer and older are told by the moment of creation, never by the order of a list.
- What failed has a limit of its own and never takes the place of a good one.
"""

import zoneinfo
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

#: How deep a checkpoint was verified, from shallow to deep: every object is there; every byte was read; guests came up.
LEVELS = QUICK, DATA, BOOT = ("quick", "data", "boot")
#: Whose checkpoints a policy is about.
SCOPES = ("schedule", "plan")
#: In the extra info of a checkpoint: which scheduled operation made it.
MAKER = "scheduled_operation_id"
GOOD, FAILED = "available", "error"
_PERIODS: Mapping[str, Callable[[datetime], tuple[int, ...]]] = {
    "keep_hourly": lambda at: (*at.timetuple()[:4], int((at.utcoffset() or timedelta()).total_seconds())),
    "keep_daily": lambda at: at.timetuple()[:3],
    "keep_weekly": lambda at: at.isocalendar()[:2],
    "keep_monthly": lambda at: at.timetuple()[:2],
    "keep_yearly": lambda at: at.timetuple()[:1],
}
#: Names of the counts of grandfather, father and son.
KEEPS = ("keep_last", *_PERIODS)


@dataclass(frozen=True)
class Point:
    """A checkpoint of the plan. ``own``: the policy is about it, and it is no copy.

    A ``copy`` proves nothing: what it holds is older than it is itself.
    """

    id: str
    at: datetime
    status: str
    own: bool = True
    held: bool = False
    verified_level: str | None = None
    locked_until: datetime | None = None
    copy: bool = False

    def stays(self, now: datetime) -> bool:
        """Whether it is held, or locked at that moment."""
        return self.held or (self.locked_until is not None and now < self.locked_until)


@dataclass(frozen=True)
class Policy:
    """What is asked for; a number that is not positive, or None, asks for nothing.

    ``max_backups`` and ``max_days`` are bounds: more, or older, goes. ``keeps`` (names of KEEPS) is a promise: what one
    of them keeps stays, whatever the bounds say; without bounds all else goes. ``keep_failed``: so many failed ones
    stay to be looked at. ``verified``: the newer one must have been verified so deep before an older one goes.
    """

    max_backups: int | None = None
    max_days: int | None = None
    keeps: Mapping[str, int] = field(default_factory=dict)
    keep_failed: int = 3
    verified: str | None = None
    zone: tzinfo = UTC
    scope: str = SCOPES[0]

    @property
    def asks(self) -> bool:
        """Whether any good checkpoint may go by it at all."""
        return any(number and number > 0 for number in (self.max_backups, self.max_days, *self.keeps.values()))


def policy_of(definition: Mapping[str, Any]) -> Policy:
    """The policy in the definition of a scheduled operation."""

    def number(*names: str) -> int | None:
        found = [int(definition[name]) for name in names if isinstance(definition.get(name), int)]
        return found[0] if found and found[0] > 0 else None

    failed = definition.get("keep_failed")
    return Policy(
        max_backups=number("max_backups"),
        max_days=number("max_backup_duration", "retention_duration"),
        keeps={name: value for name in KEEPS if (value := number(name))},
        keep_failed=failed if isinstance(failed, int) and failed >= 0 else 3,
        verified=str(definition["verified"]) if definition.get("verified") in LEVELS else None,
        zone=zoneinfo.ZoneInfo(str(definition["timezone"])) if definition.get("timezone") else UTC,
        scope=str(definition["scope"]) if definition.get("scope") in SCOPES else SCOPES[0],
    )


def is_own(extra_info: Mapping[str, Any], policy: Policy, scheduled_operation_id: str) -> bool:
    """Whether the policy of that schedule is about the checkpoint of its plan that has this extra info."""
    maker = extra_info.get(MAKER)
    return isinstance(maker, str) and (policy.scope == "plan" or maker == scheduled_operation_id)


def choose(history: Iterable[Point], policy: Policy, now: datetime) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(ids that stay, ids that may go), each the newest first.

    ``history``: every checkpoint of the plan, in any order.
    """
    points = sorted(history, key=lambda point: (point.at, point.id), reverse=True)
    going = {point.id for point in [*_old(points, policy, now), *_failed(points, policy, now)]}
    stay = tuple(point.id for point in points if point.id not in going)
    return stay, tuple(point.id for point in points if point.id in going)


def why(history: Iterable[Point], policy: Policy, now: datetime) -> dict[str, tuple[str, ...]]:
    """Why each of those stays that do: words of REASONS, the newest checkpoint first."""
    points = sorted(history, key=lambda point: (point.at, point.id), reverse=True)
    stay, _going = choose(points, policy, now)
    good = [point for point in points if point.status == GOOD and point.own]
    newest = {found[0].id for found in (good, [point for point in points if point.status == GOOD]) if found}
    promised = _promises(good, policy)
    by_id = {point.id: point for point in points}

    def reasons(point: Point) -> Iterator[str]:
        if point.status not in (GOOD, FAILED):
            yield "not_ended"
        if point.stays(now):
            yield "locked"
        if not point.own:
            yield "not_own"
        elif point.id in newest:
            yield "newest"
        yield from (name for name, ids in promised.items() if point.id in ids)

    return {id: tuple(reasons(by_id[id])) or (_otherwise(by_id[id], points, policy),) for id in stay}


#: ``within_bounds``: no bound lets it go. ``no_proof``: none that is newer is verified so deep. ``failed``: kept to be
#: looked at.
REASONS = ("not_ended", "locked", "not_own", "newest", *KEEPS, "failed", "no_proof", "within_bounds")


def _otherwise(point: Point, points: Sequence[Point], policy: Policy) -> str:
    if point.status == FAILED:
        return "failed"
    proof = _proof(points, policy)
    proven = proof is not None and (point.at, point.id) < (proof.at, proof.id)
    return "within_bounds" if proven or not policy.asks else "no_proof"


def _old(points: Sequence[Point], policy: Policy, now: datetime) -> Sequence[Point]:
    """Good ones that may go."""
    proof = _proof(points, policy)
    if proof is None or not policy.asks:
        return []
    own = [point for point in points if point.status == GOOD and point.own]
    promised = set[str]().union(*_promises(own, policy).values())
    bounded = bool(policy.max_backups or policy.max_days)
    return [
        point
        for rank, point in enumerate(own)
        if rank > 0
        and not point.stays(now)
        and point.id not in promised
        and (point.at, point.id) < (proof.at, proof.id)
        and (not bounded or _beyond(point, rank, policy, now))
    ]


def _beyond(point: Point, rank: int, policy: Policy, now: datetime) -> bool:
    too_many = bool(policy.max_backups) and rank >= (policy.max_backups or 0)
    return too_many or (bool(policy.max_days) and now - point.at > timedelta(days=policy.max_days or 0))


def _deep_enough(point: Point, policy: Policy) -> bool:
    if policy.verified is None:
        return True
    return point.verified_level in LEVELS[LEVELS.index(policy.verified) :]


def _proof(points: Sequence[Point], policy: Policy) -> Point | None:
    """The newest good one that was verified as deep as is asked."""
    good = (point for point in points if point.status == GOOD and not point.copy)
    return next((point for point in good if _deep_enough(point, policy)), None)


def _promises(own: Sequence[Point], policy: Policy) -> dict[str, set[str]]:
    """By the name of the count: the newest of each of the last hours, days, weeks, months and years that have any."""
    found = {"keep_last": {point.id for point in own[: policy.keeps.get("keep_last", 0)]}}
    asked = [(name, period) for name, period in _PERIODS.items() if policy.keeps.get(name, 0) > 0]
    newest: dict[str, dict[tuple[int, ...], str]] = {name: {} for name, _period in asked}
    for point in own if asked else ():
        local = point.at.astimezone(policy.zone)
        for name, period in asked:
            newest[name].setdefault(period(local), point.id)
        if all(len(newest[name]) > policy.keeps[name] for name, _period in asked):
            break  # nothing older is the newest of a period that counts
    return found | {name: set(list(ids.values())[: policy.keeps[name]]) for name, ids in newest.items()}


def _failed(points: Sequence[Point], policy: Policy, now: datetime) -> Sequence[Point]:
    failed = [point for point in points if point.status == FAILED and point.own and not point.stays(now)]
    return failed[policy.keep_failed :]
