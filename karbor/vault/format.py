# SPDX-License-Identifier: Apache-2.0
"""How are things spelled in a bank: names of objects, magic bytes, versions, numbers on the wire?

The only module that knows these. ``doc/source/reference/format.rst`` describes the same layout in words.
"""

import re
from collections.abc import Sequence

from karbor.model import errors

VERSION = 1
KEY_SCHEME = 1  # keys are derived from the data key of the domain
SEALED_SCHEME = 2  # of a wrapped key alone: it is sealed to the public key of another domain
NO_KEY = bytes(16)  # the reference to another key that further schemes may carry in their header

PACK_MAGIC = b"KARBPACK"
PACK_END = b"KARBPEND"
OBJECT_MAGIC = b"KARBSEAL"
KEY_MAGIC = b"KARBWKEY"
HEADER_SIZE = 48
TAIL_SIZE = 12
TAG_SIZE = 16
ID_SIZE = 16

ZSTD = 1  # flag of a chunk or sealed object: the plain bytes are one zstd frame
NODE = 2  # flag of a chunk: a node of a recipe, not content

PAGE = 4096
WINDOW = 4 << 20  # what is read, cut and hashed at once; chunks do not cross its borders
PACK_SIZE = 16 << 20
PACK_ENTRIES = 8192
INDEX_ENTRIES = 65536
MAX_CHUNK = 4 << 20

_WORD = re.compile(r"[A-Za-z0-9_\-][A-Za-z0-9._\-]{0,127}\Z")
VAULT_KEYS = "vault/key/"
DOMAINS = "d/"
HOLDS = "hold/"  # below a domain
DESTROYED = "destroyed"  # the last part of the name of the marker beside wrapped keys that are destroyed
PROBES = "probe/"  # objects that a check of the bank puts and removes; what is left there is nobody's


def word(text: str) -> str:
    """``text`` itself where it may be part of a name. Raises InvalidInput. No text of a user ever comes here."""
    if not _WORD.match(text):
        raise errors.InvalidInput("Not an identifier.", detail=repr(text[:80]))
    return text


def numbered(number: int) -> str:
    """The last part of the name of a wrapped key."""
    return f"{number:08d}"


def key_place(domain: str) -> str:
    """Where the wrapped keys of a domain lie."""
    return f"{domain_prefix(domain)}key/"


def sealed_name(domain: str) -> str:
    """Where a project's domain tells of another one that was sealed for it."""
    return f"sealed/{word(domain)}"


def domain_prefix(domain: str) -> str:
    return f"{DOMAINS}{domain}/"


def pack_name(pack_id: bytes) -> str:
    """Relative to the domain. The first two digits spread packs over 256 directories."""
    digits = pack_id.hex()
    return f"pack/{digits[:2]}/{digits}"


def pack_id_of(name: str) -> bytes:
    """The inverse of ``pack_name``, with any prefix. Raises IntegrityError for a name that no pack has."""
    try:
        pack_id = bytes.fromhex(name.rpartition("/")[2])
    except ValueError:
        pack_id = b""
    if not pack_id or not name.endswith(pack_name(pack_id)) or len(pack_id) != ID_SIZE:
        raise errors.IntegrityError(detail=f"not the name of a pack: {name[-100:]}")
    return pack_id


def index_name(index_id: str) -> str:
    return f"index/{index_id}"


def proof_name(index: str) -> str:
    """The marker that all packs of an index object were read back."""
    return f"proven/{index.removeprefix('index/')}"


def stream_name(stream_id: str) -> str:
    return f"stream/{word(stream_id)}"


def record_name(kind: str, record_id: str) -> str:
    return f"record/{word(kind)}/{word(record_id)}"


def tombstone_name(name: str) -> str:
    return f"gone/{name}"


def lease_name(job: str, fence: int, number: int) -> str:
    """A later claim on the job, and a later object of one claim, sort behind."""
    return f"lease/{word(job)}.{fence:010d}.{number:08d}"


def lease_parts(name: str) -> tuple[str, int, int]:
    """(job, fence, number): the inverse. Raises IntegrityError for a name that no lease has."""
    try:
        job, fence, number = name.removeprefix("lease/").rsplit(".", 2)
        parts = (job, int(fence), int(number))
        matches = name == lease_name(*parts)
    except (ValueError, errors.InvalidInput):
        matches = False
    if not matches:
        raise errors.IntegrityError(detail=f"not the name of a lease: {name[-100:]}")
    return parts


def lock_name(record: str, number: int) -> str:
    """The change with this number to the locks of a record (KIND/ID)."""
    kind, _, record_id = record.partition("/")
    return f"{HOLDS}{word(kind)}.{word(record_id)}.{number:08d}"


def lock_parts(name: str) -> tuple[str, int] | None:
    """(KIND/ID, number): the inverse. None for a hold of another form."""
    kind, dot, rest = name.removeprefix(HOLDS).partition(".")
    record_id, _, number = rest.rpartition(".")
    if not dot or not record_id or not re.fullmatch("[0-9]{8}", number):
        return None
    return f"{kind}/{record_id}", int(number)


def damage_name(note_id: str) -> str:
    return f"damage/{note_id}"


def condemned_name(list_id: str) -> str:
    return f"gc/condemned/{list_id}"


def probe_name(probe_id: str) -> str:
    return f"{PROBES}{probe_id}"


def claim_name(number: int) -> str:
    return f"gc/claim/{number:010d}"


def put_varint(out: bytearray, value: int) -> None:
    """Append an unsigned LEB128 number."""
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)


class Cursor:
    """Reads numbers and bytes from the front of ``data``. Every reading past the end is an IntegrityError."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def varint(self) -> int:
        value = shift = 0
        while shift < 63:
            if self.at >= len(self.data):
                break
            byte = self.data[self.at]
            self.at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7
        raise errors.IntegrityError(detail="number runs past the end")

    def take(self, length: int) -> bytes:
        part = self.data[self.at : self.at + length]
        if len(part) != length:
            raise errors.IntegrityError(detail="bytes run past the end")
        self.at += length
        return part

    def ids(self, count: int) -> Sequence[bytes]:
        joined = self.take(count * ID_SIZE)
        return [joined[at : at + ID_SIZE] for at in range(0, len(joined), ID_SIZE)]

    def end(self) -> None:
        """Raises IntegrityError where bytes are left over."""
        if self.at != len(self.data):
            raise errors.IntegrityError(detail="bytes behind the end")
