# SPDX-License-Identifier: Apache-2.0
"""What does it take to destroy the key of a project in the banks of some providers, and what do users see then?"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from karbor.db.database import Database, Transaction
from karbor.model import errors
from karbor.model.checkpoint import Checkpoint, Reason
from karbor.model.page import PageRequest
from karbor.protection.providers import Provider
from karbor.vault import format
from karbor.vault.destruction import Destruction

_PAGE = 500
REASON = Reason(
    resource="",
    step="",
    cause="The key of the project was destroyed in this bank: nobody can read this checkpoint any more.",
    next_action="use a copy in another bank if there is one; this one can only be deleted",
)


class KeyDestruction:
    """Destroys the key of one project in the banks of some providers. May be run again at any time, also after a
    crash. ``others`` are all providers we know of: it is told in which of them the key still is."""

    def __init__(
        self, database: Database, providers: Sequence[Provider], *, others: Sequence[Provider], now: datetime
    ) -> None:
        self._database = database
        self._providers = providers
        self._others = [one for one in others if one.id not in {named.id for named in providers}]
        self._now = now

    def run(self, project_id: str, *, dry_run: bool = False) -> dict[str, Any]:
        """``entries``: what was done in each bank. Raises Conflict before anything is destroyed where a checkpoint is
        locked or held in any of the banks, or where the project shares its key; BankUnavailable, KeyUnavailable."""
        for provider in self._providers:
            self._require_free(provider, project_id)
        entries = [self._destroy(provider, project_id, dry_run=dry_run) for provider in self._providers]
        entries += [self._left(provider, project_id) for provider in self._others]
        done = sum(entry["key"] != "was never there" for entry in entries[: len(self._providers)])
        return {"entries": entries, "counts": {"banks": done, "dry run": dry_run}}

    def _require_free(self, provider: Provider, project_id: str) -> None:
        vault = provider.vault
        if vault.label(project_id) != project_id:
            raise errors.Conflict(
                "This project shares its key with others.",
                detail=vault.label(project_id),
                next_action="take the project out of shared_domains first",
            )
        for row in self._checkpoints(provider, project_id):
            reason = _kept(row, self._now)
            if reason:
                raise errors.Conflict(f"The checkpoint {row.id} is {reason}: its key cannot be destroyed.")
        held = self._held(provider, project_id)
        if held:
            raise errors.Conflict(
                "Something of this project is held in the bank: its key cannot be destroyed.",
                detail=f"provider {provider.id}: {', '.join(held[:3])}",
                next_action="release it first, or wait for the end of its lock",
            )

    def _held(self, provider: Provider, project_id: str) -> list[str]:
        """What must stay by the bank's own word, also in domains that were sealed for the project."""
        vault = provider.vault
        own = vault.keyring.domain_name(project_id)
        if own is None or vault.keyring.destroyed(own) is not None or vault.keyring.domain_keys(own) is None:
            return []
        held: list[str] = []
        for name in (own, *vault.keyring.children(own)):
            held += vault.named(name).locked_records()
            held += [hold for hold in vault.destruction().holds(name) if format.lock_parts(hold) is None]
        return held

    def _destroy(self, provider: Provider, project_id: str, *, dry_run: bool) -> dict[str, Any]:
        about = {"provider": provider.id, "bank": provider.info.name}
        domain = provider.vault.keyring.domain_name(project_id)
        if domain is None or not provider.bank.list(f"d/{domain}/", limit=1):
            return {**about, "key": "was never there"}
        if dry_run:
            there = provider.vault.keyring.destroyed(domain) is None
            return {**about, "domain": domain, "key": "would be destroyed" if there else "was destroyed before"}
        first = self._destruction(provider).destroy(domain, project_id)
        provider.vault.forget_destroyed()
        marked = sum(self._mark(row) for row in self._checkpoints(provider, project_id))
        self._database.retrying(lambda rows: rows.quotas.reconcile(project_id))
        key = "destroyed" if first else "was destroyed before"
        return {**about, "domain": domain, "key": key, "checkpoints marked": marked}

    def _left(self, provider: Provider, project_id: str) -> dict[str, Any]:
        about = {"provider": provider.id, "bank": provider.info.name}
        try:
            domain = provider.vault.keyring.domain_name(project_id)
            there = domain is not None and provider.vault.keyring.domain_keys(domain) is not None
        except errors.KeyDestroyed:
            there = False
        except errors.KarborError as fault:
            return {**about, "key": f"nobody can tell: {fault.message}"}
        return {**about, "key": "IS STILL THERE: this bank was not named" if there else "is not there"}

    def _mark(self, row: Checkpoint) -> bool:
        """Show that an available checkpoint cannot be read any more."""

        def change(rows: Transaction) -> bool:
            found = rows.checkpoints.get(row.id, lock=True)
            if found.status != "available":
                return False  # it is being made or deleted: whoever does that finds out
            rows.checkpoints.transition(row.id, "error", reason=REASON)
            return True

        return bool(self._database.retrying(change))

    def _checkpoints(self, provider: Provider, project_id: str) -> Iterator[Checkpoint]:
        marker = None
        while True:
            request = PageRequest(project_id=project_id, limit=_PAGE, marker=marker, sort=(("id", "asc"),))
            with self._database.read() as rows:
                page = rows.checkpoints.list(request, provider_id=provider.id)
            yield from page.items
            if not page.full:
                return
            marker = page.items[-1].id

    def _destruction(self, provider: Provider) -> Destruction:
        return provider.vault.destruction()


def _kept(row: Checkpoint, now: datetime) -> str:
    """Why a checkpoint must be kept; empty where nothing says so."""
    if getattr(row, "held", False):
        return "held"
    until = getattr(row, "locked_until", None)
    return f"locked until {until}" if until is not None and until > now else ""
