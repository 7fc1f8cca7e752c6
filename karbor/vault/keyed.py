# SPDX-License-Identifier: Apache-2.0
"""What can be done to the keys of a vault: which domain has which, a change of the master key, an end, a sealer?"""

from collections.abc import Callable, Mapping

from karbor.common.clock import Clock
from karbor.model import errors
from karbor.sdk.bank import Bank
from karbor.vault import format
from karbor.vault.destruction import Destruction
from karbor.vault.keyring import Keyring
from karbor.vault.rotation import Rotation
from karbor.vault.sealing import Sealer
from karbor.vault.sealring import Sealers, SealRing
from karbor.vault.wrapping import Wrapping


class Keyed:
    """The keys of one bank: those that the master key opens, or where there are sealers only, those of our sessions."""

    def __init__(
        self, bank: Bank, *, master_key: Wrapping | Sealers, clock: Clock, shared: Mapping[str, str] | None
    ) -> None:
        self.bank = bank
        self.clock = clock
        self.keyring: Keyring | SealRing = (
            SealRing(bank, sealers=master_key, clock=clock)
            if isinstance(master_key, Sealers)
            else Keyring(bank, master_key=master_key, clock=clock)
        )
        self._master_key = master_key
        self._shared = dict(shared or {})

    def label(self, project_id: str) -> str:
        """The label of the domain where a project's data lies: its id, unless it shares a domain with others."""
        return self._shared.get(project_id, project_id)

    def rotation(self, looked_at: Callable[[], None] = lambda: None) -> Rotation:
        """The change of the master key of this bank. Raises KeyUnavailable where we have none."""
        keyring, master_key = self._masters()
        return Rotation(self.bank, keyring=keyring, master_key=master_key, looked_at=looked_at)

    def destruction(self) -> Destruction:
        """The end of keys of this bank. Raises KeyUnavailable where we have no master key."""
        keyring, master_key = self._masters()
        return Destruction(self.bank, keyring=keyring, master_key=master_key, clock=self.clock)

    def sealer(self, project_id: str) -> Sealer:
        """What lets a worker store for a project without being able to read. Raises KeyUnavailable where we have no
        master key, Conflict where the project shares its domain with others."""
        if self.label(project_id) != project_id:
            raise errors.Conflict("A project that shares its key cannot be sealed for.", detail=self.label(project_id))
        return self._masters()[0].sealer(project_id)

    def elsewhere(self, project_id: str, name: str) -> str | None:
        """The domain that has an object of that name of a project, where it is not the one that the project writes to:
        one that was sealed for it, or the project's own where it shares one now. None where that has it, or none does.
        """
        for label in dict.fromkeys((self.label(project_id), project_id)):
            own = self.keyring.domain_name(label)
            if own is None:
                continue
            if self._has(own, name):
                return None if label == self.label(project_id) else own
            for domain in self.keyring.children(own):
                if self._has(domain, name):
                    return domain
        return None

    def _has(self, domain: str, name: str) -> bool:
        try:
            self.bank.stat(format.domain_prefix(domain) + name)
        except errors.ObjectNotFound:
            return False
        return True

    def _masters(self) -> tuple[Keyring, Wrapping]:
        if isinstance(self.keyring, SealRing) or isinstance(self._master_key, Sealers):
            raise errors.KeyUnavailable("This worker only seals: it has no master key.")
        return self.keyring, self._master_key
