# SPDX-License-Identifier: Apache-2.0
"""Who wraps the keys that lie in a bank, and with which of several master keys?

The contract is small, because a bank only needs two things of whoever keeps the master key. Where the key itself comes
from (a file, a key manager) is the question of ``keysource``.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from karbor.vault.keys import MasterKey


class Wrapping(Protocol):
    """Wraps small documents and opens what it wrapped, now or earlier. Thread-safe; every call may be repeated."""

    @property
    def id(self) -> bytes:
        """The id (16 bytes) of the master key that wraps now."""
        ...

    @property
    def ids(self) -> Sequence[bytes]:
        """The ids of all master keys whose wrappings can be opened; the first is ``id``."""
        ...

    def wrap(self, context: str, content: Mapping[str, Any]) -> bytes:
        """Seal a JSON document for a place in the bank; it opens nowhere else."""
        ...

    def unwrap(self, context: str, data: bytes) -> dict[str, Any] | None:
        """What was sealed, or None where a master key did that we do not have. Raises IntegrityError for damage."""
        ...


class MasterKeys:
    """A master key that wraps, and others whose wrappings can still, or already, be opened.

    While a master key is changed, every worker has both: so what one of them wraps anew, all can open.
    """

    def __init__(self, current: MasterKey, others: Sequence[MasterKey] = ()) -> None:
        self._current = current
        self._keys = {key.id: key for key in (current, *others)}

    @property
    def id(self) -> bytes:
        return self._current.id

    @property
    def ids(self) -> Sequence[bytes]:
        return list(self._keys)

    def wrap(self, context: str, content: Mapping[str, Any]) -> bytes:
        return self._current.wrap(context, content)

    def unwrap(self, context: str, data: bytes) -> dict[str, Any] | None:
        for key in self._keys.values():
            found = key.unwrap(context, data)
            if found is not None:
                return found
        return None
