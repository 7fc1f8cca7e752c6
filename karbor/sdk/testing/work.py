# SPDX-License-Identifier: Apache-2.0
"""How does a plug-in author try a Protection without a service? Memory twins of Streams and Work."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from karbor.common.once import Once
from karbor.model import errors
from karbor.model.checkpoint import SavedResource
from karbor.model.mapping import NAMES
from karbor.model.resource import Resource, ResourceKey
from karbor.sdk.mapping import WorldMap, renamed
from karbor.sdk.protection import EarlierPoint, Found, Work
from karbor.sdk.streams import Extent, Kind, Source, StreamInfo, StreamReader, Streams
from karbor.sdk.testing.lending import Shelf, TwinLent

if TYPE_CHECKING:
    from karbor.clients.openstack import Cloud


class BytesStream(StreamReader):
    """Bytes as a Source and as a StreamReader."""

    def __init__(self, data: bytes) -> None:
        self.size = len(data)
        self._data = data

    def extents(self) -> Iterable[Extent]:
        """One extent of data, or none for no bytes."""
        return [Extent(0, self.size, Kind.DATA)] if self.size else []

    def read(self, offset: int, length: int) -> bytes:
        """Exactly ``length`` bytes."""
        return self._data[offset : offset + length]


class MemoryStreams(Streams):
    """Streams in a dictionary. ``stored`` maps a stream id to its bytes and is shared by all twins of one test."""

    def __init__(self, stored: dict[str, bytes], ids: Mapping[str, str], count: Any) -> None:
        self._stored = stored
        self._ids = ids
        self._count = count

    def write(self, name: str, source: Source, *, base_id: str | None = None) -> StreamInfo:
        """See Streams. AssertionError where the source breaks its contract: gaps, overlaps, short reads."""
        whole = bytearray()
        read = 0
        for extent in source.extents():
            assert extent.offset == len(whole) and extent.length > 0, f"{extent} does not follow what came before"
            part = bytes(extent.length) if extent.kind is Kind.ZERO else b""
            if extent.kind is Kind.DATA:
                part = source.read(extent.offset, extent.length)
                read += extent.length
                self._count(extent.length)
            elif extent.kind is Kind.SAME:
                if base_id is None or not self.exists(base_id):
                    raise errors.InvalidInput("An extent refers to a base, and there is none.")
                part = self._stored[base_id][extent.offset : extent.offset + extent.length]
            assert len(part) == extent.length, f"{extent} gave {len(part)} bytes"
            whole += part
        assert len(whole) == source.size, f"the extents end at {len(whole)}, the source at {source.size}"
        stream_id = f"{name}-{len(self._stored)}"
        self._stored[stream_id] = bytes(whole)
        return StreamInfo(stream_id, source.size, read, read)

    def exists(self, stream_id: str) -> bool:
        return stream_id in self._stored

    def read(self, name: str) -> StreamReader:
        """See Streams. Raises IntegrityError where the checkpoint holds no such stream."""
        if self._ids.get(name) not in self._stored:
            raise errors.IntegrityError(f"The checkpoint holds no stream {name!r} of this resource.")
        return BytesStream(self._stored[self._ids[name]])


class TwinWork(Work):
    """A Work whose parts a test chooses; ``stop`` makes the next ``check`` end the work."""

    def __init__(
        self,
        operation: str,
        resource: Resource,
        *,
        options: Any = None,
        project_id: str = "a" * 32,
        parent: Resource | None = None,
        children: Sequence[tuple[ResourceKey, Resource]] = (),
        saved: SavedResource | None = None,
        earlier: Sequence[EarlierPoint] = (),
        results: Mapping[str, Any] | None = None,
        parent_results: Mapping[str, Any] | None = None,
        child_results: Mapping[ResourceKey, Any] | None = None,
        child_phases: Mapping[ResourceKey, Mapping[str, Any]] | None = None,
        parent_phases: Mapping[ResourceKey, Mapping[str, Any]] | None = None,
        wishes: Mapping[str, Iterable[ResourceKey]] | None = None,
        stored: dict[str, bytes] | None = None,
        checkpoint_id: str = "11111111-1111-4111-8111-111111111111",
        cloud: "Cloud | None" = None,
        types: Iterable[str] = (),
        mapping: Mapping[str, Mapping[str, str]] | None = None,
        once: Once | None = None,
        together: Mapping[str, frozenset[str]] | None = None,
        lendable: Mapping[ResourceKey, bytes] | None = None,
        shelf: Shelf | None = None,
    ) -> None:
        self.operation, self.operation_id, self.checkpoint_id = operation, f"job-{checkpoint_id}", checkpoint_id
        self.provider_id, self.project_id = "22222222-2222-4222-8222-222222222222", project_id
        self.key = ResourceKey(resource.type, resource.id, parent.id if parent and resource.per_parent else "")
        self.resource, self.parent, self.children = resource, parent, children
        self.options, self.saved, self.earlier = options, saved, earlier
        self.types = frozenset((resource.type, *types))
        self.results: dict[str, Any] = dict(results or {})
        self.parent_results, self.child_results = dict(parent_results or {}), dict(child_results or {})
        self.child_phases = dict(child_phases or {})
        above = {ResourceKey(parent.type, parent.id): self.parent_results} if parent else {}
        self.parent_phases: dict[ResourceKey, Mapping[str, Any]] = dict(parent_phases or above)
        self._wishes = {wish: frozenset(keys) for wish, keys in (wishes or {}).items()}
        self.stored: dict[str, bytes] = {} if stored is None else stored
        self.streams = MemoryStreams(self.stored, saved.streams if saved else {}, self.advance)
        self.stop: errors.KarborError | None = None
        self.expected = self.done = 0
        self._once, self._together = once or Once(), dict(together or {})
        self.told: list[tuple[str, str, str, bool]] = []
        self._lendable, self._shelf = lendable, {} if shelf is None else shelf
        self._lent: dict[tuple[ResourceKey, ...], TwinLent] = {}
        self._mapping = WorldMap.parse(mapping or {})
        self._cloud = cloud.watched(self.check) if cloud is not None else None

    @property
    def cloud(self) -> "Cloud":
        return self._cloud if self._cloud is not None else super().cloud

    def shared(self, name: str, find: Callable[[], Found]) -> Found:
        return self._once.get(name, find)

    def wishing(self, wish: str) -> frozenset[ResourceKey]:
        return self._wishes.get(wish, frozenset())

    def together(self, type_: str) -> frozenset[str]:
        return self._together.get(type_, super().together(type_))

    def mapped(self, kind: str, value: str) -> str:
        """By the ``mapping`` of the test, as it is written."""
        found = self._mapping.find(kind, value)
        if found is None:
            return value
        return renamed(value, found[1]) if kind == NAMES else found[1]

    def lend(self, resources: Sequence[ResourceKey], stream: str) -> TwinLent:
        """What ``lendable`` holds of these; the same one for the same resources."""
        if self._lendable is None:
            raise errors.NotSupported("This worker cannot lend what is in a checkpoint.")
        content = {key: self._lendable[key] for key in resources}
        return self._lent.setdefault(tuple(resources), TwinLent(f"/lent/{self.operation_id}", content, self._shelf))

    def tell(self, type: str, new_id: str, text: str, *, ready: bool = False) -> None:  # noqa: A002
        self.told.append((type, new_id, text, ready))

    def expect(self, total_bytes: int) -> None:
        self.expected = total_bytes

    def check(self) -> None:
        if self.stop is not None:
            raise self.stop

    def advance(self, nbytes: int) -> None:
        self.done += nbytes
        self.check()
