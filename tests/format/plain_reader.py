# SPDX-License-Identifier: Apache-2.0
"""Can a bank directory be read from ``format.rst`` alone, without Karbor, BLAKE3 and xxHash?

Written from the description, with the standard library, zstandard and cryptography. It imports nothing of Karbor, so
that a change of the format that the description does not know fails a test.
"""

import hashlib
import hmac
import json
import struct
from pathlib import Path

import zstandard
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF


def derive(key, info, salt=b""):
    return HKDF(algorithm=hashes.SHA256(), length=32, salt=salt, info=info).derive(key)


def unwrap(master, place, data):
    """A wrapped key: its JSON document."""
    magic, version, scheme, reserved, key_id, nonce = struct.unpack(">8sHHI16s12s", data[:44])
    assert (magic, version, scheme, reserved) == (b"KARBWKEY", 1, 1, 0)
    assert key_id == hmac.digest(master, b"karbor master key id", hashlib.sha256)[:16], "another master key"
    return json.loads(AESGCM(master).decrypt(nonce, data[44:], data[:44] + place.encode()))


def grow(flags, body, size):
    plain = zstandard.ZstdDecompressor().decompress(body, max_output_size=size) if flags & 1 and size else body
    assert len(plain) == size
    return plain


class Numbers:
    """LEB128 numbers and bytes from the front."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, length):
        self.at += length
        return self.data[self.at - length : self.at]

    def number(self):
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    def directory(self):
        shapes = [(self.take(1)[0], self.number(), self.number()) for _ in range(self.number())]
        offset = 48
        for flags, stored, size in shapes:
            yield flags, offset, stored, size
            offset += stored

    def entries(self):
        shapes = list(self.directory())
        return [(self.take(16), *shape) for shape in shapes]


class PlainReader:
    """One domain of a bank directory."""

    def __init__(self, container: Path, *, master: bytes, label: str):
        vault_key = self._key(master, container, "vault/key/")
        domain = hmac.digest(vault_key, b"karbor 1 domain " + label.encode(), hashlib.sha256)[:16].hex()
        self.root = container / "d" / domain
        data_key = self._key(master, container, f"d/{domain}/key/")
        self.pack_key = derive(data_key, b"karbor 1 packs")
        self.object_key = derive(data_key, b"karbor 1 objects")
        self.places = {}

    def _key(self, master, container, place):
        newest = max((container / place).iterdir())
        return bytes.fromhex(unwrap(master, place, newest.read_bytes())["key"])

    def sealed(self, name):
        """The plain bytes of a sealed object."""
        data = (self.root / name).read_bytes()
        magic, version, scheme, flags, reference, salt = struct.unpack(">8sHHI16s16s", data[:48])
        assert (magic, version, scheme, reference) == (b"KARBSEAL", 1, 1, bytes(16))
        key = derive(self.object_key, b"karbor 1 object " + name.encode(), salt)
        plain = AESGCM(key).decrypt(bytes(12), data[48:], data[:48])
        return grow(flags, plain[4:], int.from_bytes(plain[:4]))

    def document(self, name):
        return json.loads(self.sealed(name))

    def learn_index_objects(self):
        for path in (self.root / "index").iterdir():
            numbers = Numbers(self.sealed(f"index/{path.name}"))
            assert numbers.number() == 1
            for _ in range(numbers.number()):
                self._learn(numbers.take(16), numbers)

    def learn_packs(self):
        for path in (self.root / "pack").glob("*/*"):
            data = path.read_bytes()
            length, mark = struct.unpack(">I8s", data[-12:])
            assert mark == b"KARBPEND"
            pack_id = bytes.fromhex(path.name)
            assert data[:48] == struct.pack(">8sHHI16s16s", b"KARBPACK", 1, 1, 0, bytes(16), pack_id)
            sealed = data[-12 - length : -12]
            self._learn(pack_id, Numbers(self._cipher(pack_id).decrypt(bytes(12), sealed, data[:48])))

    def _learn(self, pack_id, numbers):
        for chunk_id, *shape in numbers.entries():
            self.places[chunk_id] = (pack_id, *shape)

    def _cipher(self, pack_id):
        return AESGCM(derive(self.pack_key, b"karbor 1 pack", pack_id))

    def chunk(self, chunk_id):
        pack_id, flags, offset, stored, size = self.places[chunk_id]
        data = (self.root / "pack" / pack_id.hex()[:2] / pack_id.hex()).read_bytes()
        shape = struct.pack(">16sBI", chunk_id, flags, size)
        body = self._cipher(pack_id).decrypt(offset.to_bytes(12), data[offset : offset + stored], shape)
        return grow(flags, body, size)

    def stream(self, stream_id):
        """The bytes of a stream."""
        document = self.document(f"stream/{stream_id}")
        assert (document["version"], document["leaf"], document["fanout"]) == (1, 1 << 20, 32)
        out = bytearray(document["size"])
        level = 0
        while (1 << 20) << 5 * level < len(out):
            level += 1
        if document["root"]:
            self._node(bytes.fromhex(document["root"]), level, 0, out)
        return bytes(out)

    def _node(self, node_id, level, index, out):
        numbers = Numbers(self.chunk(node_id))
        kind, second = numbers.take(2)
        if level:
            assert (kind, second) == (2, level)
            bitmap = int.from_bytes(numbers.take(4), "little")
            for slot in range(32):
                if bitmap >> slot & 1:
                    self._node(numbers.take(16), level - 1, index * 32 + slot, out)
            return
        assert kind == 1
        ids = [numbers.take(16) for _ in range(numbers.number())]
        at = index << 20
        for _ in range(numbers.number()):
            gap, length, number, within = (numbers.number() for _ in range(4))
            at += gap << second
            length, within = length << second, within << second
            out[at : at + length] = self.chunk(ids[number])[within : within + length]
            at += length
