# SPDX-License-Identifier: Apache-2.0
"""Is a pack in the bank what was sealed? It is read, opened, and all its chunks are named anew.

Packs of a long stream are proven while the next ones are still being made: a second processor would be idle otherwise.
What was found then spares the proof at the end reading them again, once.
"""

import logging
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from karbor.model import errors
from karbor.sdk.bank import Bank
from karbor.vault import format
from karbor.vault.codec import Codec, open_chunk
from karbor.vault.pack import Directory, Entry, directory_span, open_directory

LOG = logging.getLogger(__name__)

_PORTION = 4 << 20  # sealed bytes that are read at once
_END = 64 << 10  # where the directory of a usual pack lies
_REMEMBERED = 1 << 18  # packs: 4 TiB of them


class PackProof:
    """Proves packs of one domain, a few MiB at a time. Thread-safe."""

    def __init__(self, bank: Bank, *, prefix: str, codec: Codec) -> None:
        self._bank = bank
        self._prefix = prefix
        self._codec = codec
        self._per_thread = threading.local()  # room that is used again: fresh memory costs more than the reading

    def read(self, pack_id: bytes) -> int:
        """The bytes of the pack. Raises ObjectNotFound, and IntegrityError for any byte that is not as written."""
        name = self._prefix + format.pack_name(pack_id)
        size = self._bank.stat(name).size
        if size < format.HEADER_SIZE + format.TAIL_SIZE:
            raise errors.IntegrityError(detail="too short")
        directory = self._directory(pack_id, name, size)
        cipher = self._codec.cipher(pack_id)
        for entries in _portions(directory.entries):
            first, last = entries[0], entries[-1]
            data = self._data(name, first.offset, last.offset + last.stored - first.offset)
            for entry in entries:
                at = entry.offset - first.offset
                shape = {"flags": entry.flags, "size": entry.size, "offset": entry.offset}
                plain = open_chunk(cipher, entry.id, **shape, sealed=data[at : at + entry.stored])
                if self._codec.chunk_id(plain, flags=entry.flags) != entry.id:
                    raise errors.IntegrityError(detail=f"chunk {entry.id.hex()} is not what it says")
        return size

    def _directory(self, pack_id: bytes, name: str, size: int) -> Directory:
        start = max(size - _END, 0)
        end = self._bank.get(name, start, size - start)
        offset, length = directory_span(size, end[-format.TAIL_SIZE :])
        sealed = end[offset - start :][:length] if offset >= start else self._bank.get(name, offset, length)
        header = self._bank.get(name, 0, format.HEADER_SIZE)
        directory = open_directory(self._codec, pack_id, header=header, sealed=sealed)
        if format.HEADER_SIZE + sum(entry.stored for entry in directory.entries) != offset:
            raise errors.IntegrityError(detail="directory and length disagree")
        return directory

    def _data(self, name: str, offset: int, length: int) -> memoryview:
        room: memoryview | None = getattr(self._per_thread, "room", None)
        if room is None or len(room) < length:
            room = self._per_thread.room = memoryview(bytearray(max(length, _PORTION)))
        return room[: self._bank.get_into(name, room[:length], offset)]


def _portions(entries: Sequence[Entry]) -> Iterator[Sequence[Entry]]:
    """What is read at once: so many bytes, or a single chunk that is larger."""
    at = 0
    for number, entry in enumerate(entries):
        if number > at and entry.offset + entry.stored - entries[at].offset > _PORTION:
            yield entries[at:number]
            at = number
    if entries:
        yield entries[at:]


class Proven:
    """Packs that were proven since they were put. Thread-safe; what is too much is forgotten, and read once more."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._packs: OrderedDict[bytes, None] = OrderedDict()

    def add(self, pack_id: bytes) -> None:
        with self._lock:
            self._packs[pack_id] = None
            while len(self._packs) > _REMEMBERED:
                self._packs.popitem(last=False)

    def take(self, pack_id: bytes) -> bool:
        """Whether the pack was proven. True once: who asks again wants to know how it is by then."""
        with self._lock:
            return self._packs.pop(pack_id, self) is None


class EarlyProof:
    """Proves packs in a thread of its own, one after the other, until it is ended."""

    def __init__(self, proof: PackProof, proven: Proven) -> None:
        self._proof = proof
        self._proven = proven
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="vault-prove")

    def submit(self, pack_id: bytes) -> None:
        """Prove a pack that is in the bank, sometime."""
        self._pool.submit(self._prove, pack_id)

    def end(self) -> None:
        """Prove no more. Waits for the pack that is being read."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _prove(self, pack_id: bytes) -> None:
        try:
            self._proof.read(pack_id)
        except errors.KarborError as fault:
            # The proof at the end reads it again, and what to do then is decided there.
            LOG.warning("pack does not prove pack=%s cause=%s", pack_id.hex(), fault.detail)
            return
        self._proven.add(pack_id)
