# SPDX-License-Identifier: Apache-2.0
"""Which keys does a worker have that only seals? Those of its own sessions, as long as it runs.

It stands where others have a ``Keyring``: each project that it has a sealer file for gets a domain of this session,
with a new data key. The key is never written but sealed. So this worker deduplicates, makes increments and reads back
within what it stored since it was started; of all else it can open nothing.
"""

import secrets
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from karbor.common.clock import Clock, iso
from karbor.model import errors
from karbor.sdk.bank import Bank
from karbor.vault import format
from karbor.vault.keys import KEY_SIZE, DomainKeys
from karbor.vault.sealing import Sealer

_ONLY_SEALS = "This worker can store data, but not read earlier points."


@dataclass(frozen=True)
class Sealers:
    """All sealer files of a worker: those of the directory that end with ``.seal``."""

    directory: Path

    def load(self) -> Sequence[Sealer]:
        """Raises ConfigurationError, KeyUnavailable."""
        if not self.directory.is_dir():
            raise errors.ConfigurationError("The directory of sealer files does not exist.", detail=str(self.directory))
        return [Sealer.load(path) for path in sorted(self.directory.glob("*.seal"))]


@dataclass(frozen=True)
class _Session:
    """A domain of our own, and its data key. ``put`` once it is in the bank."""

    label: str
    name: str
    data_key: bytes
    sealer: Sealer


class SealRing:
    """The keys of the sessions of this process in one bank. Thread-safe. Its methods are those of ``Keyring``."""

    def __init__(self, bank: Bank, *, sealers: Sealers, clock: Clock) -> None:
        self._bank = bank
        self._sealers = sealers
        self._clock = clock
        self._lock = threading.Lock()
        self._sessions: dict[str, _Session] = {}  # by label
        self._stored: set[str] = set()  # names of the domains whose keys are in the bank

    def domain_name(self, label: str) -> str | None:
        """The domain of this session; None where nothing was stored in it yet."""
        with self._lock:
            session = self._sessions.get(label)
            return session.name if session and session.name in self._stored else None

    def make_domain_name(self, label: str) -> str:
        """The same; begins a session. Raises KeyUnavailable where there is no sealer file for the project."""
        with self._lock:
            if label not in self._sessions:
                sealer = self._sealer(label)
                self._sessions[label] = _Session(label, secrets.token_hex(16), secrets.token_bytes(KEY_SIZE), sealer)
            return self._sessions[label].name

    def domain_keys(self, domain: str) -> DomainKeys | None:
        session = self._session(domain)
        return DomainKeys.from_data_key(session.data_key) if session and domain in self._stored else None

    def make_domain_keys(self, domain: str, label: str) -> DomainKeys:
        """The keys of our session; sealed in the bank when this returns: first where the project's domain tells of it.
        Raises KeyDestroyed."""
        session = self._session(domain)
        if session is None or session.label != label:
            raise errors.KeyUnavailable(_ONLY_SEALS, detail=domain)
        parent = session.sealer.domain
        if self._destroyed(parent):
            raise errors.KeyDestroyed(detail=f"{format.key_place(parent)}{format.DESTROYED}")
        if domain not in self._stored:
            place = format.key_place(domain)
            content = {
                "version": format.VERSION,
                "label": label,
                "key": session.data_key.hex(),
                "created": iso(self._clock.now()),
            }
            sealed = session.sealer.seal(place, content)
            self._bank.put_own(format.domain_prefix(parent) + format.sealed_name(domain), sealed)
            self._bank.put_own(place + format.numbered(1), sealed)
            self._stored.add(domain)
        return DomainKeys.from_data_key(session.data_key)

    def domains(self) -> Iterator[str]:
        """Those of our sessions that are in the bank."""
        with self._lock:
            yield from sorted(self._stored)

    def label(self, domain: str) -> str:
        session = self._session(domain)
        if session is None:
            raise errors.KeyUnavailable(_ONLY_SEALS, detail=domain)
        return session.label

    def parent(self, domain: str) -> str | None:
        """The domain of the project, for ours; None for all others, which we cannot tell anything about."""
        session = self._session(domain)
        return session.sealer.domain if session else None

    def children(self, _domain: str) -> Sequence[str]:
        """None: of other sessions we can open nothing."""
        return ()

    def destroyed(self, domain: str) -> dict[str, Any] | None:
        """We cannot open the marker; that one is there says enough."""
        parent = self.parent(domain) or domain
        return {"label": "", "at": ""} if self._destroyed(parent) else None

    def sealed_keys(self, domain: str) -> DomainKeys:
        """As ``domain_keys``. Raises KeyUnavailable for what is not ours."""
        keys = self.domain_keys(domain)
        if keys is None:
            raise errors.KeyUnavailable(_ONLY_SEALS, detail=domain)
        return keys

    def flaws(self, prefix: str) -> Sequence[tuple[str, str]]:
        """Nothing can be said of keys that are sealed for somebody else."""
        return ()

    def _session(self, domain: str) -> _Session | None:
        with self._lock:
            return next((one for one in self._sessions.values() if one.name == domain), None)

    def _sealer(self, label: str) -> Sealer:
        bank = self._bank.identity()
        for sealer in self._sealers.load():
            if (sealer.bank, sealer.label) == (bank, label):
                return sealer
        raise errors.KeyUnavailable(
            "This worker has no sealer file for the project.",
            detail=f"project {label}, bank {bank}",
            next_action="make one with karbor-manage key sealer, and give it to this worker",
        )

    def _destroyed(self, domain: str) -> bool:
        try:
            self._bank.stat(format.key_place(domain) + format.DESTROYED)
        except errors.ObjectNotFound:
            return False
        return True
