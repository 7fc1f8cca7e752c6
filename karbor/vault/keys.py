# SPDX-License-Identifier: Apache-2.0
"""Which key opens what, and where does the first one come from?

    master key (a file of the operator, or a secret of a key manager)
      wraps the vault key (one per bank): only makes the names of domains, so that they tell nothing
      wraps the data key (one per domain): all else follows from it by HKDF-SHA256

Changing the master key wraps the same keys again and rewrites no data.
"""

import base64
import binascii
import hashlib
import hmac
import json
import secrets
import stat
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from karbor.common import durable
from karbor.model import errors
from karbor.vault import format

KEY_SIZE = 32
_HEADER = struct.Struct(">8sHHI16s12s")
HEAD_SIZE = _HEADER.size
_CREATE = "create one with karbor-manage, and keep a copy apart from the bank"


def derive(key: bytes, *, salt: bytes = b"", info: bytes) -> bytes:
    """A 32-byte key for one purpose (HKDF-SHA256)."""
    return HKDF(algorithm=hashes.SHA256(), length=KEY_SIZE, salt=salt, info=info).derive(key)


@dataclass(frozen=True)
class MasterKey:
    """The key of the operator. Whoever has it and the bank can read everything; without it nothing can be read."""

    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.secret) != KEY_SIZE:
            raise errors.ConfigurationError("The master key must be 32 bytes.")

    @property
    def id(self) -> bytes:
        """16 bytes that name the key and tell nothing about it."""
        return hmac.digest(self.secret, b"karbor master key id", hashlib.sha256)[:16]

    @property
    def ids(self) -> Sequence[bytes]:
        """Of all keys that ``unwrap`` tries: this one."""
        return [self.id]

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read the key file: 32 bytes as hex or base64 text, readable by its owner alone.

        Raises KeyUnavailable where it is missing or cannot be read, ConfigurationError where it is wrong or open to
        others. Never makes one.
        """
        try:
            text = require_private(path).read_text("ascii")
        except FileNotFoundError as fault:
            raise errors.KeyUnavailable(
                "The master key file is missing.", detail=str(path), next_action=_CREATE
            ) from fault
        except UnicodeDecodeError as fault:
            raise _malformed(path) from fault
        except OSError as fault:
            raise errors.KeyUnavailable("The master key file cannot be read.", detail=str(fault)) from fault
        secret = secret_from_text(text.strip())
        if secret is None:
            raise _malformed(path)
        return cls(secret)

    @classmethod
    def create(cls, path: Path) -> Self:
        """Make a new key file (0600). Raises Conflict where the file exists: a key is never overwritten."""
        secret = secrets.token_bytes(KEY_SIZE)
        try:
            made = durable.create_file(path, secret.hex().encode() + b"\n", mode=0o600)
        except OSError as fault:
            raise errors.KeyUnavailable("The master key file cannot be written.", detail=str(fault)) from fault
        if not made:
            raise errors.Conflict("The master key file exists already.", detail=str(path))
        return cls(secret)

    def wrap(self, context: str, content: Mapping[str, Any]) -> bytes:
        """Seal a small JSON document. ``context`` says where it lies; it opens nowhere else."""
        head = _HEADER.pack(format.KEY_MAGIC, format.VERSION, format.KEY_SCHEME, 0, self.id, secrets.token_bytes(12))
        plain = json.dumps(dict(content), sort_keys=True).encode()
        return head + AESGCM(self.secret).encrypt(head[-12:], plain, head + context.encode())

    def unwrap(self, context: str, data: bytes) -> dict[str, Any] | None:
        """What ``wrap`` sealed, or None where another master key did. Raises IntegrityError for damage."""
        head = data[: _HEADER.size]
        try:
            magic, version, scheme, reserved, key_id, nonce = _HEADER.unpack(head)
        except struct.error as fault:
            raise errors.IntegrityError(detail=f"wrapped key at {context} is too short") from fault
        if (magic, version, scheme, reserved) != (format.KEY_MAGIC, format.VERSION, format.KEY_SCHEME, 0):
            raise errors.IntegrityError(detail=f"wrapped key at {context} has an unknown head")
        if key_id != self.id:
            return None
        try:
            plain = AESGCM(self.secret).decrypt(nonce, data[_HEADER.size :], head + context.encode())
        except InvalidTag as fault:
            raise errors.IntegrityError(detail=f"wrapped key at {context} does not open") from fault
        content: dict[str, Any] = json.loads(plain)
        return content


@dataclass(frozen=True)
class DomainKeys:
    """The keys of one domain, each for one purpose."""

    chunk_ids: bytes = field(repr=False)
    node_ids: bytes = field(repr=False)
    packs: bytes = field(repr=False)
    objects: bytes = field(repr=False)

    @classmethod
    def from_data_key(cls, data_key: bytes) -> Self:
        return cls(
            chunk_ids=derive(data_key, info=b"karbor 1 chunk ids"),
            node_ids=derive(data_key, info=b"karbor 1 node ids"),
            packs=derive(data_key, info=b"karbor 1 packs"),
            objects=derive(data_key, info=b"karbor 1 objects"),
        )


def secret_from_text(text: str) -> bytes | None:
    """32 bytes from hexadecimal digits or base64 text; None where they are not that."""
    try:
        secret = bytes.fromhex(text) if len(text) == 2 * KEY_SIZE else base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        return None
    return secret if len(secret) == KEY_SIZE else None


def require_private(path: Path) -> Path:
    """The same path. Raises ConfigurationError where it is no file, or one that others can read; OSError."""
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        raise _malformed(path)
    if stat.S_IMODE(mode) & 0o077:
        raise errors.ConfigurationError(
            "A file with a key is open to others.", detail=str(path), next_action=f"chmod 600 {path}"
        )
    return path


def wrapped_by(head: bytes) -> bytes | None:
    """The id of the master key that wrapped, from the beginning (``HEAD_SIZE`` bytes) of a wrapped key; None where it
    is damaged."""
    if (
        len(head) < HEAD_SIZE
        or head[:12] != _HEADER.pack(format.KEY_MAGIC, format.VERSION, format.KEY_SCHEME, 0, b"", b"")[:12]
    ):
        return None
    return _HEADER.unpack(head[:HEAD_SIZE])[4]  # type: ignore[no-any-return]


def _malformed(path: Path) -> errors.ConfigurationError:
    return errors.ConfigurationError(
        "The master key file does not hold a key.", detail=f"{path}: 32 bytes as hex or base64 text are wanted"
    )
