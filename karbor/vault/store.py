# SPDX-License-Identifier: Apache-2.0
"""How is a chunk found by its name and read back, proven?"""

import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from karbor.model import errors
from karbor.sdk.bank import Bank
from karbor.vault import format
from karbor.vault.codec import Codec, open_chunk
from karbor.vault.index import Index, Location
from karbor.vault.indexobjects import IndexObjects
from karbor.vault.keys import DomainKeys
from karbor.vault.proof import Proven
from karbor.vault.rooms import Rooms

_GAP = 64 << 10  # reading this many useless bytes costs less than one more request
REQUEST = 4 << 20  # bytes of one, unless a single chunk is larger
READS = 8  # requests of all restores from a vault together
AHEAD = 2  # windows of one stream that are read while others are compressed
_NODE_CACHE = 4 << 20
#: Packs under way besides those that are filled, of all streams together: the bound of memory.
UPLOADS = 3

#: Chunks that are read with one request: where each lies, and its id.
Group = Sequence[tuple[Location, bytes]]


class ByteCache:
    """The most recently used values up to ``limit`` bytes. Thread-safe."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._held = 0
        self._values: OrderedDict[bytes, bytes] = OrderedDict()

    def get(self, key: bytes) -> bytes | None:
        with self._lock:
            value = self._values.get(key)
            if value is not None:
                self._values.move_to_end(key)
            return value

    def put(self, key: bytes, value: bytes) -> None:
        with self._lock:
            if key not in self._values:
                self._values[key] = value
                self._held += len(value)
            while self._held > self._limit and len(self._values) > 1:
                self._held -= len(self._values.popitem(last=False)[1])


class ChunkStore:
    """The chunks of one domain: keys, cache of the index, and the bank behind them. Thread-safe."""

    def __init__(
        self,
        bank: Bank,
        *,
        domain: str,
        keys: DomainKeys,
        index_path: Path,
        compression_level: int,
        uploads: threading.Semaphore,
        rooms: Rooms,
        windows: Rooms,
    ) -> None:
        """``uploads``: one for each pack of the whole process that may be on its way into the bank. ``rooms``: where
        all restores read from the bank; ``windows``: where all writers read from their sources."""
        self.bank = bank
        self.uploads = uploads
        self.rooms = rooms
        self.windows = windows
        self.prefix = format.domain_prefix(domain)
        self.codec = Codec(keys, compression_level=compression_level)
        self.index = Index(index_path)
        self.index_objects = IndexObjects(bank, prefix=self.prefix, codec=self.codec, index=self.index)
        self._follow_lock = threading.Lock()
        self._nodes = ByteCache(_NODE_CACHE)
        self.proven = Proven()

    def forget(self) -> None:
        """The key of the domain was destroyed: keep nothing of what it opened, neither here nor on this host's disk."""
        self.codec.forget()
        self._nodes = ByteCache(_NODE_CACHE)
        self.index.remove()

    def follow(self) -> None:
        """Bring the index cache up to the bank."""
        with self._follow_lock:
            self.index_objects.follow()

    def scan(self) -> None:
        """Learn packs that no index object lists from the packs themselves."""
        with self._follow_lock:
            self.index_objects.scan_packs()

    def locate(self, ids: Iterable[bytes]) -> Mapping[bytes, Location]:
        """Where all of these lie. What the cache does not know is looked for in the bank: first in new index objects,
        then in packs that none lists. Raises IntegrityError where a chunk is nowhere."""
        self.codec.require_keys()
        wanted = set(ids)
        found = self.index.locate(wanted)
        for search in (self.index_objects.follow, self.index_objects.scan_packs):
            if len(found) == len(wanted):
                return found
            with self._follow_lock:
                search()
            found = self.index.locate(wanted)
        if len(found) == len(wanted):
            return found
        missing = min(wanted - set(found))
        raise errors.IntegrityError(
            detail=f"{len(wanted) - len(found)} of {len(wanted)} chunks are in no pack, such as {missing.hex()}"
        )

    def node(self, node_id: bytes) -> bytes:
        """The plain bytes of a node of a recipe. Raises IntegrityError."""
        data = self._nodes.get(node_id)
        if data is None:
            [(_, data)] = self.chunks([node_id])
            self._nodes.put(node_id, data)
        return data

    def load_nodes(self, ids: Iterable[bytes]) -> None:
        """Have these nodes at hand: together they take fewer requests than one by one. Raises IntegrityError."""
        for node_id, data in self.chunks([node_id for node_id in ids if self._nodes.get(node_id) is None]):
            self._nodes.put(node_id, data)

    def chunks(self, ids: Iterable[bytes]) -> Iterator[tuple[bytes, bytes]]:
        """(id, plain bytes) of all of these, in the order in which they lie. Holds one request at a time.

        Raises IntegrityError.
        """
        for group, data in self.fetched(ids):
            yield from self.opened(group, data)

    def fetched(self, ids: Iterable[bytes]) -> Iterator[tuple[Group, bytes | memoryview]]:
        """The same not opened yet: chunks that lie together, and what ``opened`` wants of them.

        A pack that went away is forgotten, and its chunks are looked for in others. Raises IntegrityError.
        """
        wanted = list(ids)
        while wanted:
            places = sorted((place, chunk_id) for chunk_id, place in self.locate(wanted).items())
            wanted = []
            for group in grouped(places):
                try:
                    data = self.read(group)
                except errors.ObjectNotFound:
                    self.index.forget(group[0][0].pack_id)
                    wanted += [chunk_id for _, chunk_id in group]
                    continue
                yield group, data

    def read(self, group: Group, room: memoryview | None = None) -> bytes | memoryview:
        """The sealed bytes from the first to the last of chunks that lie in one pack; in ``room`` where they fit.
        Raises ObjectNotFound."""
        first, last = group[0][0], group[-1][0]
        name = self.prefix + format.pack_name(first.pack_id)
        length = last.offset + last.stored - first.offset
        if room is None or length > len(room):
            return self.bank.get(name, first.offset, length)
        return room[: self.bank.get_into(name, room[:length], first.offset)]

    def opened(self, group: Group, data: bytes | memoryview) -> Iterator[tuple[bytes, bytes]]:
        """(id, plain bytes) of chunks whose sealed bytes ``read`` gave. One that is damaged is read from another pack.
        Raises IntegrityError where there is none."""
        first = group[0][0]
        cipher = self.codec.cipher(first.pack_id)
        data = memoryview(data)
        for place, chunk_id in group:
            at = place.offset - first.offset
            sealed = data[at : at + place.stored]
            shape = {"flags": place.flags, "size": place.size, "offset": place.offset}
            try:
                plain = open_chunk(cipher, chunk_id, **shape, sealed=sealed)
            except errors.IntegrityError as fault:
                plain = self._other_copy(chunk_id, place, fault)
            yield chunk_id, plain

    def _other_copy(self, chunk_id: bytes, damaged: Location, fault: errors.IntegrityError) -> bytes:
        """The chunk from a pack that is not damaged. Raises ``fault`` where there is none."""
        for place in self.index.places([chunk_id]).get(chunk_id, ()):
            if place.pack_id == damaged.pack_id:
                continue
            shape = {"flags": place.flags, "size": place.size, "offset": place.offset}
            try:
                sealed = self.read([(place, chunk_id)])
                return open_chunk(self.codec.cipher(place.pack_id), chunk_id, **shape, sealed=sealed)
            except (errors.ObjectNotFound, errors.IntegrityError):
                continue
        raise fault


def grouped(places: Iterable[tuple[Location, bytes]]) -> Iterator[Group]:
    """Chunks that lie close together in one pack are read with one request."""
    group: list[tuple[Location, bytes]] = []
    for place, chunk_id in places:
        if group and not _near(group[0][0], group[-1][0], place):
            yield group
            group = []
        group.append((place, chunk_id))
    if group:
        yield group


def _near(first: Location, last: Location, place: Location) -> bool:
    return (
        place.pack_id == first.pack_id
        and place.offset - (last.offset + last.stored) <= _GAP
        and place.offset + place.stored - first.offset <= REQUEST
    )
