# SPDX-License-Identifier: Apache-2.0
"""Does a proof look at every byte of a pack, and count once?"""

import random
import time

import pytest

from karbor.model import errors
from karbor.sdk.testing.faults import FaultyBank
from karbor.vault import format
from karbor.vault.codec import Codec
from karbor.vault.keys import DomainKeys
from karbor.vault.pack import PackBuilder
from karbor.vault.proof import EarlyProof, PackProof, Proven
from tests.support.vaults import MIB, BytesSource, memory_bank, nothing, open_vault

CODEC = Codec(DomainKeys.from_data_key(b"k" * 32), compression_level=1)
NOISE = random.Random(6)
DEADLINE = 120


def put_pack(bank, contents, *, wrong_name=False):
    builder = PackBuilder(CODEC)
    for content in contents:
        flags, body = CODEC.compressor.shrink(content)
        name = CODEC.chunk_id(content + b"!" * wrong_name, flags=0)
        builder.add(name, flags=flags, size=len(content), body=body)
    _, parts = builder.finish()
    bank.put_own_parts(format.pack_name(builder.pack_id), parts)
    return builder.pack_id


def proof_of(bank):
    return PackProof(bank, prefix="", codec=CODEC)


def test_a_pack_that_is_read_in_several_portions_is_proven():
    bank = memory_bank()
    pack_id = put_pack(bank, [NOISE.randbytes(size) for size in (3 * MIB, 2 * MIB, 1, 4 * MIB, 100)])
    assert proof_of(bank).read(pack_id) == bank.stat(format.pack_name(pack_id)).size


def test_a_pack_with_a_long_directory_is_proven():
    bank = memory_bank()
    pack_id = put_pack(bank, [b"%d" % number for number in range(4000)])
    assert proof_of(bank).read(pack_id) == bank.stat(format.pack_name(pack_id)).size


def test_no_byte_can_differ():
    bank = memory_bank()
    pack_id = put_pack(bank, [b"one", b"two" * 1000, b"", NOISE.randbytes(300)])
    name = format.pack_name(pack_id)
    whole = bank.objects[name]
    proof = proof_of(bank)
    for at in range(len(whole)):
        bank.objects[name] = whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]
        with pytest.raises(errors.IntegrityError):
            proof.read(pack_id)
    for wrong in (b"", whole[:20], whole[:-1], whole + b"x", whole[:100] + whole[101:]):
        bank.objects[name] = wrong
        with pytest.raises(errors.IntegrityError):
            proof.read(pack_id)
    bank.objects[name] = whole
    assert proof.read(pack_id) == len(whole)


def test_a_chunk_that_was_sealed_under_another_name_is_noticed():
    bank = memory_bank()
    pack_id = put_pack(bank, [b"content"], wrong_name=True)
    with pytest.raises(errors.IntegrityError):
        proof_of(bank).read(pack_id)


def test_a_missing_pack_is_missing():
    with pytest.raises(errors.ObjectNotFound):
        proof_of(memory_bank()).read(bytes(16))


def test_a_proof_counts_once():
    proven = Proven()
    proven.add(b"1")
    assert proven.take(b"1")
    assert not proven.take(b"1")


def test_early_proofs_are_remembered_and_damage_is_left_to_the_end():
    bank = memory_bank()
    bad, good = put_pack(bank, [b"one"]), put_pack(bank, [b"two"])
    bank.objects[format.pack_name(bad)] = bank.objects[format.pack_name(bad)][:-1]
    proven = Proven()
    early = EarlyProof(proof_of(bank), proven)
    early.submit(bad)
    early.submit(good)
    end = time.monotonic() + DEADLINE
    while not proven.take(good) and time.monotonic() < end:
        time.sleep(0.01)
    early.end()
    assert time.monotonic() < end
    assert not proven.take(bad)


@pytest.fixture
def written(tmp_path):
    """(bank that counts, domain, stream): its packs are taken to be proven already."""
    bank = FaultyBank(memory_bank())
    vault = open_vault(bank, tmp_path)
    domain = vault.domain("project")
    info = domain.write_stream(BytesSource(NOISE.randbytes(MIB)), advance=nothing)
    [name] = [name for name in bank.inner.objects if "/pack/" in name]
    domain._for_writing().store.proven.add(format.pack_id_of(name))
    yield bank, domain, info, name
    vault.close()


def test_what_was_proven_early_is_not_read_again_but_is_read_the_next_time(written):
    bank, domain, info, name = written
    whole = bank.inner.objects[name]
    bank.inner.objects[name] = whole[:60] + bytes([whole[60] ^ 1]) + whole[61:]  # nobody may look
    told = []
    domain.read_back([info], told.append)
    assert sum(told) >= len(whole)
    with pytest.raises(errors.IntegrityError):
        domain.read_back([info], nothing)


@pytest.mark.parametrize("kind", ["gone", "cut"])
def test_what_was_proven_early_must_still_be_there(written, kind):
    bank, domain, info, name = written
    data = bank.inner.objects.pop(name)
    if kind == "cut":
        bank.inner.objects[name] = data[:-1]
    with pytest.raises(errors.IntegrityError):
        domain.read_back([info], nothing)
