# SPDX-License-Identifier: Apache-2.0
"""What came of looking at what is stored: which bytes are lost, and which objects are not as they were written?"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

#: quick: every object is there with its right size; data: every byte was read, opened and named anew.
LEVELS = ("quick", "data")
MOST = 65536  # ranges that one report holds: the bound of its memory


@dataclass(frozen=True)
class Damage:
    """Bytes of a stream that cannot be read. ``length`` None: all of it, and its size was lost with it.

    ``objects`` are names in the bank: those that would have to be right for the bytes to come back.
    """

    offset: int
    length: int | None
    reason: str
    objects: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        return {"offset": self.offset, "length": self.length, "reason": self.reason, "objects": list(self.objects)}


@dataclass(frozen=True, order=True)
class Flaw:
    """An object that is not as it was written, or is missing, although what it says is known from elsewhere."""

    object: str
    reason: str

    def to_dict(self) -> dict[str, str]:
        return {"object": self.object, "reason": self.reason}


@dataclass(frozen=True)
class StreamReport:
    """What is wrong with one stream. ``damage`` ascends and names every lost byte once.

    ``flaws`` cost no byte of any stream; one run tells each of them once, with the first stream that meets it.
    ``unproven`` names markers that are not there: the bank does not say that packs of that index object were read back.
    ``omitted`` counts ranges behind the first 65536.
    """

    stream_id: str
    level: str
    size: int | None
    damage: tuple[Damage, ...] = ()
    flaws: tuple[Flaw, ...] = ()
    unproven: tuple[str, ...] = ()
    omitted: int = 0

    @property
    def whole(self) -> bool:
        """Whether every byte of the stream is there."""
        return not self.damage

    @property
    def lost(self) -> int:
        """How many bytes are known to be lost."""
        return sum(part.length or 0 for part in self.damage)


class Ranges:
    """Gathers damage from left to right; neighbours with the same cause become one range."""

    def __init__(self) -> None:
        self._found: list[Damage] = []
        self.omitted = 0

    def add(self, offset: int, length: int, reason: str, objects: Sequence[str]) -> None:
        """``length`` bytes from ``offset`` on are lost."""
        if self._found:
            last = self._found[-1]
            if (last.offset + (last.length or 0), last.reason, last.objects) == (offset, reason, tuple(objects)):
                self._found[-1] = Damage(last.offset, (last.length or 0) + length, reason, last.objects)
                return
        if len(self._found) < MOST:
            self._found.append(Damage(offset, length, reason, tuple(objects)))
        else:
            self.omitted += 1

    @property
    def damage(self) -> tuple[Damage, ...]:
        return tuple(self._found)
