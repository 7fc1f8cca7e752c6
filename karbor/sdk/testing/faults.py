# SPDX-License-Identifier: Apache-2.0
"""What happens when a bank fails at the worst moment? A bank around a bank that fails, lies or hangs on command."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from karbor.model import errors
from karbor.sdk.bank import Bank, ObjectInfo

PUTS = ("put_if_absent", "put_own")


def _wait(seconds: float) -> None:
    threading.Event().wait(seconds)


@dataclass
class _Lie:
    """What is done to the ``left``-th put from now of an object whose name contains ``name``."""

    kind: str  # truncate, duplicate, forget
    left: int
    name: str
    lasting: bool
    keep: float = 0.5


class FaultyBank(Bank):
    """Passes every call on to ``inner``; fails as told. ``calls`` lists the names of all methods called.

    ``told``: called before each call with the method, the name of the object (empty: none) and the bytes put.
    """

    def __init__(self, inner: Bank, *, told: Callable[[str, str, int], None] = lambda *_: None) -> None:
        super().__init__(inner.settings)
        self.inner = inner
        self.capabilities = inner.capabilities
        self.calls: list[str] = []
        self._told = told
        self._lock = threading.Lock()
        self._left: int | None = None
        self._method: str | None = None
        self._after = False
        self._lasting = False
        self._error: Callable[[], errors.KarborError] = errors.BankUnavailable
        self._lies: list[_Lie] = []
        self._delay: Callable[[str], None] = lambda _method: None

    def fail(
        self,
        nth: int,
        *,
        method: str | None = None,
        error: Callable[[], errors.KarborError] = errors.BankUnavailable,
        after: bool = False,
        lasting: bool = False,
    ) -> None:
        """Fail at the ``nth`` call from now (1 is the next) of ``method``, or of any. ``put_if_absent`` stands for
        every put.

        ``after``: the call takes effect in the inner bank, and only then fails. ``lasting``: all later calls fail too,
        as after a crash of the caller or the loss of the bank.
        """
        with self._lock:
            self._left, self._method, self._error = nth, method, error
            self._after, self._lasting = after, lasting

    def delay(self, seconds: float, *, method: str | None = None, pause: Callable[[float], None] = _wait) -> None:
        """Every call from now on takes so much longer, or every call of ``method``. ``pause`` does the waiting."""
        self._delay = lambda called: pause(seconds) if method in (None, called) else None

    def truncate(self, nth: int = 1, *, name: str = "", keep: float = 0.5, lasting: bool = False) -> None:
        """Keep only that share of an object's beginning, and say that it was stored: as a store does that lost what it
        had not written yet. Which put: the ``nth`` from now of an object whose name contains ``name``; ``lasting``: and
        each later one."""
        self._lie(_Lie("truncate", nth, name, lasting, keep))

    def duplicate(self, nth: int = 1, *, name: str = "", lasting: bool = False) -> None:
        """Do a put twice, and give the second answer: as a network does that lost the first."""
        self._lie(_Lie("duplicate", nth, name, lasting))

    def forget(self, nth: int = 1, *, name: str = "", lasting: bool = False) -> None:
        """Say that an object was stored, and keep nothing of it."""
        self._lie(_Lie("forget", nth, name, lasting))

    def heal(self) -> None:
        """Fail, lie and hang no more. What was lost stays lost."""
        with self._lock:
            self._left = None
            self._lies = []
            self._delay = lambda _method: None

    def initialise(self) -> str:
        return str(self._call("initialise"))

    def identity(self) -> str:
        return str(self._call("identity"))

    def put_if_absent(self, name: str, data: bytes) -> bool:
        return self._put("put_if_absent", name, data)

    def put_own(self, name: str, data: bytes) -> bool:
        return self._put("put_own", name, data)

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

    def retain(self, name: str, until: datetime) -> None:
        self._call("retain", name, until)

    def retained(self, name: str) -> datetime | None:
        found: datetime | None = self._call("retained", name)
        return found

    def now(self) -> datetime | None:
        return self.inner.now()

    def _lie(self, lie: _Lie) -> None:
        with self._lock:
            self._lies.append(lie)

    def _put(self, method: str, name: str, data: bytes) -> bool:
        lie = self._lie_about(name)
        if lie is not None and lie.kind == "truncate":
            data = data[: int(len(data) * lie.keep)]
        if lie is not None and lie.kind == "duplicate":
            self._call(method, name, data)
        answer = bool(self._call(method, name, data))
        if lie is not None and lie.kind == "forget" and answer:
            self.inner.delete(name)
        return answer

    def _lie_about(self, name: str) -> _Lie | None:
        with self._lock:
            for lie in self._lies:
                if lie.name in name:
                    lie.left -= 1
                    if lie.left == 0 or (lie.lasting and lie.left < 0):
                        return lie
        return None

    def _call(self, method: str, *arguments: Any) -> Any:
        name = arguments[0] if arguments else ""
        self._told(method, name, len(arguments[1]) if method in PUTS else 0)
        self._delay(method)
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
            if self._left is None or not self._is_meant(method):
                return False
            if self._left > 0:
                self._left -= 1
                return self._left == 0
            return self._lasting

    def _is_meant(self, method: str) -> bool:
        return self._method in (None, method) or (self._method in PUTS and method in PUTS)
