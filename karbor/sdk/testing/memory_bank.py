# SPDX-License-Identifier: Apache-2.0
"""What does a bank look like that keeps all conditions and no bytes after the test? (The twin of every real bank.)"""

import bisect
import threading
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime

from karbor.common.clock import Clock
from karbor.model import errors
from karbor.sdk.bank import Bank, Capabilities, ObjectInfo, valid_name
from karbor.sdk.options import Options

_NEVER = datetime.min.replace(tzinfo=UTC)


class MemoryBank(Bank):
    """Objects in a dict. ``objects`` may be looked at and damaged by tests. ``modified`` counts puts.

    With ``clock`` it can lock objects, by that clock."""

    def __init__(self, settings: Options | None = None, *, clock: Clock | None = None) -> None:
        super().__init__(settings or Options())
        self.capabilities = Capabilities(object_lock=clock is not None)
        self.kept: dict[str, datetime] = {}
        self._clock = clock
        self.objects: dict[str, bytes] = {}
        self._modified: dict[str, float] = {}
        self._identity: str | None = None
        self._lock = threading.Lock()

    def initialise(self) -> str:
        with self._lock:
            self._identity = self._identity or str(uuid.uuid4())
            return self._identity

    def identity(self) -> str:
        if self._identity is None:
            raise errors.BankUnavailable(detail="the memory bank was not initialised")
        return self._identity

    def put_if_absent(self, name: str, data: bytes) -> bool:
        valid_name(name)
        self.identity()
        with self._lock:
            if name in self.objects:
                return False
            self.objects[name] = bytes(data)
            self._modified[name] = float(len(self._modified))
            return True

    def get(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
        data = self._object(name)
        return data[offset:] if length is None else data[offset : offset + length]

    def stat(self, name: str) -> ObjectInfo:
        return ObjectInfo(name, len(self._object(name)), self._modified.get(name, 0.0))

    def list(self, prefix: str = "", after: str = "", limit: int = 1000) -> Sequence[ObjectInfo]:
        self.identity()
        with self._lock:
            names = sorted(name for name in self.objects if name.startswith(prefix))
            chosen = names[bisect.bisect_right(names, after) :][:limit]
            return [ObjectInfo(name, len(self.objects[name]), self._modified.get(name, 0.0)) for name in chosen]

    def delete(self, name: str) -> None:
        valid_name(name)
        self.identity()
        with self._lock:
            if self._clock is not None and name in self.objects and self._clock.now() < self.kept.get(name, _NEVER):
                raise errors.ObjectLocked(detail=f"{name} until {self.kept[name]}")
            self.objects.pop(name, None)
            self.kept.pop(name, None)

    def retain(self, name: str, until: datetime) -> None:
        if self._clock is None:
            super().retain(name, until)
        self._object(name)
        with self._lock:
            self.kept[name] = max(until, self.kept.get(name, _NEVER))

    def retained(self, name: str) -> datetime | None:
        self._object(name)
        return self.kept.get(name)

    def now(self) -> datetime | None:
        return self._clock.now() if self._clock is not None else None

    def _object(self, name: str) -> bytes:
        valid_name(name)
        self.identity()
        try:
            return self.objects[name]
        except KeyError:
            raise errors.ObjectNotFound(detail=name) from None
