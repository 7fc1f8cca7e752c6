# SPDX-License-Identifier: Apache-2.0
"""Does a bank that declares ``object_lock`` keep condition 8? For subclasses that also say how a bank is made:

class TestMyBankThatLocks(LockSuite):
    def make_bank(self) -> Bank:
        return MyBank(MyBank.Settings(lock=True))
"""

import abc
import threading
from datetime import timedelta
from pathlib import Path

import pytest

from karbor.common.clock import Clock
from karbor.model import errors
from karbor.sdk.bank import Bank

_FAR = Clock().now().replace(microsecond=0) + timedelta(days=1000)


class LockSuite(abc.ABC):
    """``directory`` is an empty directory of each test, for banks that want one."""

    directory: Path

    @pytest.fixture(autouse=True)
    def _own_directory(self, tmp_path: Path) -> None:
        self.directory = tmp_path

    @abc.abstractmethod
    def make_bank(self) -> Bank:
        """A bank that nobody has initialised, over storage of its own."""

    def again(self, bank: Bank) -> Bank:
        """The same storage as another process sees it. Override where a second object can be made."""
        return bank

    @pytest.fixture
    def keeping(self) -> Bank:
        bank = self.make_bank()
        bank.initialise()
        assert bank.capabilities.object_lock
        return bank

    def test_8_what_is_kept_is_neither_deleted_nor_hidden(self, keeping: Bank) -> None:
        keeping.put_own("d/kept", b"1")
        keeping.put_own("d/other", b"2")
        assert keeping.retained("d/kept") is None
        keeping.retain("d/kept", _FAR)
        for seen in (keeping, self.again(keeping)):
            with pytest.raises(errors.ObjectLocked):
                seen.delete("d/kept")
            assert seen.get("d/kept") == b"1"
            found = seen.retained("d/kept")
            assert found is not None and found >= _FAR
        keeping.delete("d/other")
        assert [info.name for info in keeping.list()] == ["d/kept"]
        assert keeping.put_own("d/kept", b"3") is False

    def test_8_nothing_makes_the_time_shorter(self, keeping: Bank) -> None:
        keeping.put_own("a", b"1")
        keeping.retain("a", _FAR)
        keeping.retain("a", _FAR - timedelta(days=1))
        keeping.retain("a", Clock().now() - timedelta(days=1))
        found = keeping.retained("a")
        assert found is not None and found >= _FAR
        keeping.retain("a", _FAR + timedelta(days=1))
        found = keeping.retained("a")
        assert found is not None and found >= _FAR + timedelta(days=1)

    def test_8_when_its_time_has_passed_an_object_can_go_and_is_gone(self, keeping: Bank) -> None:
        keeping.put_own("a", b"1")
        keeping.retain("a", (keeping.now() or Clock().now()) + timedelta(seconds=1))
        for _ in range(600):
            try:
                keeping.delete("a")
                break
            except errors.ObjectLocked:
                threading.Event().wait(0.2)
        assert [info.name for info in keeping.list()] == []
        assert keeping.put_own("a", b"2") is True
        assert keeping.get("a") == b"2"

    def test_8_what_is_not_there_cannot_be_kept(self, keeping: Bank) -> None:
        with pytest.raises(errors.ObjectNotFound):
            keeping.retain("no/where", _FAR)
        with pytest.raises(errors.ObjectNotFound):
            keeping.retained("no/where")
