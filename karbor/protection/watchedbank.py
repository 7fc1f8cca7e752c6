# SPDX-License-Identifier: Apache-2.0
"""How does a write to a bank become a point where a test can stop the world? Only tests use this bank."""

from collections.abc import Sequence
from datetime import datetime

from karbor.common import faultpoints
from karbor.sdk.bank import Bank, ObjectInfo


class WatchedBank(Bank):
    """Passes every call on to ``inner``; each write and delete is a fault point, named after the kind of object."""

    def __init__(self, inner: Bank) -> None:
        super().__init__(inner.settings)
        self._inner = inner
        self.capabilities = inner.capabilities

    def initialise(self) -> str:
        return self._inner.initialise()

    def identity(self) -> str:
        return self._inner.identity()

    def put_if_absent(self, name: str, data: bytes) -> bool:
        faultpoints.reach(f"bank:put-{kind(name)}:before")
        answer = self._inner.put_if_absent(name, data)
        faultpoints.reach(f"bank:put-{kind(name)}:after")
        return answer

    def put_own(self, name: str, data: bytes) -> bool:
        faultpoints.reach(f"bank:put-{kind(name)}:before")
        answer = self._inner.put_own(name, data)
        faultpoints.reach(f"bank:put-{kind(name)}:after")
        return answer

    def put_own_parts(self, name: str, parts: Sequence[bytes]) -> bool:
        faultpoints.reach(f"bank:put-{kind(name)}:before")
        answer = self._inner.put_own_parts(name, parts)
        faultpoints.reach(f"bank:put-{kind(name)}:after")
        return answer

    def get(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
        return self._inner.get(name, offset, length)

    def get_into(self, name: str, into: memoryview, offset: int = 0) -> int:
        return self._inner.get_into(name, into, offset)

    def stat(self, name: str) -> ObjectInfo:
        return self._inner.stat(name)

    def list(self, prefix: str = "", after: str = "", limit: int = 1000) -> Sequence[ObjectInfo]:
        return self._inner.list(prefix, after, limit)

    def delete(self, name: str) -> None:
        faultpoints.reach(f"bank:delete-{kind(name)}:before")
        self._inner.delete(name)
        faultpoints.reach(f"bank:delete-{kind(name)}:after")

    def retain(self, name: str, until: datetime) -> None:
        faultpoints.reach(f"bank:retain-{kind(name)}:before")
        self._inner.retain(name, until)
        faultpoints.reach(f"bank:retain-{kind(name)}:after")

    def retained(self, name: str) -> datetime | None:
        return self._inner.retained(name)

    def now(self) -> datetime | None:
        return self._inner.now()


def kind(name: str) -> str:
    """What sort of object a name stands for: its parts that are words, not ids."""
    return "-".join(part for part in name.split("/") if part.isalpha() and 2 < len(part) < 16) or "object"
