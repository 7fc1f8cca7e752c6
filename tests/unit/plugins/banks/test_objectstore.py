# SPDX-License-Identifier: Apache-2.0
"""Do banks in object stores list over the pages of a server, keep their identity, and know their own puts?"""

import pytest

from karbor.common.retrying import Passing, Policy
from karbor.model import errors
from karbor.plugins.banks.objectstore import IDENTITY, ObjectStoreBank
from karbor.sdk.bank import ObjectInfo
from karbor.sdk.options import Options


class PagedBank(ObjectStoreBank):
    """A store in memory whose pages have at most three entries; ``lost`` puts take effect without an answer."""

    def __init__(self):
        super().__init__(Options(), policy=Policy(attempts=3, backoff=0), place="memory")
        self.objects, self.lost, self.pages = {}, 0, 0

    def _make_place(self):
        pass

    def _put(self, name, data, mark, *, contended):
        if name in self.objects:
            return False
        self.objects[name] = (data, mark)
        if self.lost:
            self.lost -= 1
            raise Passing(errors.BankUnavailable())
        return True

    def _mark(self, name):
        return self._object(name)[1]

    def _read(self, name, offset, length):
        data = self._object(name)[0]
        return data[offset:] if length is None else data[offset : offset + length]

    def _stat(self, name):
        return ObjectInfo(name, len(self._object(name)[0]), 0.0)

    def _page(self, prefix, after, limit):
        self.pages += 1
        names = sorted(name for name in self.objects if name.startswith(prefix) and name > after)
        return [self._stat(name) for name in names[: min(limit, 3)]]

    def _remove(self, name):
        del self.objects[name]

    def _object(self, name):
        if name not in self.objects:
            raise errors.ObjectNotFound()
        return self.objects[name]


@pytest.fixture
def bank():
    bank = PagedBank()
    bank.initialise()
    return bank


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 6, 7])
def test_a_list_goes_over_the_pages_of_the_server_to_its_limit_or_the_end(bank, count):
    names = [f"a{number}" for number in range(count)]
    for name in names:
        bank.put_own(name, b"")
    for limit in (1, 3, 5, 100):
        assert [info.name for info in bank.list("", "", limit)] == names[:limit]


def test_names_that_begin_with_a_dot_are_no_objects(bank):
    bank.put_own("-first", b"")
    bank.put_own("a", b"")
    assert [info.name for info in bank.list()] == ["-first", "a"]
    with pytest.raises(errors.InvalidInput):
        bank.get(IDENTITY)


def test_a_put_that_had_no_answer_is_known_by_its_mark(bank):
    bank.lost = 1
    assert bank.put_own("a", b"1") is True
    assert bank.put_own("a", b"1") is False


def test_a_bank_that_became_another_one_is_noticed(bank):
    bank.put_own("a", b"1")
    bank.objects[IDENTITY] = (b"6ad0bd52-29ea-4a0c-8d4b-4ac9b2f5c3a8\n", "")
    with pytest.raises(errors.BankUnavailable, match="not the bank it was"):
        bank.get("b")


@pytest.mark.parametrize("left", ["a", "-a"])
def test_objects_without_an_identity_are_no_empty_bank(left):
    bank = PagedBank()
    bank.objects[left] = (b"1", "")
    with pytest.raises(errors.BankUnavailable, match="lost its identity"):
        bank.initialise()


def test_an_identity_that_is_none_is_said_to_be_damaged(bank):
    bank.objects[IDENTITY] = (b"\xff\xfe", "")
    with pytest.raises(errors.BankUnavailable) as caught:
        bank.identity()
    assert "damaged" in caught.value.detail
