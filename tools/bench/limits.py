# SPDX-License-Identifier: Apache-2.0
"""How fast can one core of this machine do what a backup consists of, and nothing else?"""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import zstandard
from blake3 import blake3
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from xxhash import xxh3_64_intdigest

from tools.bench.disk import data_ranges

_PIECE, _PAGE = 64 << 10, 4096
_SAMPLE = 256 << 20


def limits(disk: Path) -> dict[str, float]:
    """Bytes per CPU second of each step over the first 256 MiB of a disk's data, in pieces of 64 KiB, on one core.

    ``"compressed to"`` is the part that zstd leaves.
    """
    found: dict[str, float] = {}
    handle = os.open(disk, os.O_RDONLY)
    ranges = list(_pieces(disk))
    parts: list[bytes] = []
    found["read, from the page cache"] = _speed(
        lambda: parts.extend(os.pread(handle, n, at) for at, n in ranges), ranges
    )
    os.close(handle)
    compressor, cipher = zstandard.ZstdCompressor(level=1), AESGCM(bytes(32))
    small: list[bytes] = []
    found["zstd -1"] = _speed(lambda: small.extend(compressor.compress(one) for one in parts), ranges)
    found["blake3"] = _speed(lambda: [blake3(one, key=bytes(32)).digest(16) for one in parts], ranges)
    found["AES-256-GCM"] = _speed(lambda: [cipher.encrypt(bytes(12), one, b"") for one in parts], ranges)
    views = [memoryview(one) for one in parts]
    found["XXH3 of pages"] = _speed(
        lambda: [xxh3_64_intdigest(view[at : at + _PAGE]) for view in views for at in range(0, len(view), _PAGE)],
        ranges,
    )
    found["compressed to"] = sum(map(len, small)) / sum(map(len, parts))
    return found


def _pieces(disk: Path) -> Iterator[tuple[int, int]]:
    left = _SAMPLE
    for offset, length in data_ranges(disk):
        for at in range(offset, offset + length, _PIECE):
            if left <= 0:
                return
            size = min(_PIECE, offset + length - at)
            left -= size
            yield at, size


def _speed(work: Callable[[], object], ranges: list[tuple[int, int]]) -> float:
    spent = time.thread_time()
    work()
    return sum(length for _, length in ranges) / (time.thread_time() - spent)
