# SPDX-License-Identifier: Apache-2.0
"""Is everything in the bank of a provider as it was written, and what does it cost where it is not?

Walks the checkpoints of all projects, reads what they share once, then looks at all that is left. Nothing is changed,
but for a probe object that is put and removed.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from karbor.db.database import Database
from karbor.model import errors
from karbor.model.checkpoint import Checkpoint, CheckpointRecord
from karbor.model.page import PageRequest
from karbor.protection.operation import RECORD
from karbor.protection.providers import Provider
from karbor.sdk.streams import Advance
from karbor.vault.check import Check
from karbor.vault.checkrest import look_at_rest
from karbor.vault.domain import Domain
from karbor.vault.probe import probe_bank

_PAGE = 500


class BankCheck:
    """One check. ``advance`` is told the bytes that were dealt with; what it raises ends the check."""

    def __init__(self, database: Database, provider: Provider, *, level: str, advance: Advance) -> None:
        self._database = database
        self._provider = provider
        self._level = level
        self._advance = advance
        self._seen: set[str] = set()
        self._closed: dict[str, str] = {}  # domains that nobody can open, and why
        self._entries: list[dict[str, Any]] = []
        self._counts: Counter[str] = Counter()

    def run(self) -> dict[str, Any]:
        """``entries`` (one for each thing that is wrong), ``counts``, and ``sound``: whether nothing is.

        Raises BankUnavailable, KeyUnavailable where nobody can tell.
        """
        self._provider.check()
        for condition in probe_bank(self._provider.bank):
            self._counts["conditions tried"] += 1
            if condition.reason:
                self._wrong("conditions broken", condition=condition.name, reason=condition.reason)
        keyring = self._provider.vault.keyring
        for domain in keyring.domains():
            self._counts["projects"] += 1
            try:
                self._project(keyring.label(domain), self._provider.vault.named(domain))
            except errors.KeyDestroyed as fault:
                self._closed[domain] = fault.operator_text()  # on purpose, so nothing is wrong
                self._counts["projects whose key was destroyed"] += 1
            except (errors.KeyUnavailable, errors.IntegrityError) as fault:
                self._closed[domain] = fault.operator_text()
                self._wrong("projects that cannot be opened", domain=domain, reason=self._closed[domain])
        self._vanished()
        return {
            "level": self._level,
            "sound": not self._entries,
            "entries": self._entries,
            "counts": dict(sorted(self._counts.items())),
        }

    def _project(self, project_id: str, domain: Domain) -> None:
        with domain.check(self._level) as run:
            for checkpoint_id in self._ids(domain):
                self._checkpoint(run, project_id, checkpoint_id)
            look_at_rest(run, self._advance)
            for flaw in dict.fromkeys(run.flaws):
                self._wrong("objects not as written", project=project_id, object=flaw.object, reason=flaw.reason)
            if run.unproven:
                self._counts["index objects never read back"] += len(run.unproven)

    def _ids(self, domain: Domain) -> Iterator[str]:
        after = ""
        while True:
            page = domain.records(RECORD, after, _PAGE)
            yield from page
            if len(page) < _PAGE:
                return
            after = page[-1]

    def _checkpoint(self, run: Check, project_id: str, checkpoint_id: str) -> None:
        before = len(self._entries)
        about = {"project": project_id, "checkpoint": checkpoint_id}
        try:
            record = CheckpointRecord.from_dict(run.record(RECORD, checkpoint_id))
        except errors.ObjectNotFound:
            return  # deleted since it was listed
        except errors.IntegrityError as fault:
            self._wrong("records lost", **about, reason=fault.operator_text())
        except (ValueError, KeyError, TypeError) as fault:
            self._wrong("records of other releases", **about, reason=str(fault))
        else:
            for saved in record.resources:
                for name, stream_id in sorted(saved.streams.items()):
                    self._stream(run, stream_id, {**about, "resource": saved.key, "stream": name})
        self._seen.add(checkpoint_id)
        self._counts["checkpoints"] += 1
        self._counts["checkpoints damaged"] += len(self._entries) > before

    def _stream(self, run: Check, stream_id: str, about: dict[str, Any]) -> None:
        report = run.stream(stream_id, self._advance)
        self._counts["streams"] += 1
        self._counts["bytes lost"] += report.lost
        for part in report.damage:
            self._wrong("ranges lost", **about, **part.to_dict())
        if report.omitted:
            self._counts["ranges lost"] += report.omitted

    def _wrong(self, what: str, **entry: Any) -> None:
        self._counts[what] += 1
        self._entries.append(entry)

    def _vanished(self) -> None:
        """Checkpoints that the catalog calls available and that the bank does not have."""
        marker = None
        while True:
            with self._database.read() as rows:
                page = rows.checkpoints.list(
                    PageRequest(limit=_PAGE, marker=marker, filters={"status": "available"}, sort=(("id", "asc"),)),
                    provider_id=self._provider.id,
                )
            for checkpoint in page.items:
                if checkpoint.id not in self._seen:
                    self._missing(checkpoint)
            if not page.full:
                return
            marker = page.items[-1].id

    def _missing(self, checkpoint: Checkpoint) -> None:
        about = {"project": checkpoint.project_id, "checkpoint": checkpoint.id}
        vault = self._provider.vault
        try:
            reason = self._closed.get(vault.keyring.domain_name(vault.label(checkpoint.project_id)) or "", "")
            if not reason:
                vault.holder(checkpoint.project_id, RECORD, checkpoint.id).get_record(RECORD, checkpoint.id)
                return  # made since the records were listed
        except errors.ObjectNotFound:
            self._wrong("checkpoints missing", **about, reason="The bank does not hold it.")
            return
        except errors.KeyDestroyed:
            return  # whoever destroyed the key knows; its checkpoints tell it themselves
        except (errors.IntegrityError, errors.KeyUnavailable) as fault:
            reason = fault.operator_text()
        self._wrong("checkpoints that cannot be opened", **about, reason=reason)
