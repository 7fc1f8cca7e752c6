# SPDX-License-Identifier: Apache-2.0
"""How fast can one core of this machine do what a backup and a restore consist of, and nothing else?"""

import os
import tempfile
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
READ, ZSTD, BLAKE3, XXH3 = "read, from the page cache", "zstd -1", "BLAKE3", "XXH3 of pages"
AES, UNZSTD, WRITE = "AES-256-GCM", "zstd, back", "write, to the page cache"


def limits(disk: Path) -> tuple[dict[str, float], float]:
    """Bytes per CPU second of each step over the first 256 MiB of a disk's data, in pieces of 64 KiB, on one core; and
    the part that zstd leaves.

    Nothing that a step makes is kept: with fresh memory for all of it, one would measure the memory.
    """
    places = list(_pieces(disk))
    total = sum(size for _, size in places)
    room = memoryview(bytearray(_PIECE))
    found: dict[str, float] = {}
    with disk.open("rb", buffering=0) as file, tempfile.TemporaryFile(dir=disk.parent) as copy:
        handle = file.fileno()
        found[READ] = total / _seconds(lambda: [os.preadv(handle, [room[:size]], at) for at, size in places])
        parts = [os.pread(handle, size, at) for at, size in places]
        found[WRITE] = total / _seconds(lambda: [os.write(copy.fileno(), part) for part in parts])
    shrink, grow = zstandard.ZstdCompressor(level=1).compress, zstandard.ZstdDecompressor().decompress
    small: list[bytes] = [shrink(part) for part in parts]
    found[ZSTD] = total / _seconds(lambda: [len(shrink(part)) for part in parts])
    found[UNZSTD] = total / _seconds(lambda: [len(grow(part)) for part in small])
    found[BLAKE3] = total / _seconds(lambda: [blake3(part, key=bytes(32)).digest(16) for part in parts])
    cipher = AESGCM(bytes(32))
    found[AES] = total / _seconds(lambda: [len(cipher.encrypt(bytes(12), part, b"")) for part in parts])
    views = [memoryview(part) for part in parts]
    found[XXH3] = total / _seconds(
        lambda: [xxh3_64_intdigest(view[at : at + _PAGE]) for view in views for at in range(0, len(view), _PAGE)]
    )
    return found, sum(map(len, small)) / total


def together(speed: dict[str, float], left: float) -> tuple[float, float]:
    """(full backup, restore): bytes per CPU second, where every byte goes through all steps. A full reads back what it
    wrote; what compression left is ``left`` of a byte."""
    stored = left / speed[WRITE] + left / speed[AES]
    opened = left / speed[READ] + left / speed[AES] + 1 / speed[UNZSTD]
    full = sum(1 / speed[step] for step in (READ, XXH3, BLAKE3, ZSTD)) + stored + opened + 1 / speed[BLAKE3]
    return 1 / full, 1 / (opened + 1 / speed[WRITE])


def _pieces(disk: Path) -> Iterator[tuple[int, int]]:
    left = _SAMPLE
    for offset, length in data_ranges(disk):
        for at in range(offset, offset + length, _PIECE):
            if left <= 0:
                return
            size = min(_PIECE, offset + length - at)
            left -= size
            yield at, size


def _seconds(work: Callable[[], object]) -> float:
    """CPU seconds of this thread."""
    spent = time.thread_time()
    work()
    return time.thread_time() - spent
