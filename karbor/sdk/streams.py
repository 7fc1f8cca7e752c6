# SPDX-License-Identifier: Apache-2.0
"""What is one sequence of bytes (a disk, an image, a dump) on its way into or out of the vault?"""

import enum
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from karbor.model import errors


class Kind(enum.Enum):
    """What is known of a part of a stream without reading it."""

    DATA = "data"  # must be read
    ZERO = "zero"  # reads as zeroes; never read, never stored
    SAME = "same"  # as in the base stream; not read


@dataclass(frozen=True, slots=True)
class Extent:
    """``length`` bytes from ``offset`` on are of one kind."""

    offset: int
    length: int
    kind: Kind


class Source(Protocol):
    """A frozen sequence of bytes that can be read anywhere, in any order, from several threads.

    ``extents()`` yields extents in ascending order without gaps or overlaps from 0 to ``size``; it may be called more
    than once and gives the same each time. SAME appears only where the source was opened against a base.
    """

    size: int

    def extents(self) -> Iterable[Extent]: ...

    def read(self, offset: int, length: int) -> bytes:
        """Exactly ``length`` bytes. Raises CaptureLost where the frozen view is gone."""
        ...


#: Called with the number of bytes just dealt with; may raise Cancelled or LeaseLost to end the work.
Advance = Callable[[int], None]

#: Exactly ``length`` bytes that lie at an offset already. Called from several threads.
Old = Callable[[int, int], bytes]

_PORTION = 4 << 20


class Put(Protocol):
    """Takes verified bytes of a stream. Called from several threads, for ranges that do not overlap."""

    def __call__(self, offset: int, *parts: bytes | memoryview) -> None:
        """The parts lie one behind the other from ``offset`` on. Their memory is used again when this has returned."""
        ...


@runtime_checkable
class FillingSource(Source, Protocol):
    """A source that can also put its bytes where they are wanted; that spares a copy."""

    def read_into(self, offset: int, into: memoryview) -> None:
        """The same as ``read`` of ``len(into)`` bytes. Where it raises, ``into`` holds anything."""
        ...


def fill(source: Source, offset: int, into: memoryview) -> None:
    """Read ``len(into)`` bytes of any source. Raises CaptureLost, also where the source gives too few."""
    # Asked for each small run of an increment, where isinstance of a protocol takes longer than the reading.
    read_into: Callable[[int, memoryview], None] | None = getattr(source, "read_into", None)
    if read_into is not None:
        read_into(offset, into)
        return
    data = source.read(offset, len(into))
    if len(data) != len(into):
        raise errors.CaptureLost(detail=f"{len(data)} of {len(into)} bytes at {offset}")
    into[:] = data


class StreamReader(Protocol):
    """A stream in the vault. ``extents`` yields DATA and ZERO only; ``read`` returns verified bytes."""

    size: int

    def extents(self) -> Iterable[Extent]: ...

    def read(self, offset: int, length: int) -> bytes:
        """Exactly ``length`` bytes. Raises IntegrityError where stored data is damaged."""
        ...

    def scatter(self, put: Put, advance: Advance, *, old: Old | None = None) -> None:
        """Hand all data to ``put`` once, in whatever order is the fastest to read. Zeroes are left out.

        ``advance`` is called in this thread; its numbers together are ``size``. Where ``old`` is given, it tells what
        the place holds: what is known to be equal is not handed over, so ``put`` may get less. Everything was put when
        this returns; nothing is put any more when it raises. Raises IntegrityError, and what ``put`` raises.
        This one reads piece by piece; a subclass may know better.
        """
        for extent in self.extents():
            if extent.kind is Kind.ZERO:
                advance(extent.length)
                continue
            for offset in range(extent.offset, extent.offset + extent.length, _PORTION):
                length = min(_PORTION, extent.offset + extent.length - offset)
                data = self.read(offset, length)
                if old is None or old(offset, length) != data:
                    put(offset, data)
                advance(length)


@dataclass(frozen=True)
class StreamInfo:
    """What came of writing a stream. ``id`` opens it again. Plain JSON through ``to_dict``."""

    id: str
    size: int
    bytes_read: int
    bytes_stored: int
    packs: tuple[str, ...] = ()  # objects this write made; read back before the checkpoint is available

    def to_dict(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "size": self.size,
            "bytes_read": self.bytes_read,
            "bytes_stored": self.bytes_stored,
            "packs": list(self.packs),
        }


class Streams(Protocol):
    """The streams of one resource in one checkpoint, as a plug-in sees them."""

    def write(self, name: str, source: Source, *, base_id: str | None = None) -> StreamInfo:
        """Store ``source``; when this returns, it is durable. Progress is counted and cancel is honoured.

        ``base_id`` is the id of an earlier stream that SAME extents refer to; ``exists(base_id)`` must hold.
        May be called again with the same source: stored data is found again, not stored twice.
        """
        ...

    def exists(self, stream_id: str) -> bool:
        """Whether an earlier stream can still be used as a base."""
        ...

    def read(self, name: str) -> StreamReader:
        """Open a stream of the checkpoint that is being restored, verified or copied."""
        ...
