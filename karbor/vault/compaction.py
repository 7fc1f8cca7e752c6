# SPDX-License-Identifier: Apache-2.0
"""How does what is left of thin packs, and of many small index objects, get into few new ones?

Objects are written once, so compaction writes new ones beside the old; the old ones go when clean-up may delete them.
"""

from collections.abc import Callable, Iterable, Sequence

from karbor.model import errors
from karbor.vault import format
from karbor.vault.pace import Pace
from karbor.vault.pack import Directory, PackBuilder, open_pack
from karbor.vault.store import ChunkStore


def rewrite_packs(
    store: ChunkStore, packs: Iterable[bytes], *, moving: Callable[[Sequence[bytes]], set[bytes]], pace: Pace
) -> tuple[set[bytes], dict[bytes, int]]:
    """Store what ``moving`` picks of these packs in new ones that are read back. (packs that can go, new packs with
    their sizes)

    A damaged pack stays as it is: no byte is passed on that was not proven.
    """
    able: set[bytes] = set()
    begun: set[bytes] = set()  # packs of which the open pack holds something
    written: dict[bytes, int] = {}
    builder: PackBuilder | None = None
    for pack_id in packs:
        try:
            chunks = _proven(store, pack_id, moving, pace)
        except (errors.IntegrityError, errors.ObjectNotFound):
            continue
        begun.add(pack_id)
        for chunk_id, flags, plain in chunks:
            builder = builder or PackBuilder(store.codec)
            zstd, body = store.codec.compressor.shrink(plain)
            builder.add(chunk_id, flags=zstd | flags, size=len(plain), body=body)
        if builder is not None and builder.full:
            written[builder.pack_id] = _put(store, builder, pace)
            able, begun, builder = able | begun, set(), None
    if builder is not None:
        written[builder.pack_id] = _put(store, builder, pace)
    return able | begun, written


def rewrite_index(store: ChunkStore, names: Iterable[str], *, keep: set[bytes], pace: Pace) -> Sequence[str]:
    """Put index objects that list all packs of these index objects that are in ``keep``. The names of those that are
    there and can go now. What is proven stays apart from what is not."""
    going: list[str] = []
    groups: dict[bool, list[Directory]] = {True: [], False: []}
    entries = {True: 0, False: 0}
    done: set[bytes] = set()
    leaving = set(names)
    for name in sorted(leaving):
        try:
            directories = store.index_objects.get(name)
        except errors.ObjectNotFound:
            continue
        going.append(name)
        pace.spend()
        for directory in directories:
            if directory.pack_id not in keep or directory.pack_id in done:
                continue
            done.add(directory.pack_id)
            if set(store.index.sources_of(directory.pack_id)) - leaving:
                continue  # another index object lists it
            proven = store.index.is_proven(directory.pack_id)
            groups[proven].append(directory)
            entries[proven] += len(directory.entries)
            if entries[proven] >= format.INDEX_ENTRIES:
                _list(store, groups[proven], proven=proven)
                groups[proven], entries[proven] = [], 0
    for proven, directories in groups.items():
        if directories:
            _list(store, directories, proven=proven)
    return going


def _proven(
    store: ChunkStore, pack_id: bytes, moving: Callable[[Sequence[bytes]], set[bytes]], pace: Pace
) -> Sequence[tuple[bytes, int, bytes]]:
    """(id, NODE or 0, plain bytes) of what moves out of a pack, each named anew. Raises IntegrityError."""
    data = store.bank.get(store.prefix + format.pack_name(pack_id))
    pace.spend(len(data))
    chunks = list(open_pack(store.codec, pack_id, data))
    wanted = moving([entry.id for entry, _ in chunks])
    found = []
    for entry, plain in chunks:
        if entry.id in wanted:
            if store.codec.chunk_id(plain, flags=entry.flags) != entry.id:
                raise errors.IntegrityError(detail=f"chunk {entry.id.hex()} is not what it says")
            found.append((entry.id, entry.flags & format.NODE, plain))
    return found


def _put(store: ChunkStore, builder: PackBuilder, pace: Pace) -> int:
    directory, parts = builder.finish()
    data = b"".join(parts)
    name = store.prefix + format.pack_name(builder.pack_id)
    store.bank.put_own(name, data)
    pace.spend(len(data))
    if store.bank.get(name) != data:
        raise errors.IntegrityError(detail=f"{name} is not what was written")
    pace.spend(len(data))
    _list(store, [directory], proven=True)
    return len(data)


def _list(store: ChunkStore, directories: Sequence[Directory], *, proven: bool) -> None:
    name, _ = store.index_objects.put(directories)
    if proven:
        store.index_objects.prove(name)
