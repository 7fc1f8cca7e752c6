# SPDX-License-Identifier: Apache-2.0
"""What is in a file of a checkpoint? A part of it at a time, for those who ask the API."""

import base64
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from karbor.model import errors
from karbor.protection import filelisting
from karbor.protection.providers import Provider
from karbor.rpc.interface import FILE_PART

_WAIT_SECONDS = 20.0


class Readers:
    """At most ``most`` questions about files are answered at a time: each has a process of its own, with its memory."""

    def __init__(self, most: int, *, wait: float = _WAIT_SECONDS) -> None:
        self._turn = threading.BoundedSemaphore(most)
        self._wait = wait

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Be one of them. Raises Unavailable where none is free for too long."""
        if not self._turn.acquire(timeout=self._wait):
            raise errors.Unavailable("Too many files are being read by this worker just now.")
        try:
            yield
        finally:
            self._turn.release()


def read_file(
    provider: Provider, wish: Mapping[str, Any], *, project_id: str, checkpoint_id: str, offset: int, length: int
) -> dict[str, Any]:
    """``name``, ``size`` and ``modified`` (seconds since 1970) of a file, and ``data``: ``length`` bytes of it from
    ``offset`` on, or what there is until its end, in base64.

    ``wish``: ``resource``, ``stream``, ``volume`` (each may be None), ``path``. Raises InvalidInput for what is not
    there, is no file with content, cannot be read, or is more than FILE_PART bytes; Conflict where what it lies in is
    damaged; NotFound, NotSupported.
    """
    if offset < 0 or not 0 <= length <= FILE_PART:
        raise errors.InvalidInput(f"A part of a file has {FILE_PART} bytes at most.")
    with filelisting.opened(provider, wish, project_id=project_id, checkpoint_id=checkpoint_id) as (box, _record):
        path = [part for part in wish["path"].split("/") if part]
        entry, data = box.read(wish["volume"], path, offset, length)
    return {
        "name": filelisting.storable(entry.name),
        "size": entry.size,
        "modified": entry.mtime,
        "data": base64.b64encode(data).decode(),
    }
