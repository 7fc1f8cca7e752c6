# SPDX-License-Identifier: Apache-2.0
"""What does a bank look like that keeps all conditions and no bytes after the test? (The twin of every real bank.)"""

import bisect
import threading
import uuid
from collections.abc import Sequence

from karbor.model import errors
from karbor.sdk.bank import Bank, ObjectInfo, valid_name
from karbor.sdk.options import Options


class MemoryBank(Bank):
    """Objects in a dict. ``objects`` may be looked at and damaged by tests. The clock counts puts."""

    def __init__(self, settings: Options | None = None) -> None:
        super().__init__(settings or Options())
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
            self.objects.pop(name, None)

    def _object(self, name: str) -> bytes:
        valid_name(name)
        self.identity()
        try:
            return self.objects[name]
        except KeyError:
            raise errors.ObjectNotFound(detail=name) from None
