# SPDX-License-Identifier: Apache-2.0
"""What happens when a bank fails at the worst moment? A bank around a bank that fails on command."""

import threading
from collections.abc import Callable, Sequence
from typing import Any

from karbor.model import errors
from karbor.sdk.bank import Bank, ObjectInfo


class FaultyBank(Bank):
    """Passes every call on to ``inner``; fails as told by ``fail``. ``calls`` lists the names of all methods called."""

    def __init__(self, inner: Bank) -> None:
        super().__init__(inner.settings)
        self.inner = inner
        self.capabilities = inner.capabilities  # type: ignore[misc]
        self.calls: list[str] = []
        self._lock = threading.Lock()
        self._left: int | None = None
        self._method: str | None = None
        self._after = False
        self._lasting = False
        self._error: Callable[[], errors.KarborError] = errors.BankUnavailable

    def fail(
        self,
        nth: int,
        *,
        method: str | None = None,
        error: Callable[[], errors.KarborError] = errors.BankUnavailable,
        after: bool = False,
        lasting: bool = False,
    ) -> None:
        """Fail at the ``nth`` call from now (1 is the next) of ``method``, or of any.

        ``after``: the call takes effect in the inner bank, and only then fails. ``lasting``: all later calls fail too,
        as after a crash of the caller or the loss of the bank.
        """
        with self._lock:
            self._left, self._method, self._error = nth, method, error
            self._after, self._lasting = after, lasting

    def heal(self) -> None:
        """Fail no more."""
        with self._lock:
            self._left = None

    def initialise(self) -> str:
        return str(self._call("initialise"))

    def identity(self) -> str:
        return str(self._call("identity"))

    def put_if_absent(self, name: str, data: bytes) -> bool:
        return bool(self._call("put_if_absent", name, data))

    def get(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
        return bytes(self._call("get", name, offset, length))

    def stat(self, name: str) -> ObjectInfo:
        found: ObjectInfo = self._call("stat", name)
        return found

    def list(self, prefix: str = "", after: str = "", limit: int = 1000) -> Sequence[ObjectInfo]:
        found: Sequence[ObjectInfo] = self._call("list", prefix, after, limit)
        return found

    def delete(self, name: str) -> None:
        self._call("delete", name)

    def _call(self, method: str, *arguments: Any) -> Any:
        failing = self._counted(method)
        if failing and not self._after:
            raise self._error()
        answer = getattr(self.inner, method)(*arguments)
        if failing:
            raise self._error()
        return answer

    def _counted(self, method: str) -> bool:
        with self._lock:
            self.calls.append(method)
            if self._left is None or self._method not in (None, method):
                return False
            if self._left > 0:
                self._left -= 1
                return self._left == 0
            return self._lasting
