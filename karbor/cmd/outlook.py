# SPDX-License-Identifier: Apache-2.0
"""How does an operator see what schedules would remove now, and what they would have kept after a year?"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from karbor.api import outlook
from karbor.app import wiring
from karbor.db.database import Transaction
from karbor.model.scheduled_operation import ScheduledOperation
from karbor.sdk.trigger import Limits, load_types


def add_verbs(verb: Callable[..., argparse.ArgumentParser]) -> None:
    """The verbs; ``verb`` makes one."""
    now = verb("show", show, "Tell what would be removed now, and why the rest stays. Removes nothing.")
    later = verb("forecast", forecast, "Tell what would be kept after a year, if every planned time goes well.")
    later.add_argument("--days", type=int, choices=range(1, outlook.MAX_DAYS + 1), default=outlook.DAYS, metavar="N")
    for command in (now, later):
        which = command.add_mutually_exclusive_group(required=True)
        which.add_argument("--schedule", help="id of a scheduled operation")
        which.add_argument("--plan", help="id of a plan: each of its schedules")


def show(application: wiring.Application, given: argparse.Namespace) -> Any:
    """One line for each checkpoint."""
    with application.shared.database.read() as rows:
        found = [outlook.retention(rows, one) for one in _schedules(rows, given, "retention_protect")]
    entries = [
        {"schedule": one["scheduled_operation_id"], "verdict": verdict, **_line(checkpoint)}
        for one in found
        for verdict, key in (("removed", "removes"), ("kept", "keeps"))
        for checkpoint in one[key]
    ]
    return {"entries": entries, "counts": _sums(found, "kept", "removed")}


def forecast(application: wiring.Application, given: argparse.Namespace) -> Any:
    """One line for each month, then for each checkpoint that is there at the end."""
    shared = application.shared
    conf = shared.conf
    kinds = load_types(Limits(conf.min_interval, conf.min_window_time, conf.max_window_time))
    with shared.database.read() as rows:
        found = [outlook.predict(rows, one, kinds, days=given.days) for one in _schedules(rows, given)]
    entries: list[dict[str, Any]] = []
    for one in found:
        schedule = {"schedule": one["scheduled_operation_id"]}
        entries += [schedule | month for month in one["months"]]
        entries += [schedule | {"verdict": "kept"} | _line(checkpoint) for checkpoint in one["checkpoints"]]
    return {"entries": entries, "counts": _sums(found, "made", "removed", "kept")}


def _schedules(rows: Transaction, given: argparse.Namespace, *types: str) -> Sequence[ScheduledOperation]:
    """Raises NotFound."""
    if given.schedule:
        return [rows.scheduled_operations.get(given.schedule)]
    return outlook.schedules_of(rows, rows.plans.get(given.plan).id, *types)


def _line(checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    shown = {**checkpoint, "checkpoint_id": checkpoint["checkpoint_id"] or "planned"}
    return shown | ({"reasons": " ".join(checkpoint["reasons"])} if "reasons" in checkpoint else {})


def _sums(found: Sequence[Mapping[str, Any]], *names: str) -> dict[str, int]:
    return {name: sum(one[name] for one in found) for name in names}
