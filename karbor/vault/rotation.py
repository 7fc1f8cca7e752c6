# SPDX-License-Identifier: Apache-2.0
"""How is the master key of a bank changed, without a byte of data being written again?

Every wrapped key is opened and wrapped again under the next number of its place; the old wrapping stays until it is
retired, so workers with the old master key and workers with the new one go on side by side. Nothing is remembered
outside of the bank: what is done is what lies there, so a run that was killed is simply begun again.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from karbor.common import faultpoints
from karbor.model import errors
from karbor.sdk.bank import Bank
from karbor.vault import format
from karbor.vault.keyring import Keyring
from karbor.vault.keys import HEAD_SIZE, wrapped_by
from karbor.vault.wrapping import Wrapping

#: What is known of one place with wrapped keys.
WRAPPED, LEFT, DESTROYED, LOST, FOREIGN = "wrapped", "left", "destroyed", "lost", "foreign"
SEALED = "sealed"
_TRIES = 8  # of which each finds that somebody else wrapped the same key at the same time


@dataclass(frozen=True)
class Wrapped:
    """One key: its ``place``, the master keys that wrap it (ids as hex, the oldest wrapping first), and its state.

    wrapped: by the current master key. left: only by others that we have. foreign: only by others that we do not have.
    sealed: for the key of another domain, so the master key does not matter. destroyed; lost: nothing is readable.
    """

    place: str
    masters: Sequence[str]
    state: str

    def to_dict(self) -> dict[str, Any]:
        return {"key": self.place.rstrip("/"), "state": self.state, "wrapped by": list(self.masters)}


class Rotation:
    """The wrapped keys of one bank. ``looked_at`` is called after each key; what it raises ends the work."""

    def __init__(
        self, bank: Bank, *, keyring: Keyring, master_key: Wrapping, looked_at: Callable[[], None] = lambda: None
    ) -> None:
        self._bank = bank
        self._keyring = keyring
        self._master = master_key
        self._looked_at = looked_at

    def entries(self) -> Iterator[Wrapped]:
        """Every key of the bank, that of the vault first. Opens none: the heads tell who wrapped."""
        for place in self._places():
            yield self._look(place)
            self._looked_at()

    def label(self, found: Wrapped) -> str:
        """Whose key it is: the id of a project as a rule. Empty for that of the vault, and where nobody can tell."""
        domain = found.place.split("/")[1]
        try:
            if found.place == format.VAULT_KEYS:
                return ""
            if found.state == DESTROYED:
                return str((self._keyring.destroyed(domain) or {}).get("label", ""))
            return self._keyring.label(domain)
        except (errors.KeyUnavailable, errors.IntegrityError):
            return ""

    def rotate(self, *, dry_run: bool = False) -> dict[str, Any]:
        """Wrap with the current master key what only others wrap. May be called again at any time.

        ``entries``: one for each key that cannot be opened. ``counts``, with what is ``left``. ``sound``: whether
        the current master key opens everything now. Raises BankUnavailable.
        """
        counts = {"wrapped already": 0, "wrapped now": 0, "sealed": 0, "destroyed": 0, "left": 0}
        problems: list[dict[str, Any]] = []
        for found in self.entries():
            if found.state == WRAPPED:
                counts["wrapped already"] += 1
            elif found.state in (DESTROYED, SEALED):
                counts[found.state] += 1
            elif found.state == LEFT and dry_run:
                counts["left"] += 1
            else:
                try:
                    counts["wrapped now" if self._wrap_again(found.place) else "destroyed"] += 1
                except (errors.KeyUnavailable, errors.IntegrityError) as fault:
                    counts["left"] += 1
                    problems.append({**found.to_dict(), "problem": fault.operator_text()})
        return {"entries": problems, "counts": counts, "sound": not problems}

    def retire(self, master_id: str, *, dry_run: bool = False) -> dict[str, Any]:
        """Remove what a master key wrapped; from then on it opens nothing in this bank.

        Raises Conflict where the current master key does not wrap everything yet, or is the one to be retired; nothing
        is removed then. May be called again.
        """
        if bytes.fromhex(master_id) == self._master.id:
            raise errors.Conflict(
                "This is the master key that wraps now.", next_action="set another one, and rotate first"
            )
        left = [found.place for found in self.entries() if found.state not in (WRAPPED, SEALED, DESTROYED)]
        if left:
            raise errors.Conflict(
                "Not every key is wrapped by the current master key.",
                detail=f"{len(left)}, such as {left[0]}",
                next_action="run karbor-manage key rotate",
            )
        removed = 0
        for found in self.entries():
            if master_id in found.masters:
                removed += self._remove(found.place, bytes.fromhex(master_id), dry_run=dry_run)
        return {"counts": {"would be removed" if dry_run else "removed": removed}}

    def _places(self) -> Iterator[str]:
        if self._bank.list(format.VAULT_KEYS, limit=1):
            yield format.VAULT_KEYS
        for domain in self._keyring.domains():
            yield format.key_place(domain)

    def _names(self, place: str) -> Sequence[str]:
        return [info.name for info in self._bank.list(place)]

    def _look(self, place: str) -> Wrapped:
        names = self._names(place)
        if place + format.DESTROYED in names:
            return Wrapped(place, (), DESTROYED)
        if self._keyring.parent(place.split("/")[1]) if place != format.VAULT_KEYS else None:
            return Wrapped(place, (), SEALED)
        masters = [found for name in names if (found := self._wrapped_by(name))]
        ids = [one.hex() for one in masters]
        if self._master.id in masters:
            return Wrapped(place, ids, WRAPPED)
        if set(masters) & set(self._master.ids):
            return Wrapped(place, ids, LEFT)
        return Wrapped(place, ids, FOREIGN if masters else LOST)

    def _wrapped_by(self, name: str) -> bytes | None:
        try:
            return wrapped_by(self._bank.get(name, 0, HEAD_SIZE))
        except errors.ObjectNotFound:
            return None

    def _wrap_again(self, place: str) -> bool:
        """False where the key was destroyed meanwhile. Raises KeyUnavailable, IntegrityError, Conflict."""
        for _ in range(_TRIES):
            names = self._names(place)
            if place + format.DESTROYED in names:
                return False
            content = self._opened(place, names)
            name = place + format.numbered(int(names[-1].rpartition("/")[2]) + 1)
            faultpoints.reach("key:rewrap:before")
            if not self._bank.put_if_absent(name, self._master.wrap(place, content)):
                if self._look(place).state == WRAPPED:
                    return True  # somebody else rotates too
                continue
            faultpoints.reach("key:rewrap:after")
            if self._master.unwrap(place, self._bank.get(name)) != content:
                raise errors.IntegrityError(detail=f"{name} is not what was put")
            if place + format.DESTROYED in self._names(place):
                self._bank.delete(name)  # destroyed between our two looks: it must not come back
                return False
            return True
        raise errors.KeyUnavailable("Somebody else wraps this key again and again.", detail=place)

    def _opened(self, place: str, names: Sequence[str]) -> dict[str, Any]:
        damage: errors.IntegrityError | None = None
        for name in reversed(names):
            try:
                content = self._master.unwrap(place, self._bank.get(name))
            except errors.ObjectNotFound:
                continue
            except errors.IntegrityError as fault:
                damage = fault
                continue
            if content is not None:
                return content
        if damage is not None:
            raise damage
        if not names:
            raise errors.KeyUnavailable("The key of this data is missing in the bank.", detail=f"nothing in {place}")
        raise errors.KeyUnavailable(
            "None of our master keys wrapped this key.",
            detail=place,
            next_action="add the one that did to the settings",
        )

    def _remove(self, place: str, master_id: bytes, *, dry_run: bool) -> int:
        """Remove the wrappings of one master key, if the current one opens the key for sure."""
        names = self._names(place)
        mine = [name for name in names if self._wrapped_by(name) == self._master.id]
        if not any(self._master.unwrap(place, self._bank.get(name)) for name in mine):
            raise errors.KeyUnavailable("The current master key does not open this key.", detail=place)
        gone = [name for name in names if self._wrapped_by(name) == master_id]
        for name in () if dry_run else gone:
            faultpoints.reach("key:retire:before")
            self._bank.delete(name)
        return len(gone)
