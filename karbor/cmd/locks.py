# SPDX-License-Identifier: Apache-2.0
"""How does an operator lock, hold and release checkpoints where no API runs, and see what is locked?

The bank is told directly, and the catalog afterwards; a checkpoint that the catalog does not know is named with its
project.
"""

import argparse
from collections.abc import Callable
from typing import Any

from karbor.app import roles, wiring
from karbor.common.clock import iso
from karbor.model import errors
from karbor.model.checkpoint import RECORD
from karbor.model.lock import HOLD, LOCK, MODES, RELEASE, UNLOCK, Lock, moment
from karbor.vault.domain import Domain


def add_arguments(verb: Callable[..., argparse.ArgumentParser]) -> None:
    """The verbs; ``verb`` makes one."""
    lock = verb(LOCK, change, "Keep a checkpoint from being deleted until a moment; what is locked so longer stays so.")
    lock.add_argument("--mode", choices=MODES, default=MODES[0], help="governance can be lifted, compliance by nobody")
    lock.add_argument("--until", required=True, help="moment by ISO 8601, in UTC where it names no zone")
    hold = verb(HOLD, change, "Keep a checkpoint from being deleted until it is released.")
    hold.add_argument("--reason", default="", help="shown to whoever wants to delete it")
    lift = verb(UNLOCK, change, "Lift a governance lock.")
    free = verb(RELEASE, change, "Release a checkpoint that is held.")
    for name, command in ((LOCK, lock), (HOLD, hold), (UNLOCK, lift), (RELEASE, free)):
        command.set_defaults(action=name)
        command.add_argument("checkpoint", help="id of the checkpoint")
        command.add_argument("--provider", required=True, help="id of the provider")
        command.add_argument("--project", help="its project, where the catalog does not know the checkpoint")
    shown = verb("locks", show, "List what is locked or held in the bank of a provider.")
    shown.add_argument("--provider", required=True, help="id of the provider")


def change(application: wiring.Application, given: argparse.Namespace) -> Any:
    """Tell the bank, then the catalog."""
    shared = application.shared
    provider = roles.make_providers(shared, roles.make_environment(shared)).get(given.provider)
    with shared.database.read() as rows:
        try:
            project_id, known = rows.checkpoints.get(given.checkpoint, provider_id=provider.id).project_id, True
        except errors.NotFound:
            if not given.project:
                raise
            project_id, known = given.project, False
    wish: dict[str, Any] = {"reason": given.reason} if given.action == HOLD else {}
    if given.action == LOCK:
        try:
            wish = {"mode": given.mode, "until": moment(given.until)}
        except (ValueError, OverflowError) as fault:
            raise errors.InvalidInput("--until must be a moment such as 2027-01-02T03:04:05.") from fault
    found = provider.vault.domain(project_id).lock_record(RECORD, given.checkpoint, given.action, **wish)
    if known:
        shared.database.retrying(lambda rows: rows.checkpoints.update(given.checkpoint, **found.to_catalog()))
    return {"checkpoint": given.checkpoint, **_shown(found)}


def show(application: wiring.Application, given: argparse.Namespace) -> Any:
    """By the bank's own word."""
    shared = application.shared
    provider = roles.make_providers(shared, roles.make_environment(shared)).get(given.provider)
    keyring, entries = provider.vault.keyring, []
    for name in keyring.domains():
        project_id = keyring.label(name)
        entries += _of(provider.vault.domain(project_id), project_id)
    return {"entries": entries, "counts": {"locked or held": len(entries)}}


def _of(domain: Domain, project_id: str) -> list[dict[str, Any]]:
    ids = [record.partition("/")[2] for record in domain.locked_records()]
    return [{"checkpoint": id, "project": project_id, **_shown(domain.locks_of(RECORD, id))} for id in ids]


def _shown(found: Lock) -> dict[str, Any]:
    until = found.until
    return {
        "lock": found.mode or "none",
        "until": iso(until) if until else None,
        "held": found.held,
        "reason": found.held_reason,
    }
