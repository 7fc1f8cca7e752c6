# SPDX-License-Identifier: Apache-2.0
"""Does a pack tell by itself what it holds, and notice every damage?"""

import pytest

from karbor.model import errors
from karbor.vault import format
from karbor.vault.codec import Codec
from karbor.vault.format import Cursor
from karbor.vault.keys import DomainKeys
from karbor.vault.pack import Directory, PackBuilder, directory_span, open_directory, open_pack

CODEC = Codec(DomainKeys.from_data_key(b"k" * 32), compression_level=1)
CONTENTS = (b"one", b"two" * 1000, b"", b"three")


def packed():
    builder = PackBuilder(CODEC)
    for content in CONTENTS:
        flags, body = CODEC.compressor.shrink(content)
        builder.add(CODEC.chunk_id(content, flags=0), flags=flags, size=len(content), body=body)
    directory, parts = builder.finish()
    return builder.pack_id, directory, b"".join(parts)


def test_a_pack_describes_itself():
    pack_id, directory, data = packed()
    opened = list(open_pack(CODEC, pack_id, data))
    assert [entry for entry, _ in opened] == list(directory.entries)
    assert [plain for _, plain in opened] == list(CONTENTS)


def test_the_directory_can_be_read_alone():
    pack_id, directory, data = packed()
    offset, length = directory_span(len(data), data[-format.TAIL_SIZE :])
    sealed = data[offset : offset + length]
    found = open_directory(CODEC, pack_id, header=data[: format.HEADER_SIZE], sealed=sealed)
    assert list(found.entries) == list(directory.entries)


def test_a_directory_comes_back_from_its_bytes():
    pack_id, directory, _ = packed()
    cursor = Cursor(directory.encode() + b"rest")
    assert list(Directory.decode(pack_id, cursor).entries) == list(directory.entries)
    assert cursor.take(4) == b"rest"


def test_every_flipped_bit_of_a_pack_is_noticed():
    pack_id, _, data = packed()
    for at in range(len(data)):
        damaged = bytearray(data)
        damaged[at] ^= 0x80
        with pytest.raises(errors.IntegrityError):
            list(open_pack(CODEC, pack_id, bytes(damaged)))


def test_a_pack_that_was_cut_off_or_made_longer_is_noticed():
    pack_id, _, data = packed()
    for wrong in (b"", data[:10], data[:-1], data + b"x", data[:32] + data[33:]):
        with pytest.raises(errors.IntegrityError):
            list(open_pack(CODEC, pack_id, wrong))


def test_a_pack_under_another_name_is_noticed():
    _, _, data = packed()
    with pytest.raises(errors.IntegrityError):
        list(open_pack(CODEC, bytes(16), data))


def test_a_pack_is_full_by_bytes_or_by_entries():
    builder = PackBuilder(CODEC)
    builder.add(bytes(16), flags=0, size=format.PACK_SIZE, body=bytes(format.PACK_SIZE))
    assert builder.full
    builder = PackBuilder(CODEC)
    for number in range(format.PACK_ENTRIES):
        assert not builder.full
        builder.add(number.to_bytes(16), flags=0, size=1, body=b"1")
    assert builder.full
