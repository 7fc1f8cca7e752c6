# SPDX-License-Identifier: Apache-2.0
"""Does a bank keep its conditions? Subclass BankSuite, say how one is made, and run pytest:

    class TestMyBank(BankSuite):
        def make_bank(self) -> Bank:
            return MyBank(MyBank.Settings(place=str(self.directory)))

Test names carry the number of the condition in ``karbor.sdk.bank`` that they try.
"""

import abc
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from karbor.model import errors
from karbor.sdk.bank import Bank

WRONG_NAMES = (
    *("", "/", "/a", "a/", "a//b", "..", "../a", "a/..", "a/../b", ".", "./a", "a/.", ".hidden", "a/.hidden"),
    *("a b", "a\x00b", "a\nb", "a\\b", "ä", "a*", "x" * 513),
)
_WRITERS = 8


class BankSuite(abc.ABC):
    """The conditions as tests. ``directory`` is an empty directory of each test, for banks that want one."""

    directory: Path
    races = 10  # rounds; fewer for a bank that takes long to tell who won

    @pytest.fixture(autouse=True)
    def _own_directory(self, tmp_path: Path) -> None:
        self.directory = tmp_path

    @abc.abstractmethod
    def make_bank(self) -> Bank:
        """A bank that nobody has initialised, over storage of its own."""

    def again(self, bank: Bank) -> Bank:
        """The same storage as another process sees it. Override where a second object can be made."""
        return bank

    def contended(self, bank: Bank) -> Bank:
        """The same storage, as it is set where writers meet. Override where the other tests are in a hurry."""
        return bank

    @pytest.fixture
    def fresh(self) -> Bank:
        return self.make_bank()

    @pytest.fixture
    def bank(self, fresh: Bank) -> Iterator[Bank]:
        fresh.initialise()
        yield fresh

    # 1. Write once

    @pytest.mark.parametrize("first", ["put_if_absent", "put_own"])
    @pytest.mark.parametrize("second", ["put_if_absent", "put_own"])
    def test_1_the_first_content_stays(self, bank: Bank, first: str, second: str) -> None:
        assert getattr(bank, first)("a/b", b"first") is True
        assert getattr(bank, second)("a/b", b"second") is False
        assert bank.get("a/b") == b"first"

    def test_1_content_in_parts_is_the_same_content(self, bank: Bank) -> None:
        parts = [b"one", b"", b"two" * 50_000, b"three"]
        assert bank.put_own_parts("a/parts", parts) is True
        assert bank.put_own_parts("a/parts", [b"other"]) is False
        assert bank.get("a/parts") == b"".join(parts)

    def test_1_of_several_writers_exactly_one_wins(self, bank: Bank) -> None:
        bank = self.contended(bank)
        for round_ in range(self.races):
            name, start = f"race/{round_}", threading.Barrier(_WRITERS)

            def write(number: int, name: str = name, start: threading.Barrier = start) -> tuple[bool, bytes]:
                start.wait(30)
                return bank.put_if_absent(name, bytes([number]) * 1000), bank.get(name)

            with ThreadPoolExecutor(_WRITERS) as pool:
                answers = list(pool.map(write, range(_WRITERS)))
            won = [answer[0] for answer in answers]
            assert won.count(True) == 1
            # Losers see what the winner put, from the moment on when they know that they lost.
            assert {answer[1] for answer in answers} == {bytes([won.index(True)]) * 1000}

    def test_1_writers_of_the_same_content_may_meet(self, bank: Bank) -> None:
        start = threading.Barrier(_WRITERS)

        def write(_number: int) -> bytes:
            start.wait(30)
            bank.put_own("made/from/content", b"equal" * 1000)
            return bank.get("made/from/content")

        with ThreadPoolExecutor(_WRITERS) as pool:
            assert set(pool.map(write, range(_WRITERS))) == {b"equal" * 1000}

    def test_1_a_deleted_name_can_be_used_again(self, bank: Bank) -> None:
        bank.put_own("a", b"old")
        bank.delete("a")
        assert bank.put_own("a", b"new") is True
        assert bank.get("a") == b"new"

    def test_1_one_of_several_that_make_the_bank_makes_it(self, fresh: Bank) -> None:
        fresh = self.contended(fresh)
        makers = [fresh, *(self.again(fresh) for _ in range(3))]
        with ThreadPoolExecutor(len(makers)) as pool:
            made = set(pool.map(lambda maker: maker.initialise(), makers))
        assert len(made) == 1
        assert {maker.identity() for maker in makers} == made

    # 2. All or nothing

    def test_2_a_reader_never_sees_a_part(self, bank: Bank) -> None:
        content = bytes(range(256)) * 4096
        seen: list[int] = []
        done = threading.Event()

        reads: tuple[Callable[[], int], ...] = (
            lambda: bank.stat("big/object").size,
            lambda: len(bank.get("big/object")),
        )

        def look() -> None:
            while not done.is_set():
                seen.extend(info.size for info in bank.list("big/"))
                for read in reads:
                    try:
                        seen.append(read())
                    except errors.ObjectNotFound:
                        continue

        reader = threading.Thread(target=look)
        reader.start()
        try:
            for _ in range(10):
                bank.put_own("big/object", content)
                bank.delete("big/object")
            bank.put_own("big/object", content)
        finally:
            done.set()
            reader.join()
        assert set(seen) <= {len(content)}

    def test_2_an_empty_object_is_an_object(self, bank: Bank) -> None:
        assert bank.put_own("empty", b"") is True
        assert bank.get("empty") == b""
        assert bank.stat("empty").size == 0
        assert [info.name for info in bank.list()] == ["empty"]

    def test_2_a_large_object_comes_back_whole(self, bank: Bank) -> None:
        content = bytes(range(251)) * 80_000  # about 20 MB
        bank.put_own("large", content)
        assert bank.get("large") == content

    # 4. Read after write

    def test_4_what_was_put_is_found_at_once_by_everybody(self, bank: Bank) -> None:
        bank.put_own("d/x/pack/00/1", b"12345")
        for view in (bank, self.again(bank)):
            assert view.get("d/x/pack/00/1") == b"12345"
            assert view.stat("d/x/pack/00/1").size == 5
            assert [(info.name, info.size) for info in view.list("d/")] == [("d/x/pack/00/1", 5)]
            assert view.identity() == bank.identity()

    def test_4_what_was_deleted_is_gone_for_everybody(self, bank: Bank) -> None:
        bank.put_own("a/b", b"1")
        bank.delete("a/b")
        bank.delete("a/b")
        for view in (bank, self.again(bank)):
            assert list(view.list()) == []
            with pytest.raises(errors.ObjectNotFound):
                view.get("a/b")

    def test_4_any_range_can_be_read(self, bank: Bank) -> None:
        bank.put_own("a", b"0123456789")
        assert bank.get("a", 3) == b"3456789"
        assert bank.get("a", 3, 4) == b"3456"
        assert bank.get("a", 8, 100) == b"89"
        assert bank.get("a", 0, 0) == b""
        assert bank.get("a", 10, 5) == b""
        assert bank.get("a", 99, 5) == b""

    def test_4_bytes_are_put_where_they_are_wanted(self, bank: Bank) -> None:
        bank.put_if_absent("a", b"0123456789")
        for offset, size in ((0, 10), (0, 4), (3, 4), (8, 100), (10, 5), (99, 5), (0, 0)):
            room = bytearray(b"." * (size + 2))
            count = bank.get_into("a", memoryview(room)[1 : size + 1], offset)
            wanted = b"0123456789"[offset : offset + size]
            assert (count, bytes(room[1 : count + 1])) == (len(wanted), wanted)
            assert room[:1] == room[-1:] == b"."
        with pytest.raises(errors.ObjectNotFound):
            bank.get_into("b", memoryview(bytearray(5)))

    # 5. Ordered lists

    def test_5_lists_are_in_byte_order(self, bank: Bank) -> None:
        names = ["a-b", "a.b", "a/b", "a/b-c", "a0", "A", "Z/1", "_", "a/c/d", "b", "a/b_c/d", "-"]
        for name in names:
            bank.put_own(name, name.encode())
        assert [info.name for info in bank.list()] == sorted(names)
        assert [info.size for info in bank.list()] == [len(name) for name in sorted(names)]

    def test_5_a_prefix_is_any_beginning(self, bank: Bank) -> None:
        for name in ("ab/c1", "ab/c2", "ab/d", "abc/c1", "b"):
            bank.put_own(name, b"")
        assert [info.name for info in bank.list("ab/c")] == ["ab/c1", "ab/c2"]
        assert [info.name for info in bank.list("ab")] == ["ab/c1", "ab/c2", "ab/d", "abc/c1"]
        assert list(bank.list("x")) == []

    def test_5_pages_visit_each_object_once(self, bank: Bank) -> None:
        names = sorted(f"p/{number % 7}/{number:03d}" for number in range(60))
        for name in names:
            bank.put_own(name, b"")
        for limit in (1, 7, 59, 60, 61):
            assert _paged(bank, "p/", limit) == names
        assert [info.name for info in bank.list("p/", "p/3", 1)] == ["p/3/003"]

    def test_5_after_need_not_exist(self, bank: Bank) -> None:
        for name in ("a", "c", "e/f"):
            bank.put_own(name, b"")
        assert [info.name for info in bank.list("", "b")] == ["c", "e/f"]
        assert [info.name for info in bank.list("", "e")] == ["e/f"]
        assert list(bank.list("", "zzz")) == []

    def test_5_what_stays_is_seen_while_other_objects_come_and_go(self, bank: Bank) -> None:
        staying = [f"p/{number:03d}-stays" for number in range(0, 60, 2)]
        for name in staying:
            bank.put_own(name, b"")
        done = threading.Event()

        def change() -> None:
            number = 0
            while not done.is_set():
                number = (number + 7) % 60
                bank.put_own(f"p/{number:03d}-goes", b"")
                bank.delete(f"p/{(number + 14) % 60:03d}-goes")

        changer = threading.Thread(target=change)
        changer.start()
        try:
            for limit in (1, 7, 100):
                found = _paged(bank, "p/", limit)
                assert [name for name in found if name.endswith("stays")] == staying
                assert found == sorted(set(found))
        finally:
            done.set()
            changer.join()

    def test_5_of_an_object_and_the_next_one_behind_it_one_is_always_seen(self, bank: Bank) -> None:
        bank.put_own("lease/00000", b"")
        done = threading.Event()

        def renew() -> None:
            number = 0
            while not done.is_set():
                number += 1
                bank.put_own(f"lease/{number:05d}", b"")
                bank.delete(f"lease/{number - 1:05d}")

        owner = threading.Thread(target=renew)
        owner.start()
        try:
            for _ in range(50):
                assert bank.list("lease/", "", 1)  # no further pages: the owner may renew faster than we list
        finally:
            done.set()
            owner.join()

    # 6. Honest errors

    def test_6_a_missing_object_is_said_to_be_missing(self, bank: Bank) -> None:
        bank.put_own("there/too", b"")
        for call in (bank.get, bank.stat):
            for name in ("nothing", "there/not", "not/there"):
                with pytest.raises(errors.ObjectNotFound):
                    call(name)

    def test_6_wrong_names_are_refused_by_every_method(self, bank: Bank) -> None:
        calls: list[Callable[[str], object]] = [bank.get, bank.stat, bank.delete, *_puts(bank)]
        for name in WRONG_NAMES:
            for call in calls:
                with pytest.raises(errors.InvalidInput):
                    call(name)
        assert list(bank.list()) == []

    def test_6_a_long_name_is_a_name(self, bank: Bank) -> None:
        name = "/".join(["n" * 127] * 4)
        bank.put_own(name, b"1")
        assert [info.name for info in bank.list()] == [name]

    def test_6_a_bank_that_is_not_there_says_so(self, fresh: Bank) -> None:
        calls: list[Callable[[], object]] = [
            fresh.identity,
            *(partial(put, "a") for put in _puts(fresh)),
            lambda: fresh.get("a"),
            lambda: fresh.stat("a"),
            fresh.list,
            lambda: fresh.delete("a"),
        ]
        for call in calls:
            with pytest.raises(errors.BankUnavailable):
                call()

    def test_6_initialise_keeps_what_is_there(self, bank: Bank) -> None:
        identity = bank.identity()
        bank.put_own("a", b"1")
        assert bank.initialise() == identity == self.again(bank).initialise()
        assert bank.get("a") == b"1"

    # 7. Threads

    def test_7_many_threads_do_many_things(self, bank: Bank) -> None:
        def work(number: int) -> bytes:
            for step in range(20):
                bank.put_own(f"t/{number}/{step}", b"%d-%d" % (number, step))
            assert len(_paged(bank, f"t/{number}/", 7)) == 20
            bank.delete(f"t/{number}/0")
            return bank.get(f"t/{number}/7")

        with ThreadPoolExecutor(_WRITERS) as pool:
            assert list(pool.map(work, range(_WRITERS))) == [b"%d-7" % number for number in range(_WRITERS)]
        assert len(_paged(bank, "t/", 100)) == _WRITERS * 19


def _paged(bank: Bank, prefix: str, limit: int) -> list[str]:
    found: list[str] = []
    while True:
        page = [info.name for info in bank.list(prefix, found[-1] if found else "", limit)]
        found += page
        if len(page) < limit:
            return found


def _puts(bank: Bank) -> list[Callable[[str], object]]:
    return [lambda name: bank.put_if_absent(name, b""), lambda name: bank.put_own(name, b"")]
