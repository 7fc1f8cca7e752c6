# SPDX-License-Identifier: Apache-2.0
"""Where do wrapped keys lie in a bank, and who decides when two make one at the same time?

Each wrapped key is a write-once object ``.../key/00000001``; wrapping again under another master key puts the next
number. A key is made only where nothing was ever stored under it, and the first to put number 1 wins.
"""

import hashlib
import hmac
import secrets
from collections.abc import Iterator, Sequence
from typing import Any

from karbor.common.clock import Clock, iso
from karbor.model import errors
from karbor.sdk.bank import Bank
from karbor.vault import format, listing
from karbor.vault.keys import KEY_SIZE, DomainKeys
from karbor.vault.sealing import Sealer, parent_of, unseal
from karbor.vault.wrapping import Wrapping


class Keyring:
    """The keys of one bank. Thread-safe. Raises KeyUnavailable where the master key is not the one that wrapped, and
    KeyDestroyed where a domain's key was destroyed."""

    def __init__(self, bank: Bank, *, master_key: Wrapping, clock: Clock) -> None:
        self._bank = bank
        self._master = master_key
        self._clock = clock

    def domain_name(self, label: str) -> str | None:
        """The opaque name of the domain with that label; None where the bank holds no vault yet."""
        vault_key = self._load(format.VAULT_KEYS)
        return domain_name_of(vault_key, label) if vault_key else None

    def make_domain_name(self, label: str) -> str:
        """The same; makes the vault key where the bank holds no vault yet."""
        return domain_name_of(self._load_or_make(format.VAULT_KEYS, "", guarded=format.DOMAINS), label)

    def domain_keys(self, domain: str) -> DomainKeys | None:
        """The keys of a domain; None where it holds nothing yet."""
        data_key = self._load(format.key_place(domain))
        return DomainKeys.from_data_key(data_key) if data_key else None

    def make_domain_keys(self, domain: str, label: str) -> DomainKeys:
        """The keys of a domain; made where it holds nothing yet."""
        prefix = format.domain_prefix(domain)
        return DomainKeys.from_data_key(self._load_or_make(f"{prefix}key/", label, guarded=prefix))

    def domains(self) -> Iterator[str]:
        """The opaque names of all domains of the bank, whatever keys they have. One call to the bank for each."""
        after = ""
        while page := self._bank.list(format.DOMAINS, after, limit=1):
            domain = page[0].name.removeprefix(format.DOMAINS).partition("/")[0]
            yield domain
            after = f"{format.DOMAINS}{domain}0"  # the first text behind all that lies below this domain

    def label(self, domain: str) -> str:
        """What the domain is called: the id of its project. Raises KeyUnavailable, IntegrityError where it is lost."""
        prefix = format.key_place(domain)
        content = self._sealed_content(domain) if self.parent(domain) else self._content(prefix)
        if content is None:
            raise errors.KeyUnavailable("The key of this data is missing in the bank.", detail=f"no {prefix}")
        return str(content["label"])

    def flaws(self, prefix: str) -> Sequence[tuple[str, str]]:
        """Names of wrapped keys below ``prefix`` that are damaged, with the reason; one good key is enough.

        Asks the bank, whatever is known already. Raises IntegrityError where none is left, KeyUnavailable where all are
        those of another master key.
        """
        damaged: list[tuple[str, str]] = []
        names = self._names(prefix)
        good = False
        for name in names:
            try:
                good |= self._master.unwrap(prefix, self._bank.get(name)) is not None
            except errors.ObjectNotFound:
                continue  # an old wrapping that was removed since it was listed
            except errors.IntegrityError as fault:
                damaged.append((name, fault.detail))
        if good:
            return damaged
        if names and not damaged:
            raise self._other_master_key(names[-1])
        lost = ", ".join(name for name, _ in damaged) or f"{prefix}{format.numbered(1)}"
        raise errors.IntegrityError("The key of this data is lost in the bank.", detail=lost)

    def _load_or_make(self, prefix: str, label: str, *, guarded: str) -> bytes:
        found = self._load(prefix)
        if found:
            return found
        # A lost key must never be replaced by a new one beside data that the old one sealed.
        if any(not info.name.startswith(prefix) for info in self._bank.list(guarded, limit=1)):
            found = self._load(prefix)  # another writer may have been first between the two looks
            if found:
                return found
            raise errors.KeyUnavailable(
                "The key of this data is missing in the bank.",
                detail=f"nothing under {prefix}, but data under {guarded}",
            )
        content = {
            "version": format.VERSION,
            "label": label,
            "key": secrets.token_hex(KEY_SIZE),
            "created": iso(self._clock.now()),
        }
        self._bank.put_if_absent(prefix + format.numbered(1), self._master.wrap(prefix, content))
        made = self._load(prefix)
        if not made:
            raise errors.BankUnavailable(detail=f"the bank does not show {prefix} after it was put")
        return made

    def _load(self, prefix: str) -> bytes | None:
        content = self._content(prefix)
        return bytes.fromhex(content["key"]) if content else None

    def _content(self, prefix: str) -> dict[str, Any] | None:
        """The newest wrapping that opens: one good key is enough."""
        names = self._names(prefix)
        damage: errors.IntegrityError | None = None
        for name in reversed(names):
            try:
                content = self._master.unwrap(prefix, self._bank.get(name))
            except errors.ObjectNotFound:
                continue  # an old wrapping that was removed since it was listed; a newer one is there
            except errors.IntegrityError as fault:
                damage = damage or errors.IntegrityError(detail=f"{name}: {fault.detail}")
                continue
            if content is not None:
                return content
        if damage is not None:
            raise damage
        if names:
            raise self._other_master_key(names[-1])
        return None

    def sealed_keys(self, domain: str) -> DomainKeys:
        """The keys of a domain that was sealed for a project. Raises KeyUnavailable, IntegrityError, ObjectNotFound."""
        return DomainKeys.from_data_key(bytes.fromhex(self._sealed_content(domain)["key"]))

    def _sealed_content(self, domain: str) -> dict[str, Any]:
        """Where a project's own key is wanted, nothing but the master key's word counts: whoever may seal for one
        project could else pass a key of his own off as that of another."""
        place = format.key_place(domain)
        data = self._bank.get(place + format.numbered(1))
        parent = parent_of(data)
        content = self._content(format.key_place(parent)) if parent else None
        if content is None:
            raise errors.KeyUnavailable("The key of this data is missing in the bank.", detail=f"{domain} of {parent}")
        found = unseal(bytes.fromhex(content["key"]), place, data)
        if found["label"] != content["label"]:
            raise errors.IntegrityError(detail=f"{domain} was sealed for another project than it says")
        return found

    def parent(self, domain: str) -> str | None:
        """The project's domain that a domain was sealed for; None for those of projects themselves."""
        try:
            return parent_of(self._bank.get(format.key_place(domain) + format.numbered(1)))
        except errors.ObjectNotFound:
            return None

    def children(self, domain: str) -> Sequence[str]:
        """The domains that were sealed for this one."""
        beginning = format.sealed_name("-").removesuffix("-")
        names = listing.names(self._bank, format.domain_prefix(domain), beginning)
        return [name.removeprefix(beginning) for name in names]

    def sealer(self, label: str) -> Sealer:
        """What lets a worker seal for a project; makes the project's key where it has none yet."""
        domain = self.make_domain_name(label)
        data_key = self._load_or_make(format.key_place(domain), label, guarded=format.domain_prefix(domain))
        return Sealer.of(data_key, bank=self._bank.identity(), domain=domain, label=label)

    def destroyed(self, domain: str) -> dict[str, Any] | None:
        """What the marker says that the domain's key was destroyed (``label``, ``at``); None where there is none. Of a
        domain that was sealed for another one, the key is destroyed with that one's.
        Raises KeyUnavailable, IntegrityError where the marker is not ours."""
        domain = self.parent(domain) or domain
        name = format.key_place(domain) + format.DESTROYED
        try:
            content = self._master.unwrap(name, self._bank.get(name))
        except errors.ObjectNotFound:
            return None
        if content is None:
            raise self._other_master_key(name)
        return content

    def _names(self, prefix: str) -> Sequence[str]:
        """Names of the wrapped keys of a place. Raises KeyDestroyed."""
        names = [info.name for info in self._bank.list(prefix)]
        if prefix + format.DESTROYED in names:
            raise errors.KeyDestroyed(detail=f"{prefix}{format.DESTROYED}")
        return names

    def _other_master_key(self, name: str) -> errors.KeyUnavailable:
        return errors.KeyUnavailable(
            "This data was sealed under another master key.",
            detail=f"{name} was not wrapped by key {self._master.id.hex()}",
            next_action="give the service the master key file that this bank was written with",
        )


def domain_name_of(vault_key: bytes, label: str) -> str:
    """The opaque name of a domain: nobody without the vault key can tell or guess the label from it."""
    return hmac.digest(vault_key, b"karbor 1 domain " + label.encode(), hashlib.sha256)[:16].hex()
