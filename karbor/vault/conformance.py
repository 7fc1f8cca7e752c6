# SPDX-License-Identifier: Apache-2.0
"""Does somebody's store keep the conditions of a bank, tried on the store itself, before it is trusted?

The conditions are those of karbor.sdk.bank. All objects lie below one prefix of the run, which is empty again when the
run has ended. A store that fails one of them loses backups, sooner or later.
"""

import secrets
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

from karbor.common.clock import Clock
from karbor.common.waiting import wait_for
from karbor.model import errors
from karbor.sdk.bank import MAX_NAME, Bank
from karbor.vault import format

_WRITERS = 8
_ROUNDS = 5
_KIB, _MIB = 1 << 10, 1 << 20
_LAG_SECONDS = 60.0  # until what is not listed counts as never listed
_SKEW_SECONDS = 300.0


@dataclass(frozen=True)
class Finding:
    """What came of one condition. ``number`` is that of karbor.sdk.bank, 0 for none of them; ``said`` why it is broken,
    or what was measured; ``seconds`` how long it took."""

    number: int
    condition: str
    kept: bool
    said: str
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


class _Broken(Exception):
    """The store did something else; the text says what."""


def _require(holds: bool, said: str) -> None:  # noqa: FBT001 - reads as a sentence
    if not holds:
        raise _Broken(said)


class Conformance:
    """One run over two views of a store, as two processes see it. ``large`` is the size of the largest object."""

    def __init__(self, bank: Bank, other: Bank, *, clock: Clock, large: int = 64 * _MIB) -> None:
        self._bank, self._other = bank, other
        self._clock = clock
        self._large = large
        self._prefix = f"{format.probe_name(secrets.token_hex(16))}/"
        self._used: dict[str, None] = {}  # names, for the end: a slow list may not show them all
        self._lag = max(bank.capabilities.list_lag, 0.0)

    def run(self) -> Iterator[Finding]:
        """Try each condition. Raises what the store raises where nothing can be tried, or not be cleaned up."""
        try:
            for number, text, attempt in self._conditions():
                begun = self._clock.monotonic()
                try:
                    kept, said = True, attempt() or ""
                except _Broken as fault:
                    kept, said = False, str(fault)
                except errors.KarborError as fault:
                    kept, said = False, fault.operator_text()
                yield Finding(number, text, kept, said, round(self._clock.monotonic() - begun, 3))
        finally:
            self._clean()

    def _conditions(self) -> Sequence[tuple[int, str, Callable[[], str | None]]]:
        return (
            (1, "the first content stays", self._first_stays),
            (1, "of several writers exactly one wins", self._one_wins),
            (1, "a deleted name can be used again", self._used_again),
            (2, "no reader sees a part of an object", self._whole_or_nothing),
            (2, "an empty object is an object", self._empty),
            (2, "a large object comes back whole", self._large_object),
            (4, "what was put is found at once by everybody", self._found_at_once),
            (4, "what was deleted is gone for everybody", self._gone_at_once),
            (4, "any range can be read", self._ranges),
            (4, "lists show what was put and deleted", self._list_lag),
            (5, "lists are in byte order, and their pages hold each object once", self._ordered),
            (6, "a missing object is said to be missing", self._missing),
            (6, "names keep their case and their length", self._names),
            (7, "many threads do many things", self._threads),
            (0, "the clock of the store is that of this host", self._time),
        )

    def _name(self, text: str) -> str:
        name = self._prefix + text
        self._used[name] = None
        return name

    def _first_stays(self) -> None:
        for first, second in (("put_if_absent", "put_own"), ("put_own", "put_if_absent"), ("put_own", "put_own")):
            name = self._name(f"first/{first}-{second}")
            _require(getattr(self._bank, first)(name, b"first") is True, f"{first} of a new name was refused")
            _require(getattr(self._other, second)(name, b"second") is False, f"{second} of a taken name was told True")
            _require(self._bank.get(name) == b"first", f"{second} replaced what was there")

    def _one_wins(self) -> None:
        for round_ in range(_ROUNDS):
            name, start = self._name(f"race/{round_}"), threading.Barrier(_WRITERS)

            def write(number: int, name: str = name, start: threading.Barrier = start) -> tuple[bool, bytes]:
                bank = self._bank if number % 2 else self._other
                start.wait(60)
                return bank.put_if_absent(name, bytes([number]) * _KIB), bank.get(name)

            with ThreadPoolExecutor(_WRITERS) as pool:
                answers = list(pool.map(write, range(_WRITERS)))
            won = [told for told, _seen in answers]
            _require(won.count(True) == 1, f"{won.count(True)} of {_WRITERS} writers were told that they made it")
            wanted = bytes([won.index(True)]) * _KIB
            _require({seen for _told, seen in answers} == {wanted}, "a writer read another content than the winner's")

    def _used_again(self) -> None:
        name = self._name("again")
        self._bank.put_own(name, b"old")
        self._bank.delete(name)
        _require(self._bank.put_own(name, b"new"), "the name of a deleted object was refused")
        _require(self._other.get(name) == b"new", "the old content came back")

    def _whole_or_nothing(self) -> None:
        name, content, done = self._name("whole"), secrets.token_bytes(_MIB), threading.Event()
        parts: list[int] = []

        def look() -> None:
            while not done.is_set():
                try:
                    parts.append(len(self._other.get(name)))
                except errors.ObjectNotFound:
                    continue
                except errors.KarborError:
                    return

        with ThreadPoolExecutor(1) as pool:
            looking = pool.submit(look)
            try:
                for _round in range(_ROUNDS):
                    self._bank.put_own(name, content)
                    self._bank.delete(name)
            finally:
                done.set()
            looking.result()
        wrong = set(parts) - {len(content)}
        _require(not wrong, f"a reader saw {sorted(wrong)[:3]} of {len(content)} bytes")

    def _empty(self) -> None:
        name = self._name("empty")
        _require(self._bank.put_own(name, b""), "it was refused")
        _require(self._other.get(name) == b"" and self._other.stat(name).size == 0, "it is not there, or not empty")

    def _large_object(self) -> str:
        name, piece = self._name("large"), secrets.token_bytes(_MIB)
        content = piece * (self._large // _MIB)
        begun = self._clock.monotonic()
        _require(self._bank.put_own(name, content), "it was refused")
        put = self._clock.monotonic()
        _require(self._other.get(name) == content, "it came back changed")
        got = self._clock.monotonic()
        self._bank.delete(name)
        mib = len(content) / _MIB
        return f"{mib:.0f} MiB: put {mib / (put - begun):.0f} MiB/s, read {mib / (got - put):.0f} MiB/s"

    def _found_at_once(self) -> None:
        for number in range(10):
            name = self._name(f"found/{number}")
            self._bank.put_own(name, b"12345")
            for view in (self._other, self._bank):
                _require(view.get(name) == b"12345" and view.stat(name).size == 5, "it was not found as it was put")

    def _gone_at_once(self) -> None:
        for number in range(10):
            name = self._name(f"gone/{number}")
            self._bank.put_own(name, b"12345")
            self._bank.delete(name)
            self._bank.delete(name)
            for view in (self._other, self._bank):
                _require(_is_missing(view, name), "it could still be read")

    def _ranges(self) -> None:
        name, data = self._name("ranges"), secrets.token_bytes(100_000)
        self._bank.put_own(name, data)
        spans = ((0, 1), (0, 100_000), (99_999, 5), (70_000, 12_345), (100_000, 5), (200_000, 5), (5, 0))
        for offset, length in spans:
            got = self._other.get(name, offset, length)
            _require(got == data[offset : offset + length], f"wrong bytes at {offset} of length {length}")
        _require(self._other.get(name, 65_536) == data[65_536:], "wrong bytes from the middle to the end")

    def _list_lag(self) -> str:
        name = self._name("lag")
        self._bank.put_own(name, b"1")
        shown = self._seconds_until(lambda: self._listed(name))
        self._bank.delete(name)
        hidden = self._seconds_until(lambda: not self._listed(name))
        slowest = max(shown, hidden)
        _require(slowest <= self._lag + 1, f"it took {slowest:.1f} s, and the bank is set to {self._lag:.0f} s")
        return f"after {slowest:.1f} s; the bank is set to {self._lag:.0f} s"

    def _listed(self, name: str) -> bool:
        return any(info.name == name for info in self._other.list(name))

    def _seconds_until(self, done: Callable[[], bool]) -> float:
        begun = self._clock.monotonic()
        found = wait_for(
            lambda: done() or None, clock=self._clock, seconds=_LAG_SECONDS, check=lambda: None, first=0.1, longest=1.0
        )
        _require(bool(found), f"not within {_LAG_SECONDS:.0f} s")
        return self._clock.monotonic() - begun

    def _ordered(self) -> None:
        names = [self._name(f"list/{text}") for text in ("a-b", "a.b", "a/b", "a/b-c", "a0", "A", "Z/1", "_", "-")]
        names += [self._name(f"list/p/{number:03d}") for number in range(30)]
        for name in reversed(names):
            self._bank.put_own(name, b"x")
        self._seconds_until(lambda: len(self._pages(self._prefix + "list/", 1000)) == len(names))
        for limit in (1, 7, 39, 40):
            found = self._pages(self._prefix + "list/", limit)
            _require(found == sorted(names), f"pages of {limit} do not hold each object once, in order")
        found = [info.name for info in self._other.list(self._prefix + "list/p/", self._prefix + "list/p/0105", 2)]
        _require(found == [self._name("list/p/011"), self._name("list/p/012")], "a page began at another place")

    def _pages(self, prefix: str, limit: int) -> list[str]:
        found: list[str] = []
        while True:
            page = [info.name for info in self._other.list(prefix, found[-1] if found else "", limit)]
            found += page
            if len(page) < limit or len(found) > _KIB:
                return found

    def _missing(self) -> None:
        for name in ("nothing", "not/there"):
            _require(_is_missing(self._bank, self._name(name)), "it was found")

    def _names(self) -> None:
        lower, upper = self._name("case/abc"), self._name("case/ABC")
        self._bank.put_own(lower, b"lower")
        _require(self._bank.put_own(upper, b"upper"), "a name that differs in case only was taken")
        _require(self._other.get(lower) == b"lower", "names that differ in case only are one object")
        stem = self._prefix + "long/"
        long = self._name("long/" + "/".join(["n" * 100] * 5)[: MAX_NAME - len(stem)].rstrip("/"))
        _require(self._bank.put_own(long, b"1"), f"a name of {len(long)} characters was refused")
        _require(self._other.get(long) == b"1", f"a name of {len(long)} characters was not found")

    def _threads(self) -> str:
        def work(number: int) -> int:
            bank = self._bank if number % 2 else self._other
            for name in names[number * 10 : (number + 1) * 10]:
                data = secrets.token_bytes(_KIB)
                bank.put_own(name, data)
                _require(bank.get(name) == data, "another thread's content came back")
            return 10

        names = [self._name(f"threads/{number}/{step}") for number in range(_WRITERS) for step in range(10)]
        begun = self._clock.monotonic()
        with ThreadPoolExecutor(_WRITERS) as pool:
            done = sum(pool.map(work, range(_WRITERS)))
        return f"{done / (self._clock.monotonic() - begun):.0f} small objects put and read in a second"

    def _time(self) -> str:
        name = self._name("time")
        before = self._clock.now().timestamp()
        self._bank.put_own(name, b"1")
        behind = self._bank.stat(name).modified - (before + self._clock.now().timestamp()) / 2
        _require(abs(behind) <= _SKEW_SECONDS, f"they are {behind:.0f} s apart")
        return f"{abs(behind):.0f} s apart"

    def _clean(self) -> None:
        """Remove everything of this run."""
        with ThreadPoolExecutor(_WRITERS) as pool:
            list(pool.map(self._bank.delete, self._used))


def _is_missing(bank: Bank, name: str) -> bool:
    try:
        bank.get(name)
    except errors.ObjectNotFound:
        return True
    return False
