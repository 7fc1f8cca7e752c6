# SPDX-License-Identifier: Apache-2.0
"""Does the code still make, byte for byte, what the description of the format gives as examples?"""

import json
from pathlib import Path

import pytest

from karbor.vault.codec import Codec, open_chunk, seal_chunk
from karbor.vault.format import Cursor, put_varint
from karbor.vault.keyring import domain_name_of
from karbor.vault.keys import DomainKeys, MasterKey, derive
from karbor.vault.pack import Directory, Entry
from karbor.vault.recipe import Piece, decode_inner, decode_leaf, encode_inner, encode_leaf
from karbor.vault.sealing import Sealer, parent_of, unseal

VECTORS = json.loads((Path(__file__).parent / "vectors.json").read_text())
KEYS = DomainKeys.from_data_key(bytes.fromhex(VECTORS["derived"]["data_key"]))
CODEC = Codec(KEYS, compression_level=1)
hexed = bytes.fromhex


@pytest.mark.parametrize("vector", VECTORS["varint"], ids=lambda vector: vector["bytes"])
def test_numbers(vector):
    out = bytearray()
    put_varint(out, vector["value"])
    assert out.hex() == vector["bytes"]
    assert Cursor(hexed(vector["bytes"])).varint() == vector["value"]


def test_a_wrapped_key():
    master = MasterKey(hexed(VECTORS["master_key"]))
    assert master.id.hex() == VECTORS["master_key_id"]
    vector = VECTORS["wrapped_key"]
    assert master.unwrap(vector["place"], hexed(vector["bytes"])) == vector["document"]


def test_a_sealed_key():
    vector = VECTORS["sealed_key"]
    data_key = hexed(vector["data_key"])
    sealer = Sealer.of(data_key, bank="", domain=vector["domain"], label=vector["document"]["label"])
    assert (sealer.public.hex(), sealer.secret.hex()) == (vector["public"], vector["sealing_secret"])
    made = sealer.seal(vector["place"], vector["document"], ephemeral=hexed(vector["ephemeral"]))
    assert made.hex() == vector["bytes"]
    assert parent_of(made) == vector["domain"]
    assert unseal(data_key, vector["place"], made) == vector["document"]


def test_the_name_of_a_domain():
    vector = VECTORS["domain"]
    assert domain_name_of(hexed(vector["vault_key"]), vector["label"]) == vector["name"]


@pytest.mark.parametrize("purpose", ["chunk_ids", "node_ids", "packs", "objects"])
def test_derived_keys(purpose):
    assert getattr(KEYS, purpose).hex() == VECTORS["derived"][purpose]


def test_a_chunk():
    vector = VECTORS["chunk"]
    plain, chunk_id, pack_id = hexed(vector["plain"]), hexed(vector["id"]), hexed(vector["pack_id"])
    assert CODEC.chunk_id(plain, flags=0) == chunk_id
    assert CODEC.chunk_id(plain, flags=2).hex() == vector["id_as_node"]
    assert derive(KEYS.packs, salt=pack_id, info=b"karbor 1 pack").hex() == vector["pack_key"]
    shape = {"flags": vector["flags"], "size": len(plain), "offset": vector["offset"]}
    cipher = CODEC.cipher(pack_id)
    assert seal_chunk(cipher, chunk_id, **shape, body=plain).hex() == vector["sealed"]
    assert open_chunk(cipher, chunk_id, **shape, sealed=hexed(vector["sealed"])) == plain


def test_a_sealed_object():
    vector = VECTORS["object"]
    assert CODEC.open_object(vector["name"], hexed(vector["bytes"])) == hexed(vector["plain"])


def test_a_directory():
    vector = VECTORS["directory"]
    pack_id = hexed(VECTORS["chunk"]["pack_id"])
    entries = [Entry(hexed(e["id"]), e["flags"], e["offset"], e["stored"], e["size"]) for e in vector["entries"]]
    assert Directory(pack_id, entries).encode().hex() == vector["bytes"]
    assert Directory.decode(pack_id, Cursor(hexed(vector["bytes"]))).entries == entries


def test_a_leaf():
    vector = VECTORS["leaf"]
    pieces = [Piece(p["offset"], p["length"], hexed(p["chunk"]), p["within"]) for p in vector["pieces"]]
    assert encode_leaf(pieces, vector["start"]).hex() == vector["bytes"]
    assert decode_leaf(hexed(vector["bytes"]), vector["start"]) == pieces


def test_an_inner_node():
    vector = VECTORS["inner"]
    children = {int(slot): hexed(node_id) for slot, node_id in vector["children"].items()}
    assert encode_inner(vector["level"], children).hex() == vector["bytes"]
    assert decode_inner(hexed(vector["bytes"]), vector["level"]) == list(children.items())
