# SPDX-License-Identifier: Apache-2.0
"""Is a planted text to be found in some bytes, in whatever form: as it is, encoded, or compressed?"""

import base64
import bz2
import contextlib
import lzma
import zlib

import sqlalchemy as sa
import zstandard


def forms(marker):
    """(name, bytes) of every form in which the text might stand in bytes that nobody sealed."""
    plain = marker.encode()
    yield "plain", plain
    for codec in ("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"):
        yield codec, marker.encode(codec)
    yield "hex", plain.hex().encode()
    yield "HEX", plain.hex().upper().encode()
    yield "reversed", plain[::-1]
    for name, encode in (("base64", base64.b64encode), ("base64 for URLs", base64.urlsafe_b64encode)):
        for skipped in range(3):  # wherever in a longer text it stands: whole groups of three bytes look alike
            rest = plain[skipped:]
            yield f"{name}, from {skipped}", encode(rest[: len(rest) // 3 * 3])
    yield "base32", base64.b32encode(plain[: len(plain) // 5 * 5])


def found(data, markers):
    """(marker, form) of all that can be read in the bytes, also in what decompresses."""
    texts = [("", data), *(("compressed, ", part) for part in _decompressed(data))]
    wanted = [(marker, name, form) for marker in markers for name, form in forms(marker)]
    return [(marker, how + name) for how, text in texts for marker, name, form in wanted if form in text]


def _decompressed(data):
    """What any place of the bytes that looks like the beginning of compressed data becomes."""
    starts = {
        b"\x28\xb5\x2f\xfd": lambda part: zstandard.ZstdDecompressor().decompressobj().decompress(part),
        b"\x1f\x8b\x08": lambda part: zlib.decompressobj(31).decompress(part),
        b"\x78\x9c": lambda part: zlib.decompressobj().decompress(part),
        b"BZh": lambda part: bz2.BZ2Decompressor().decompress(part),
        b"\xfd7zXZ": lambda part: lzma.LZMADecompressor().decompress(part),
    }
    for start, decompress in starts.items():
        at = data.find(start)
        while at >= 0:
            with contextlib.suppress(zstandard.ZstdError, zlib.error, lzma.LZMAError, OSError):  # or only looks like it
                yield decompress(data[at:])
            at = data.find(start, at + 1)


def dump(engine):
    """All of a database as one text, also what its columns of JSON hold."""
    tables = sa.MetaData()
    tables.reflect(engine)
    with engine.connect() as connection:
        rows = [row for table in tables.sorted_tables for row in connection.execute(sa.select(table))]
    return "\n".join(str(tuple(row)) for row in rows).encode()
