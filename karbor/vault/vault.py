# SPDX-License-Identifier: Apache-2.0
"""How does the rest of Karbor store streams and records in a bank?

One vault per bank, one domain per project. Everything a domain writes is sealed with keys of its own, and equal content
is stored once per domain.
"""

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from karbor.common.clock import Clock
from karbor.sdk.bank import Bank
from karbor.vault import format
from karbor.vault.domain import Domain
from karbor.vault.leases import Terms
from karbor.vault.opening import Means
from karbor.vault.sealring import Sealers, SealRing
from karbor.vault.wrapping import Wrapping


class Vault(Means):
    """The vault of one bank. Thread-safe. Makes no call to the bank before it must.

    ``shared`` maps projects to the label of a domain that they share (``shared:`` and a name); any other project has a
    domain of its own. ``cache_dir`` holds caches only. ``threads`` compress per stream that is written. ``terms`` are
    those of the leases that writers hold; all services that write into the bank use the same.
    """

    def __init__(
        self,
        bank: Bank,
        *,
        master_key: Wrapping | Sealers,
        cache_dir: Path,
        clock: Clock,
        compression_level: int = 1,
        threads: int = 2,
        terms: Terms = Terms(),  # noqa: B008 - frozen
        shared: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(
            bank, master_key=master_key, cache_dir=cache_dir, clock=clock, compression_level=compression_level,
            threads=threads, terms=terms, shared=shared,
        )  # fmt: skip
        self._lock = threading.Lock()
        self._domains: dict[str, Domain] = {}

    def domain(self, project_id: str) -> Domain:
        """The domain of a project, or the one with that label; the same object each time."""
        return self._labelled(self.label(project_id))

    def _labelled(self, label: str) -> Domain:
        with self._lock:
            return self._domains.setdefault(label, Domain(self, label))

    def named(self, name: str) -> Domain:
        """The domain of that name, be it a project's own or one that was sealed for it. Raises KeyUnavailable,
        KeyDestroyed, IntegrityError where its key cannot be opened."""
        label = self.keyring.label(name)
        if isinstance(self.keyring, SealRing) or self.keyring.parent(name) is None:
            return self._labelled(label)
        with self._lock:
            return self._domains.setdefault(name, Domain(self, label, sealed=name))

    def holder(self, project_id: str, kind: str, record_id: str) -> Domain:
        """Where a record of the project lies; the domain that it writes to where there is no such record."""
        name = self.elsewhere(project_id, format.record_name(kind, record_id))
        return self.named(name) if name else self.domain(project_id)

    def forget_destroyed(self) -> Sequence[str]:
        """Ask the bank whether keys that are known here were destroyed, and forget those. The projects they were of.

        Whoever reads or writes then fails with KeyDestroyed. One call to the bank for each domain that is in use.
        """
        with self._lock:
            domains = list(self._domains.items())
        return [project_id for project_id, domain in domains if domain.forget_if_destroyed()]

    def close(self) -> None:
        """Close the caches. Nothing that was returned as durable depends on it."""
        with self._lock:
            for domain in self._domains.values():
                domain.close()
            self._domains.clear()
