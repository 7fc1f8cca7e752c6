# SPDX-License-Identifier: Apache-2.0
"""How do the process that reads a file system and the one that has the disk talk to each other?

Messages over one socket pair: four bytes of length each for a JSON object and for plain bytes, then both. The one who
has the disk asks once; the other asks for bytes of the disk (``{"need": [OFFSET, LENGTH]}``) and tells what it found.
Nothing that arrives is believed: lengths are bounded, and texts are data.
"""

import json
import socket
import struct
from typing import Any

from karbor.model import errors

_HEAD = struct.Struct("!II")
MAX_JSON, MAX_DATA = 1 << 20, 4 << 20


def send(peer: socket.socket, message: dict[str, Any], data: bytes = b"") -> None:
    """Send one message."""
    text = json.dumps(message).encode()
    peer.sendall(_HEAD.pack(len(text), len(data)) + text + data)


def receive(peer: socket.socket) -> tuple[dict[str, Any], bytes]:
    """The next message. Raises StepFailed where there is none, or it is not one."""
    text_length, data_length = _HEAD.unpack(_exactly(peer, _HEAD.size))
    if text_length > MAX_JSON or data_length > MAX_DATA:
        raise errors.StepFailed("The reader of the file system sent nonsense.", detail="a message is too long")
    try:
        message = json.loads(_exactly(peer, text_length))
    except ValueError as fault:
        raise errors.StepFailed("The reader of the file system sent nonsense.", detail=str(fault)) from fault
    if not isinstance(message, dict):
        raise errors.StepFailed("The reader of the file system sent nonsense.", detail="not an object")
    return message, _exactly(peer, data_length)


def _exactly(peer: socket.socket, length: int) -> bytes:
    parts = bytearray()
    while len(parts) < length:
        part = peer.recv(min(length - len(parts), 1 << 20))
        if not part:
            raise errors.StepFailed("The reader of the file system ended too early.")
        parts += part
    return bytes(parts)
