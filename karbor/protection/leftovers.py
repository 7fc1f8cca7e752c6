# SPDX-License-Identifier: Apache-2.0
"""What did jobs leave in a cloud that nobody will remove any more: after a crash, or when removing it failed?

Nothing is taken for left over because it is old or looks strange. It must bear the mark of a job, and that job must be
known to this installation, and to have ended: another installation may work in the same cloud.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from karbor.db.database import Database
from karbor.model import errors
from karbor.sdk.made import Made
from karbor.sdk.protection import Protection

if TYPE_CHECKING:
    from karbor.clients.openstack import Cloud

LOG = logging.getLogger(__name__)
#: What a job's end says of what it made.
LEFT, UNKNOWN = "left over", "of a job that is not known here"
_TURN = {"volumes": 1, "backups": 1, "snapshots": 2}  # copies of snapshots go before these
_WELL = frozenset({"available", "success", "deleted"})
_BADLY = frozenset({"error", "fail", "error-deleting"})


@dataclass(frozen=True)
class Found:
    """One thing that is left over, or may be: ``verdict`` is LEFT or UNKNOWN."""

    made: Made
    plugin: Protection
    verdict: str

    def to_dict(self) -> dict[str, Any]:
        """For people."""
        return {
            "outcome": self.verdict,
            "service": self.made.service.replace("_", "-"),
            "kind": self.made.kind,
            "id": self.made.id,
            "name": self.made.name,
            "job": self.made.job_id,
        }


def find(
    database: Database,
    cloud: "Cloud",
    plugins: Iterable[Protection],
    *,
    check: Callable[[], None] = lambda: None,
) -> Sequence[Found]:
    """What is left over in this cloud. What jobs still work with, and what belongs to a checkpoint, is none of it.
    ``check`` is called for each thing, and may raise to end the look."""
    seen: dict[tuple[str, str, str], tuple[Made, Protection]] = {}
    for plugin in plugins:
        check()
        for made in plugin.made_by_jobs(cloud):
            check()
            seen.setdefault((made.service, made.kind, made.id), (made, plugin))
    ends = _ends(database, {made.job_id for made, _plugin in seen.values()})
    found = []
    for made, plugin in seen.values():
        end = ends.get(made.job_id, "")
        if end == "badly" or (end == "well" and made.passing):
            found.append(Found(made, plugin, LEFT))
        elif not end:
            found.append(Found(made, plugin, UNKNOWN))
    return found


def remove(
    cloud: "Cloud", found: Iterable[Found], *, enough: Callable[[], bool] = lambda: False
) -> tuple[int, Sequence[tuple[Found, str]]]:
    """Have removed what is left over; how many that was, and what could not be removed now, with the reason. What is
    taken from other things goes with the next look, when these are gone. Nothing more is removed once ``enough``."""
    removed, refused = 0, []
    left = [one for one in found if one.verdict == LEFT]
    for one in sorted(left, key=lambda one: _TURN.get(one.made.kind, 0)):
        if enough():
            refused.append((one, "There was no time left for it."))
            continue
        try:
            one.plugin.remove_made(cloud, one.made)
            removed += 1
            LOG.info("removed what a job left kind=%s id=%s job=%s", one.made.kind, one.made.id, one.made.job_id)
        except errors.KarborError as fault:
            refused.append((one, fault.message))
    return removed, refused


def sweep(database: Database, open_cloud: "Callable[[], Cloud]", plugins: Iterable[Protection]) -> None:
    """``find`` and ``remove``, for whoever has something else to do: what fails is logged, and mended the next time."""
    try:
        cloud = open_cloud()
        _removed, refused = remove(cloud, find(database, cloud, plugins))
        for one, reason in refused:
            LOG.info("left for the next time kind=%s id=%s cause=%s", one.made.kind, one.made.id, reason)
    except (errors.Cancelled, errors.LeaseLost):
        raise
    except errors.KarborError as fault:
        LOG.warning("not looked for what earlier jobs left: %s", fault.operator_text())


def _ends(database: Database, job_ids: Iterable[str]) -> Mapping[str, str]:
    """``live``, ``well`` or ``badly`` for each job that is known: by its row, or when that is gone by its log."""
    ids = sorted(job_ids)
    if not ids:
        return {}
    with database.read() as rows:
        states, logged = rows.jobs.states(ids), rows.operation_logs.statuses(ids)
    words = {"done": "well", "failed": "badly"}
    found = {id_: "well" if status in _WELL else "badly" for id_, status in logged.items() if status in _WELL | _BADLY}
    return found | {id_: words.get(state, "live") for id_, state in states.items()}
