# SPDX-License-Identifier: Apache-2.0
"""Who cleans up a domain now, and when did somebody last?

A sealed object per turn; the newest counts. A claim saves work and nothing else: two that clean up at the same time
harm nothing (reference/cleanup.rst).
"""

from datetime import datetime, timedelta
from typing import Any

from karbor.common.clock import Clock, iso
from karbor.model import errors
from karbor.sdk.bank import Bank
from karbor.vault import format, listing
from karbor.vault.codec import Codec


class Claim:
    """The right of ``owner`` to clean up one domain, for ``term`` seconds after each renewal."""

    def __init__(
        self, bank: Bank, *, prefix: str, codec: Codec, clock: Clock, owner: str, term: float, skew: float
    ) -> None:
        self._bank, self._prefix, self._codec = bank, prefix, codec
        self._clock, self._owner = clock, owner
        self._term, self._skew = term, skew
        self._number = 0
        self._since = 0.0

    def take(self) -> None:
        """Begin. Raises Conflict where somebody else is at it."""
        numbers = self._numbers()
        document = self._open(numbers[-1]) if numbers else None
        if document and document["owner"] and document["owner"] != self._owner:
            until = _moment(document["until"]) + timedelta(seconds=self._skew)
            if self._clock.now() <= until:
                raise errors.Conflict("Somebody else is cleaning up this bank.", detail=f"until {until}")
        self._number = numbers[-1] if numbers else 0
        self._put(self._owner)

    def check(self) -> None:
        """Renew where that is due. Raises LeaseLost where somebody else took over."""
        age = self._clock.monotonic() - self._since
        if age >= self._term:
            raise errors.LeaseLost("The claim to clean up ran out.")
        if age >= self._term / 3:
            self._put(self._owner)

    def let_go(self, *, finished: bool) -> None:
        """End, and say whether everything was looked at."""
        self._put("", finished=finished)

    def last_finished(self) -> datetime | None:
        """When somebody last looked at everything; None where that is not known."""
        numbers = self._numbers()
        document = self._open(numbers[-1]) if numbers else None
        return _moment(document["finished"]) if document and document["finished"] else None

    def _put(self, owner: str, *, finished: bool = False) -> None:
        now = self._clock.now()
        name = format.claim_name(self._number + 1)
        document = {
            "version": format.VERSION,
            "owner": owner,
            "until": iso(now + timedelta(seconds=self._term)),
            "finished": iso(now) if finished else None,
        }
        if not self._bank.put_own(self._prefix + name, self._codec.seal_document(name, document)):
            raise errors.LeaseLost("Somebody else began to clean up.", detail=name)
        self._number += 1
        self._since = self._clock.monotonic()
        for number in self._numbers():
            if number < self._number:
                self._bank.delete(self._prefix + format.claim_name(number))

    def _numbers(self) -> list[int]:
        beginning = format.claim_name(0)[:-10]
        return [int(name.removeprefix(beginning)) for name in listing.names(self._bank, self._prefix, beginning)]

    def _open(self, number: int) -> dict[str, Any] | None:
        name = format.claim_name(number)
        try:
            return self._codec.open_document(name, self._bank.get(self._prefix + name))
        except errors.ObjectNotFound:  # the next one is there already
            return None


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text + "+00:00")
