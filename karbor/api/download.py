# SPDX-License-Identifier: Apache-2.0
"""How is something handed out that does not fit into one message: part by part, at a bounded rate, or a range of it?"""

import logging
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import webob
from webob.byterange import Range

from karbor.api.call import Call
from karbor.common.clock import Clock
from karbor.model import errors

LOG = logging.getLogger(__name__)
_ONE_RANGE = re.compile(r"bytes=[0-9]{0,18}-[0-9]{0,18}")
_NAME = 255  # characters of a file name that are handed on


@dataclass(frozen=True)
class Part:
    """What was read: some bytes of a thing that has ``size`` of them, and all else that is known of it."""

    data: bytes
    size: int
    name: str
    tag: str
    modified: float


@dataclass(frozen=True)
class Pace:
    """Bounds of one download: bytes of one part, bytes in a second (0: no bound), seconds in all."""

    part: int
    rate: int
    seconds: float


def respond(
    call: Call, read: Callable[[int, int], Part], pace: Pace, *, media: str, most: int, held: ExitStack
) -> webob.Response:
    """The response; ``read(offset, length)`` gives a part, and raises before the first byte is sent or in the middle:
    then the connection is cut, and the client sees that something is missing. What ``held`` holds is taken over, and
    let go of at the end.

    Raises NoSuchRange, TooLarge for what has more than ``most`` bytes.
    """
    asked = call.headers.get("Range", "")
    wanted = Range.parse(asked) if _ONE_RANGE.fullmatch(asked) else None
    start = wanted.start if wanted is not None and wanted.start >= 0 else 0
    first = read(start, 0 if call.method == "HEAD" or wanted is not None else pace.part)
    if first.size > most:
        raise errors.TooLarge(
            f"The file has {first.size} bytes; {most} are handed out at most.",
            next_action="export the disk and read the file there, or ask the operator",
        )
    if wanted is not None and call.headers.get("If-Range", first.tag).strip('"') != first.tag:
        wanted, start, first = None, 0, read(0, pace.part)
    begin, end = 0, first.size
    if wanted is not None:
        span = wanted.range_for_length(first.size)
        if span is None:
            raise errors.NoSuchRange(size=first.size)
        begin, end = span
    response = webob.Response(status=206 if wanted is not None else 200, content_type=media, charset=None)
    response.etag = first.tag
    response.accept_ranges = "bytes"
    response.headers["Content-Disposition"] = disposition(first.name)
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.cache_control = "private, no-store"
    if wanted is not None:
        response.content_range = (begin, end, first.size)
    kept = first.data if wanted is None else b""
    response.app_iter = _Body(read, pace, first, kept, (begin, end), held.pop_all(), call.services.clock)
    response.content_length = end - begin
    return response


class _Body:
    """The bytes from ``begin`` to ``end``. ``close`` is called by whoever serves, however it ends."""

    def __init__(
        self,
        read: Callable[[int, int], Part],
        pace: Pace,
        first: Part,
        kept: bytes,
        span: tuple[int, int],
        held: ExitStack,
        clock: Clock,
    ) -> None:
        self._read, self._pace, self._first = read, pace, first
        self._held, self._clock = held, clock
        self._kept, (self._at, self._end) = kept, span

    def __iter__(self) -> Iterator[bytes]:
        begun, sent, pause = self._clock.monotonic(), 0, threading.Event()
        while self._at < self._end:
            data = self._kept or self._next()
            self._kept = b""
            self._at += len(data)
            yield data
            sent += len(data)
            spent = self._clock.monotonic() - begun
            if spent > self._pace.seconds:
                LOG.info("download cut off after %s s", self._pace.seconds)
                raise errors.Unavailable("The download took too long.")
            if self._pace.rate and self._at < self._end:
                pause.wait(max(0.0, sent / self._pace.rate - spent))

    def _next(self) -> bytes:
        part = self._read(self._at, min(self._pace.part, self._end - self._at))
        if part.tag != self._first.tag or not part.data:
            raise errors.KarborError("A file changed while it was read.", detail=f"{part.tag} for {self._first.tag}")
        return part.data

    def close(self) -> None:
        """See the class."""
        self._held.close()


def disposition(name: str) -> str:
    """A Content-Disposition for a name of any text: in plain letters for old clients, and as it is (RFC 6266)."""
    name = name[:_NAME]
    plain = re.sub(r"[^A-Za-z0-9._-]", "_", name).lstrip(".") or "file"
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


def settings(call: Call, part: int) -> Any:
    """The pace that the operator allows."""
    own = call.services.conf.export
    rate = own.file_rate << 20
    return Pace(min(part, rate or part), rate, own.file_seconds)
