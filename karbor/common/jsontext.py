# SPDX-License-Identifier: Apache-2.0
"""How is JSON read and written where there is much of it: rows of long lists, and the answers made of them?

By msgspec, at a tenth of the cost of the standard library. What msgspec refuses, the standard library does: half a
surrogate pair, and whole numbers beyond 64 bits.
"""

import json
from typing import Any

import msgspec

_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder()


def decode(text: str) -> Any:
    """The value that ``text`` holds. Raises ValueError where that is not JSON."""
    try:
        return _DECODER.decode(text)
    except (msgspec.DecodeError, UnicodeError):
        return json.loads(text)


def encode(value: Any) -> bytes:
    """The value as UTF-8 text without spaces. Raises TypeError for what JSON does not know."""
    try:
        return _ENCODER.encode(value)
    except (msgspec.MsgspecError, UnicodeError, OverflowError, TypeError):
        return json.dumps(value, separators=(",", ":")).encode()


def plain(value: Any) -> Any:
    """``value``, where it comes back the same from JSON. Raises TypeError where it would not."""
    if json.loads(json.dumps(value)) != value:
        raise TypeError("this is no plain JSON")
    return value
