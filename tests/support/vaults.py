# SPDX-License-Identifier: Apache-2.0
"""What does a test of the vault start from? Sources in memory or made up, and vaults over memory banks."""

import hashlib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from karbor.common.clock import Clock
from karbor.sdk.bank import Bank
from karbor.sdk.streams import Extent, Kind
from karbor.sdk.testing.memory_bank import MemoryBank
from karbor.vault.domain import Domain
from karbor.vault.keys import MasterKey
from karbor.vault.vault import Vault

KEY = MasterKey(bytes(range(32)))
KIB, MIB, GIB, TIB = 1 << 10, 1 << 20, 1 << 30, 1 << 40


class StillClock(Clock):
    """A clock that goes a second further each time it is looked at."""

    def __init__(self) -> None:
        self.at = datetime(2024, 1, 1, tzinfo=UTC)

    def now(self) -> datetime:
        self.at += timedelta(seconds=1)
        return self.at


class BytesSource:
    """A source over bytes in memory. ``reads`` says which ranges were asked for."""

    def __init__(self, data: bytes, extents: Sequence[Extent] | None = None) -> None:
        self.size = len(data)
        self.data = bytes(data)
        self._extents = extents if extents is not None else full(len(data))
        self.reads: list[tuple[int, int]] = []

    def extents(self) -> Iterator[Extent]:
        return iter(self._extents)

    def read(self, offset: int, length: int) -> bytes:
        self.reads.append((offset, length))
        return self.data[offset : offset + length]


class MadeUpSource:
    """A source of any size whose data follows from the offset and a seed, 64 KiB at a time."""

    def __init__(self, size: int, extents: Sequence[Extent], *, seed: str) -> None:
        self.size = size
        self._extents = extents
        self._seed = seed
        self.read_bytes = 0

    def extents(self) -> Iterator[Extent]:
        return iter(self._extents)

    def read(self, offset: int, length: int) -> bytes:
        self.read_bytes += length
        return made_up(offset, length, self._seed)


def made_up(offset: int, length: int, seed: str) -> bytes:
    """``length`` bytes that do not compress; offset and length in 64 KiB."""
    assert offset % 65536 == 0 == length % 65536
    blocks = range(offset // 65536, (offset + length) // 65536)
    return b"".join(hashlib.shake_128(f"{seed} {block}".encode()).digest(65536) for block in blocks)


def full(size: int) -> list[Extent]:
    return [Extent(0, size, Kind.DATA)] if size else []


def parts(size: int, data: Sequence[tuple[int, int]], *, rest: Kind) -> list[Extent]:
    """Extents of DATA at (offset, length), everything else of one kind."""
    found = []
    end = 0
    for offset, length in data:
        if offset > end:
            found.append(Extent(end, offset - end, rest))
        found.append(Extent(offset, length, Kind.DATA))
        end = offset + length
    if end < size:
        found.append(Extent(end, size - end, rest))
    return found


def nothing(_: int) -> None:
    """An ``advance`` for those who do not look."""


def memory_bank() -> MemoryBank:
    bank = MemoryBank()
    bank.initialise()
    return bank


def open_vault(bank: Bank, cache_dir: Path, *, key: MasterKey = KEY, threads: int = 2) -> Vault:
    return Vault(bank, master_key=key, cache_dir=cache_dir, clock=StillClock(), threads=threads)


def content_of(domain: Domain, stream_id: str) -> bytes:
    reader = domain.open_stream(stream_id)
    return reader.read(0, reader.size)
