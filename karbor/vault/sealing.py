# SPDX-License-Identifier: Apache-2.0
"""How can a worker store data that it cannot read later: which keys does it have, and what does it seal with them?

From the data key of a project follow a private key (X25519) and a sealing secret. A worker that only seals is given the
public key and the secret. It makes a data key of its own for each session, in a domain of its own, and puts it there
sealed to the public key: from then on whoever has the project's data key can open it, and the worker only as long as it
remembers it. The secret keeps those from sealing who merely know the public key. (reference/format.rst, key scheme 2)
"""

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from karbor.common import durable
from karbor.model import errors
from karbor.vault import format
from karbor.vault.keys import KEY_SIZE, derive, require_private

_HEADER = struct.Struct(">8sHHI16s32s")
_KEY = b"karbor 2 sealed key"


@dataclass(frozen=True)
class Sealer:
    """What a worker needs to seal for one project in one bank. ``domain`` is the name of the project's domain."""

    bank: str
    domain: str
    label: str
    public: bytes
    secret: bytes = field(repr=False)

    @classmethod
    def of(cls, data_key: bytes, *, bank: str, domain: str, label: str) -> Self:
        """The sealer of a domain, from its data key."""
        secret = derive(data_key, info=b"karbor 2 sealing")
        return cls(bank, domain, label, _raw(_private(data_key).public_key()), secret)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a sealer file. Raises KeyUnavailable, ConfigurationError where it is wrong or open to others."""
        try:
            text = require_private(path).read_text()
            document = json.loads(text)
            if document["version"] != format.VERSION:
                raise errors.ConfigurationError("The sealer file is of another release.", detail=str(path))
            public, secret = bytes.fromhex(document["public"]), bytes.fromhex(document["secret"])
            found = cls(document["bank"], document["domain"], document["label"], public, secret)
        except OSError as fault:
            raise errors.KeyUnavailable("The sealer file cannot be read.", detail=str(fault)) from fault
        except (ValueError, KeyError, TypeError) as fault:
            raise errors.ConfigurationError("This is no sealer file.", detail=f"{path}: {fault}") from fault
        if not len(public) == len(secret) == KEY_SIZE:
            raise errors.ConfigurationError("This is no sealer file.", detail=str(path))
        return found

    def save(self, path: Path) -> None:
        """Write the file (0600). Raises Conflict where it exists."""
        document = {
            "version": format.VERSION,
            "bank": self.bank,
            "domain": self.domain,
            "label": self.label,
            "public": self.public.hex(),
            "secret": self.secret.hex(),
        }
        if not durable.create_file(path, json.dumps(document, indent=1).encode() + b"\n", mode=0o600):
            raise errors.Conflict("The file exists already.", detail=str(path))

    def seal(self, place: str, content: Mapping[str, Any], *, ephemeral: bytes | None = None) -> bytes:
        """A wrapped key of scheme 2 for a place. ``ephemeral``: a private key, for test vectors only."""
        once = X25519PrivateKey.from_private_bytes(ephemeral) if ephemeral else X25519PrivateKey.generate()
        shared = once.exchange(X25519PublicKey.from_public_bytes(self.public))
        head = _HEADER.pack(
            format.KEY_MAGIC,
            format.VERSION,
            format.SEALED_SCHEME,
            0,
            bytes.fromhex(self.domain),
            _raw(once.public_key()),
        )
        key = _wrapping_key(shared, head[-32:], self.public, self.secret)
        plain = json.dumps(dict(content), sort_keys=True).encode()
        return head + AESGCM(key).encrypt(bytes(12), plain, head + place.encode())


def parent_of(data: bytes) -> str | None:
    """The domain whose data key opens a wrapped key of scheme 2, from its first bytes; None for other schemes."""
    head = data[: _HEADER.size]
    if len(head) < _HEADER.size or _HEADER.unpack(head)[:4] != (
        format.KEY_MAGIC, format.VERSION, format.SEALED_SCHEME, 0,
    ):  # fmt: skip
        return None
    return bytes(_HEADER.unpack(head)[4]).hex()


def unseal(data_key: bytes, place: str, data: bytes) -> dict[str, Any]:
    """What was sealed for the domain with this data key. Raises IntegrityError."""
    head = data[: _HEADER.size]
    private = _private(data_key)
    try:
        shared = private.exchange(X25519PublicKey.from_public_bytes(head[-32:]))
        secret = derive(data_key, info=b"karbor 2 sealing")
        key = _wrapping_key(shared, head[-32:], _raw(private.public_key()), secret)
        plain = AESGCM(key).decrypt(bytes(12), data[_HEADER.size :], head + place.encode())
    except (InvalidTag, ValueError) as fault:
        raise errors.IntegrityError(detail=f"sealed key at {place} does not open") from fault
    content: dict[str, Any] = json.loads(plain)
    return content


def _private(data_key: bytes) -> X25519PrivateKey:
    return X25519PrivateKey.from_private_bytes(derive(data_key, info=b"karbor 2 unseal"))


def _raw(key: X25519PublicKey) -> bytes:
    return key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)


def _wrapping_key(shared: bytes, once: bytes, public: bytes, secret: bytes) -> bytes:
    return derive(shared + once + public, salt=secret, info=_KEY)
