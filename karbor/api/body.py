# SPDX-License-Identifier: Apache-2.0
"""How is the body of a request read: bounded, once, and as JSON that a database can hold?"""

import json
from collections.abc import Mapping
from typing import Any, NoReturn

from karbor.model import errors

DISCARD_LIMIT = 64 << 20  # bytes of a refused body that are read and forgotten


def declared_length(environ: Mapping[str, Any]) -> int | None:
    """What the header says. Raises InvalidInput where it says nonsense."""
    text = environ.get("CONTENT_LENGTH") or ""
    if not text:
        return None
    if not text.isascii() or not text.isdigit():
        raise errors.InvalidInput("Malformed Content-Length.")
    return int(text)


def discard(environ: Mapping[str, Any]) -> None:
    """Read a refused body and forget it, so that the client is still listening when the answer comes.

    Most clients send everything before they read; closing on them looks like a broken network. There is a bound: who
    sends more than that sees the connection close.
    """
    length = declared_length(environ)
    left = DISCARD_LIMIT if length is None else min(length, DISCARD_LIMIT)
    while left > 0:
        piece = environ["wsgi.input"].read(min(left, 1 << 16))
        if not piece:
            return
        left -= len(piece)


def too_large(limit: int) -> errors.TooLarge:
    return errors.TooLarge(f"The request is larger than {limit} bytes.")


def read(environ: Mapping[str, Any], *, limit: int) -> bytes:
    """The body, empty where there is none. Raises TooLarge without keeping more than ``limit`` bytes."""
    length = declared_length(environ)
    if length is not None and length > limit:
        raise too_large(limit)
    if length is None and not _is_chunked(environ):
        return b""
    stream = environ["wsgi.input"]
    left = limit + 1 if length is None else length
    pieces = []
    while left > 0:
        piece = stream.read(left)
        if not piece:
            break
        pieces.append(piece)
        left -= len(piece)
    data = b"".join(pieces)
    if len(data) > limit:
        discard(environ)
        raise too_large(limit)
    return data


def _is_chunked(environ: Mapping[str, Any]) -> bool:
    return bool(environ.get("wsgi.input_terminated")) or "chunked" in environ.get("HTTP_TRANSFER_ENCODING", "").lower()


def decode(data: bytes) -> Any:
    """The JSON value. Raises InvalidInput: nothing there, not JSON, or text that is not Unicode."""
    if not data.strip():
        raise errors.InvalidInput("Missing request body")
    try:
        value = json.loads(data, parse_constant=_no_constant)
        if b"\\u" in data:
            json.dumps(value, ensure_ascii=False).encode()  # half a surrogate pair is no text
    except (ValueError, RecursionError) as fault:
        raise errors.InvalidInput("Malformed request body") from fault
    return value


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
