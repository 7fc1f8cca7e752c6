# SPDX-License-Identifier: Apache-2.0
"""What does the root of a stream say: how long it is, where its recipe begins, and where it came from?"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from karbor.model import errors
from karbor.vault import format
from karbor.vault.recipe import FANOUT, LEAF_SPAN


@dataclass(frozen=True)
class Origin:
    """The stream of another domain that a stream is a copy of."""

    bank: str  # identity of that bank
    domain: str
    stream: str

    def to_dict(self) -> dict[str, str]:
        return {"bank": self.bank, "domain": self.domain, "stream": self.stream}


@dataclass(frozen=True)
class StreamRoot:
    """The root of one stream. ``top`` is the id of the top node of the recipe; None where the stream is zeroes.

    ``base_id`` is the stream of the same domain it was written against.
    """

    size: int
    top: bytes | None
    base_id: str | None
    created: str
    copy_of: Origin | None = None

    def to_dict(self) -> dict[str, Any]:
        document = {
            "version": format.VERSION,
            "size": self.size,
            "root": self.top.hex() if self.top else None,
            "leaf": LEAF_SPAN,
            "fanout": FANOUT,
            "base": self.base_id,
            "created": self.created,
        }
        return document | ({"copy_of": self.copy_of.to_dict()} if self.copy_of else {})

    @classmethod
    def from_dict(cls, document: Mapping[str, Any], *, name: str) -> "StreamRoot":
        """Raises NotSupported for a root that this release does not know; ``name`` tells whose it is."""
        if (document["version"], document["leaf"], document["fanout"]) != (format.VERSION, LEAF_SPAN, FANOUT):
            raise errors.NotSupported("This stream was written by another version.", detail=name)
        top, origin = document["root"], document.get("copy_of")
        return cls(
            size=document["size"],
            top=bytes.fromhex(top) if top else None,
            base_id=document["base"],
            created=document["created"],
            copy_of=Origin(**origin) if origin else None,
        )
