# SPDX-License-Identifier: Apache-2.0
"""What have banks in object stores in common: identity, trying again, and whether a put that had no answer was ours?

A bank fills one bucket or container. Its identity lies in an object whose name begins with a dot; no list shows such
names. Every put carries a random mark: where the answer to a put was lost and the next try finds the name taken, the
mark tells whether by the lost try.
"""

import abc
import secrets
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from karbor.common.retrying import Policy, Retrying
from karbor.model import errors
from karbor.sdk.bank import Bank, ObjectInfo, valid_name
from karbor.sdk.options import Options

IDENTITY = ".karbor-bank"
Found = TypeVar("Found")


class ObjectStoreBank(Bank):
    """Subclasses send one request in each method with an underscore, once. They raise Passing around what may pass,
    ObjectNotFound for an object that is not there (also where the whole bank is not), BankUnavailable, BankFull."""

    def __init__(self, settings: Options, *, policy: Policy, place: str) -> None:
        super().__init__(settings)
        self._retrying = Retrying(policy)
        self._place = place  # bucket or container, for people
        self._seen: str | None = None

    @property
    def options(self) -> Mapping[str, Any]:
        return self.settings.to_dict()

    @abc.abstractmethod
    def _make_place(self) -> None:
        """Make the bucket or container where there is none."""

    @abc.abstractmethod
    def _put(self, name: str, data: bytes, mark: str, *, contended: bool) -> bool:
        """Put the object unless the name is taken. True if it was put."""

    @abc.abstractmethod
    def _mark(self, name: str) -> str | None:
        """The mark of the put that made the object."""

    @abc.abstractmethod
    def _read(self, name: str, offset: int, length: int | None) -> bytes:
        """As ``get``; ``length`` is not 0."""

    @abc.abstractmethod
    def _stat(self, name: str) -> ObjectInfo: ...

    @abc.abstractmethod
    def _page(self, prefix: str, after: str, limit: int) -> Sequence[ObjectInfo]:
        """One page, at most as long as the server makes one; empty only at the end."""

    @abc.abstractmethod
    def _remove(self, name: str) -> None:
        """Remove it; may raise ObjectNotFound."""

    def _require_fit(self) -> None:
        """Raise ConfigurationError where this store cannot be a bank. Asked before anything is written."""

    def initialise(self) -> str:
        self._again(self._make_place)
        self._require_fit()
        try:
            return self._identity()
        except errors.ObjectNotFound:
            if self._holds_objects():
                raise errors.BankUnavailable(
                    "The bank has lost its identity.",
                    detail=f"objects, but no {IDENTITY} in {self._place}",
                    next_action=f"put {IDENTITY} back or choose an empty bucket or container",
                ) from None
        self._put_with_mark(IDENTITY, f"{uuid.uuid4()}\n".encode(), contended=True)
        return self.identity()

    def identity(self) -> str:
        try:
            return self._identity()
        except errors.ObjectNotFound as fault:
            raise errors.BankUnavailable(
                "The bank is missing.",
                detail=f"no {IDENTITY} in {self._place}",
                next_action="correct the settings of the bank, or make it with karbor-manage bank init",
            ) from fault

    def _holds_objects(self) -> bool:
        """Whether anything else than identity and probes is there; their names lie between those of objects."""
        begin, behind = (self._again(lambda: self._page("", after, 1)) for after in ("", ".~"))  # noqa: B023
        return bool(behind) or any(not info.name.startswith(".") for info in begin)

    def _identity(self) -> str:
        data = self._again(lambda: self._read(IDENTITY, 0, None))
        try:
            text = str(uuid.UUID(data.decode("ascii").strip()))
        except ValueError as fault:
            raise errors.BankUnavailable(detail=f"{IDENTITY} in {self._place} is damaged") from fault
        if self._seen not in (None, text):
            raise errors.BankUnavailable(
                "The bank is not the bank it was.", detail=f"{self._place}: {text} where {self._seen} was"
            )
        self._seen = text
        return text

    def put_if_absent(self, name: str, data: bytes) -> bool:
        self._open(valid_name(name))
        self._require_fit()
        return self._put_with_mark(name, data, contended=True)

    def put_own(self, name: str, data: bytes) -> bool:
        self._open(valid_name(name))
        self._require_fit()
        return self._put_with_mark(name, data, contended=False)

    def _put_with_mark(self, name: str, data: bytes, *, contended: bool) -> bool:
        mark, tries = secrets.token_hex(16), 0

        def once() -> bool:
            nonlocal tries
            tries += 1
            if self._put(name, data, mark, contended=contended):
                return True
            try:
                return tries > 1 and self._mark(name) == mark
            except errors.ObjectNotFound:  # it was there, and was removed since
                return False

        return self._again(once)

    def get(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
        self._open(valid_name(name))
        if length == 0:
            self.stat(name)
            return b""
        return self._there(lambda: self._read(name, offset, length))

    def stat(self, name: str) -> ObjectInfo:
        self._open(valid_name(name))
        return self._there(lambda: self._stat(name))

    def list(self, prefix: str = "", after: str = "", limit: int = 1000) -> Sequence[ObjectInfo]:
        self._open()
        found: list[ObjectInfo] = []
        while len(found) < limit:
            start, wanted = after, limit - len(found)
            page = self._again(lambda: self._page(prefix, start, wanted))  # noqa: B023 - called at once
            if not page:
                self.identity()  # there is no more because it is the end, not because the bank went away
                return found
            found += [info for info in page if not info.name.startswith(".")]
            after = page[-1].name
        return found

    def delete(self, name: str) -> None:
        self._open(valid_name(name))
        try:
            self._again(lambda: self._remove(name))
        except errors.ObjectNotFound:
            self.identity()

    def _open(self, _name: str = "") -> None:
        """Look once whether this is a bank."""
        if self._seen is None:
            self.identity()

    def _there(self, look: Callable[[], Found]) -> Found:
        """What is missing is missing only where the bank is there."""
        try:
            return self._again(look)
        except errors.ObjectNotFound:
            self.identity()
            raise

    def _again(self, work: Callable[[], Found]) -> Found:
        return self._retrying.call(work)
