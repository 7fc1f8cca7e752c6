# SPDX-License-Identifier: Apache-2.0
"""How is a project's key destroyed, so that nobody can read its data in this bank any more?

First a marker is put beside the wrapped keys, then they are deleted. From the marker on nobody uses the key, whatever
is left of it; whoever comes next (the command again, a clean-up of the bank) finishes what a crash left.
"""

from collections.abc import Callable

from karbor.common import faultpoints
from karbor.common.clock import Clock, iso
from karbor.model import errors
from karbor.sdk.bank import Bank
from karbor.vault import format, listing
from karbor.vault.keyring import Keyring
from karbor.vault.wrapping import Wrapping


class Destruction:
    """Destroys keys of domains of one bank. All of it may be called again."""

    def __init__(self, bank: Bank, *, keyring: Keyring, master_key: Wrapping, clock: Clock) -> None:
        self._bank = bank
        self._keyring = keyring
        self._master = master_key
        self._clock = clock

    def holds(self, domain: str) -> list[str]:
        """Names of the objects that say that something of the domain must be kept."""
        return list(listing.names(self._bank, format.domain_prefix(domain), "hold/"))

    def destroy(self, domain: str, label: str) -> bool:
        """True where the key was there until now. Raises KeyUnavailable where a marker is there that is not ours.

        The caller asked for holds and locks; nobody can undo this.
        """
        place = format.key_place(domain)
        name = place + format.DESTROYED
        first = self._keyring.destroyed(domain) is None
        if first:
            content = {"version": format.VERSION, "label": label, "at": iso(self._clock.now())}
            faultpoints.reach("key:destroy:before")
            self._bank.put_if_absent(name, self._master.wrap(name, content))
            faultpoints.reach("key:destroy:after")
        self.finish(domain)
        return first

    def finish(self, domain: str) -> None:
        """Delete the wrapped keys of a domain whose marker is there; what a rotation puts meanwhile it removes itself.
        Raises Conflict where there is no marker."""
        if self._keyring.destroyed(domain) is None:
            raise errors.Conflict("The key of this data was not destroyed.", detail=domain)
        if self._keyring.parent(domain) is not None:
            return  # its key opens nothing any more, and tells whose it was
        place = format.key_place(domain)
        for info in self._bank.list(place):
            if info.name != place + format.DESTROYED:
                faultpoints.reach("key:destroy:delete")
                self._bank.delete(info.name)

    def remove_rest(self, domain: str, *, pause: Callable[[float], None], dry_run: bool = False) -> dict[str, int]:
        """Delete all objects of a domain whose key was destroyed, and count ``objects`` and ``bytes``. The marker
        stays, for workers that come late. ``pause`` is called before each; it waits, or raises Cancelled.

        Raises Conflict where the key was not destroyed.
        """
        if not dry_run:
            self.finish(domain)
        counts = {"objects": 0, "bytes": 0}
        for info in listing.objects(self._bank, format.domain_prefix(domain)):
            if info.name.startswith(format.key_place(domain)):
                continue
            pause(0.0)
            counts["objects"] += 1
            counts["bytes"] += info.size
            if not dry_run:
                self._bank.delete(info.name)
        if self._keyring.parent(domain) is not None and not dry_run:
            self._bank.delete(format.key_place(domain) + format.numbered(1))
        return counts
