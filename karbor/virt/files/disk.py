# SPDX-License-Identifier: Apache-2.0
"""How does a disk look to what reads file systems: as a file, or as a part of one?"""

import os
from collections import OrderedDict
from collections.abc import Callable

_BLOCK = 256 << 10
_KEPT = 64


class Window:
    """``size`` bytes from ``offset`` of a disk, as a file object of a library: ``at(offset, length)`` gives bytes.
    ``told`` names what lies there, where that cannot be read."""

    def __init__(self, at: Callable[[int, int], bytes], offset: int, size: int, *, told: str = "") -> None:
        self.at, self.offset, self.size, self.told = at, offset, size, told
        self._position = 0

    def read(self, length: int = -1) -> bytes:
        left = max(self.size - self._position, 0)
        length = left if length is None or length < 0 else min(length, left)
        found = self.at(self.offset + self._position, length) if length else b""
        self._position += len(found)
        return found

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self.size}[whence]
        self._position = max(base + offset, 0)
        return self._position

    def tell(self) -> int:
        return self._position

    def get_size(self) -> int:
        return self.size

    def bytes_at(self, offset: int, length: int) -> bytes:
        """Some bytes without moving; fewer at the end."""
        length = max(min(length, self.size - offset), 0)
        return self.at(self.offset + offset, length) if length else b""


class Blocks:
    """Keeps what was read of a disk of ``size`` bytes; ``fetch(offset, length)`` gets whole blocks."""

    def __init__(self, fetch: Callable[[int, int], bytes], size: int) -> None:
        self._fetch, self.size = fetch, size
        self._blocks: OrderedDict[int, bytes] = OrderedDict()

    def at(self, offset: int, length: int) -> bytes:
        """Exactly these bytes, which lie on the disk."""
        parts = []
        while length > 0:
            index, inner = divmod(offset, _BLOCK)
            part = self._block(index)[inner : inner + length]
            if not part:
                raise OSError(f"the disk ends before {offset}")
            parts.append(part)
            offset, length = offset + len(part), length - len(part)
        return b"".join(parts)

    def _block(self, index: int) -> bytes:
        if index in self._blocks:
            self._blocks.move_to_end(index)
        else:
            start = index * _BLOCK
            self._blocks[index] = self._fetch(start, max(min(_BLOCK, self.size - start), 0))
            if len(self._blocks) > _KEPT:
                self._blocks.popitem(last=False)
        return self._blocks[index]
