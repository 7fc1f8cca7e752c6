# SPDX-License-Identifier: Apache-2.0
"""Does a sealed chunk open to what it was, and to nothing else?"""

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from karbor.model import errors
from karbor.vault import format
from karbor.vault.codec import Codec, grow, open_chunk, seal_chunk
from karbor.vault.keys import DomainKeys

CODEC = Codec(DomainKeys.from_data_key(b"k" * 32), compression_level=1)
CIPHER = CODEC.cipher(b"p" * 16)


@given(st.binary(max_size=5000))
def test_what_shrinks_grows_again(plain):
    flags, body = CODEC.compressor.shrink(plain)
    assert grow(flags, bytes(body), len(plain)) == plain


def test_what_does_not_get_smaller_is_kept_as_it_is():
    plain = bytes(range(256))
    assert CODEC.compressor.shrink(plain) == (0, plain)
    assert CODEC.compressor.shrink(bytes(4096))[0] == format.ZSTD


@pytest.mark.parametrize("size", [0, 9, 11])
def test_a_wrong_size_is_damage(size):
    with pytest.raises(errors.IntegrityError):
        grow(0, b"0123456789", size)


def test_a_frame_that_is_none_is_damage():
    with pytest.raises(errors.IntegrityError):
        grow(format.ZSTD, b"no frame at all", 100)


@pytest.mark.parametrize("said", [True, False])
def test_a_frame_opens_whether_it_says_its_size_or_not(said):
    frame = zstandard.ZstdCompressor(write_content_size=said).compress(bytes(5000))
    assert grow(format.ZSTD, frame, 5000) == bytes(5000)


def test_a_frame_that_says_more_than_it_may_is_not_given_the_memory():
    frame = zstandard.ZstdCompressor(write_content_size=True).compress(bytes(1 << 20))
    with pytest.raises(errors.IntegrityError) as refusal:
        grow(format.ZSTD, frame, 100)
    assert "says more" in (refusal.value.detail or "")


def test_content_and_nodes_never_share_a_name():
    assert CODEC.chunk_id(b"x", flags=0) == CODEC.chunk_id(b"x", flags=format.ZSTD)
    assert CODEC.chunk_id(b"x", flags=0) != CODEC.chunk_id(b"x", flags=format.NODE)


def test_domains_never_share_a_name():
    other = Codec(DomainKeys.from_data_key(b"o" * 32), compression_level=1)
    assert CODEC.chunk_id(b"x", flags=0) != other.chunk_id(b"x", flags=0)


def test_a_chunk_opens_only_as_what_it_was_sealed():
    shape = {"flags": 0, "size": 5, "offset": 32}
    sealed = seal_chunk(CIPHER, b"i" * 16, **shape, body=b"plain")
    assert open_chunk(CIPHER, b"i" * 16, **shape, sealed=sealed) == b"plain"
    wrong = ({"flags": 2}, {"size": 6}, {"offset": 33}, {"sealed": sealed[:-1]}, {"size": format.MAX_CHUNK + 1})
    for change in wrong:
        with pytest.raises(errors.IntegrityError):
            open_chunk(CIPHER, b"i" * 16, **{**shape, "sealed": sealed, **change})
    with pytest.raises(errors.IntegrityError):
        open_chunk(CIPHER, b"j" * 16, **shape, sealed=sealed)
    with pytest.raises(errors.IntegrityError):
        open_chunk(CODEC.cipher(b"q" * 16), b"i" * 16, **shape, sealed=sealed)


def test_a_sealed_object_opens_under_its_name_alone():
    sealed = CODEC.seal_document("record/a/1", {"b": [1]})
    assert CODEC.open_document("record/a/1", sealed) == {"b": [1]}
    with pytest.raises(errors.IntegrityError):
        CODEC.open_document("record/a/2", sealed)


@pytest.mark.parametrize("plain", [b"", b"short", bytes(100_000)])
def test_every_flipped_bit_of_a_sealed_object_is_noticed(plain):
    sealed = CODEC.seal_object("n", plain)
    assert CODEC.open_object("n", sealed) == plain
    for at in range(len(sealed)):
        damaged = bytearray(sealed)
        damaged[at] ^= 0x10
        with pytest.raises(errors.IntegrityError):
            CODEC.open_object("n", bytes(damaged))
    for length in range(len(sealed)):
        with pytest.raises(errors.IntegrityError):
            CODEC.open_object("n", sealed[:length])


def test_the_same_document_never_looks_the_same():
    assert CODEC.seal_document("n", {}) != CODEC.seal_document("n", {})
