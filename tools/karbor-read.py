#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Is there a way to the data of a bank without Karbor? Lists, checks and restores checkpoints of a bank directory.

Needs Python 3.11, zstandard, cryptography and the master key; made from doc/source/reference/format.rst alone. Reads
damaged banks too: what is lost is reported, stays a hole in the output, and is marked in OUTPUT.map (GNU ddrescue).
Ends with 0: all is whole; 1: something is lost, as reported; 2: nothing could be done.

    karbor-read.py --bank DIR --key FILE list                       every checkpoint, and streams of no checkpoint
    karbor-read.py --bank DIR --key FILE check [ID]                 read everything, write nothing
    karbor-read.py --bank DIR --key FILE restore ID DIRECTORY       a checkpoint, or a stream by its id
"""

import argparse
import base64
import functools
import hashlib
import hmac
import json
import os
import re
import sqlite3
import struct
import sys
from pathlib import Path

import zstandard
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

HEADER, TRAILER, LEAF_SPAN, FANOUT_BITS, MAX_CHUNK, MAX_OBJECT = 48, 12, 1 << 20, 5, 4 << 20, 256 << 20


class Lost(Exception):
    """An object or a part of one is not there, or not as it was written."""


def derive(key, info, salt=b""):
    return HKDF(hashes.SHA256(), 32, salt, info).derive(key)


def opened(cipher, nonce, sealed, data, what):
    try:
        return cipher.decrypt(nonce, sealed, data)
    except (InvalidTag, ValueError):
        raise Lost(f"{what} does not open") from None


def grown(flags, body, size, limit, what):
    """The content of a body: one zstd frame where the flags say so, of ``size`` bytes."""
    try:
        if flags & 1 and 0 < size <= limit and zstandard.frame_content_size(body) <= size:
            body = zstandard.ZstdDecompressor().decompress(body, max_output_size=size)
    except zstandard.ZstdError as fault:
        raise Lost(f"{what}: {fault}") from fault
    if len(body) != size:
        raise Lost(f"{what} has another length than it says")
    return body


def content(path, offset=0, length=-1):
    try:
        with path.open("rb") as file:
            file.seek(offset)
            data = file.read(length)
    except OSError as fault:
        raise Lost(f"{path.parent.name}/{path.name}: {fault.strerror}") from fault
    if len(data) < (HEADER if length < 0 else length):
        raise Lost(f"{path.parent.name}/{path.name} is too short")
    return data


def listed(directory):
    return sorted(directory.glob("[!.]*"))  # names that begin with a dot are no objects


def read_key(path):
    text = Path(path).read_text().strip()
    key = bytes.fromhex(text) if re.fullmatch("[0-9a-fA-F]{64}", text) else base64.b64decode(text)
    if len(key) != 32:
        raise ValueError(f"{path} is no master key: it must hold 32 bytes")
    return key


def unwrapped(bank, place, masters, nested=False):
    """The document of the newest wrapping that one of the master keys made, or else of one that was sealed."""
    reasons, sealed = [], b""
    for path in reversed(listed(bank / place)):
        try:
            data = content(path)
            magic, version, scheme, reserved, key_id, nonce = struct.unpack(">8sHHI16s12s", data[:44])
            if path.name == "destroyed" or (magic, version, reserved) != (b"KARBWKEY", 1, 0) or scheme not in (1, 2):
                raise Lost(f"{place}{path.name}: the key is destroyed, or unknown to this program")
            sealed = data if scheme == 2 else sealed
            for master in masters:
                if hmac.digest(master, b"karbor master key id", hashlib.sha256)[:16] == key_id:
                    return json.loads(opened(AESGCM(master), nonce, data[44:], data[:44] + place.encode(), place))
            reasons.append(f"{place}{path.name} was wrapped by another master key")
        except Lost as fault:
            reasons.append(str(fault))
    if sealed and not nested:
        return unsealed(bank, place, masters, sealed)
    raise Lost("; ".join(reasons) or f"there is no key in {place}")


def unsealed(bank, place, masters, data):
    """The document that was sealed to the public key of another domain (key scheme 2)."""
    parent, once = bytes.fromhex(unwrapped(bank, f"d/{data[16:32].hex()}/key/", masters, True)["key"]), data[32:64]
    private = X25519PrivateKey.from_private_bytes(derive(parent, b"karbor 2 unseal"))
    shared = private.exchange(X25519PublicKey.from_public_bytes(once)) + once + private.public_key().public_bytes_raw()
    cipher = AESGCM(derive(shared, b"karbor 2 sealed key", derive(parent, b"karbor 2 sealing")))
    return json.loads(opened(cipher, bytes(12), data[64:], data[:64] + place.encode(), place))


class Numbers:
    """LEB128 numbers and bytes from the front."""

    def __init__(self, data, what):
        self.data, self.at, self.what = data, 0, what

    def take(self, length):
        self.at += length
        if self.at > len(self.data):
            raise Lost(f"{self.what} ends too early")
        return self.data[self.at - length : self.at]

    def number(self):
        byte = self.take(1)[0]
        return byte if byte < 128 else byte & 127 | self.number() << 7

    def chunks(self):
        """(id, flags, offset, stored, size) of every chunk of the directory of a pack."""
        shapes = [(self.take(1)[0], self.number(), self.number()) for _ in range(self.number())]
        offset = HEADER
        for flags, stored, size in shapes:
            yield self.take(16), flags, offset, stored, size
            offset += stored


class Domain:
    """What one project has in the bank."""

    def __init__(self, root, masters):
        self.root = root
        document = unwrapped(root.parent.parent, f"d/{root.name}/key/", masters)
        self.label = document["label"]
        self.pack_key = derive(bytes.fromhex(document["key"]), b"karbor 1 packs")
        self.object_key = derive(bytes.fromhex(document["key"]), b"karbor 1 objects")
        self.cipher = functools.lru_cache(1024)(lambda pack: AESGCM(derive(self.pack_key, b"karbor 1 pack", pack)))
        self.chunk = functools.lru_cache(128)(self._chunk)

    def sealed(self, name):
        """The plain bytes of a sealed object."""
        data = content(self.root / name)
        magic, version, scheme, flags, reference, salt = struct.unpack(">8sHHI16s16s", data[:HEADER])
        if (magic, version, scheme, reference) != (b"KARBSEAL", 1, 1, bytes(16)):
            raise Lost(f"{name} is damaged, or of a version that this program does not know")
        key = derive(self.object_key, b"karbor 1 object " + name.encode(), salt)
        plain = opened(AESGCM(key), bytes(12), data[HEADER:], data[:HEADER], name)
        return grown(flags, plain[4:], int.from_bytes(plain[:4]), MAX_OBJECT, name)

    def points(self, wanted=None):
        """(id, document; ``lost`` in it is why there is none) of every checkpoint that was not deleted, and of streams
        that none of them names, as if each were a checkpoint. Of all, or only what has the id ``wanted``."""
        gone = {path.name for path in listed(self.root / "gone/record/checkpoint")}
        named = set()
        for path in listed(self.root / "record/checkpoint"):
            try:
                document = json.loads(self.sealed(f"record/checkpoint/{path.name}"))
                named.update(id_ for resource in document.get("resources", ()) for id_ in resource["streams"].values())
                gone -= {path.name} if path.name in gone and self.locked(path.name) else set()
            except Lost as fault:
                document = {"lost": str(fault)}
            if wanted in (None, path.name) and path.name not in gone and not document.get("void"):
                yield path.name, document
        for path in listed(self.root / "stream"):
            if path.name == wanted or (wanted is None and path.name not in named):
                yield path.name, {"resources": [{"key": "stream", "streams": {path.name: path.name}}], "alone": True}

    def locked(self, name):
        """Whether the tombstone of a checkpoint does not count: who may delete what had locks closes them first."""
        holds = [f"hold/{path.name}" for path in self.root.glob(f"hold/checkpoint.{name}.*")]
        found = [json.loads(self.sealed(place)) for place in (f"gone/record/checkpoint/{name}", *holds)]
        return bool(holds) and not any(one.get("void") or one.get("event") == "close" for one in found)

    @functools.cached_property
    def places(self):
        """Where chunks lie, as index objects and packs that none lists tell; on disk, for there may be very many."""
        places = sqlite3.connect("")
        columns = "id, pack, flags, offset, stored, size, PRIMARY KEY (id, pack)"
        places.execute(f"CREATE TABLE place ({columns}) WITHOUT ROWID")
        known = set()
        for path in listed(self.root / "index"):
            try:
                numbers = Numbers(self.sealed(f"index/{path.name}"), f"index/{path.name}")
                if numbers.number() != 1:
                    raise Lost(f"index/{path.name} is of a version that this program does not know")
                known.update(self._add(places, numbers.take(16), numbers) for _ in range(numbers.number()))
            except Lost as fault:
                print(f"damaged, but packs may tell the same: {fault}")
        names = (path.name for shelf in listed(self.root / "pack") for path in listed(shelf))
        there = {bytes.fromhex(name) for name in names if re.fullmatch("[0-9a-f]{32}", name)}
        for pack in sorted(there - known):
            try:
                self._add(places, pack, self._directory(pack))
            except (Lost, OSError) as fault:
                print(f"nobody knows what lies in a pack: {fault}")
        print(*(f"missing: pack {pack.hex()}\n" for pack in sorted(known - there)), sep="", end="")
        return places

    def _add(self, places, pack, numbers):
        rows = ((row[0], pack, *row[1:]) for row in numbers.chunks())
        places.executemany("INSERT OR IGNORE INTO place VALUES (?, ?, ?, ?, ?, ?)", rows)
        return pack

    def _directory(self, pack):
        name, path = f"pack {pack.hex()}", self.root / "pack" / pack.hex()[:2] / pack.hex()
        size = path.stat().st_size
        head, tail = content(path, 0, HEADER), content(path, max(size - TRAILER, 0), TRAILER)
        length, mark = struct.unpack(">I8s", tail)
        wanted = struct.pack(">8sHHI16s16s", b"KARBPACK", 1, 1, 0, bytes(16), pack)
        if mark != b"KARBPEND" or head != wanted or length > size - HEADER - TRAILER:
            raise Lost(f"{name} is damaged, or of a version that this program does not know")
        tail = content(path, size - TRAILER - length, length)
        return Numbers(opened(self.cipher(pack), bytes(12), tail, head, name), name)

    def _chunk(self, chunk_id):
        """The plain bytes of a chunk, from the first of its copies that opens."""
        reasons = []
        for _, pack, flags, offset, stored, size in self.places.execute("SELECT * FROM place WHERE id=?", (chunk_id,)):
            what = f"chunk {chunk_id.hex()} in pack {pack.hex()}"
            try:
                sealed = content(self.root / "pack" / pack.hex()[:2] / pack.hex(), offset, stored)
                shape = struct.pack(">16sBI", chunk_id, flags, size)
                body = opened(self.cipher(pack), offset.to_bytes(12), sealed, shape, what)
                return grown(flags, body, size, MAX_CHUNK, what)
            except Lost as fault:
                reasons.append(str(fault))
        raise Lost("; ".join(reasons) or f"chunk {chunk_id.hex()} is in no pack that is left")


class Stream:
    """One stream of a domain. ``lost`` are ranges that could not be read: [offset, length, reason]."""

    def __init__(self, domain, stream_id):
        root = json.loads(domain.sealed(f"stream/{stream_id}"))
        if (root["version"], root["leaf"], root["fanout"]) != (1, LEAF_SPAN, 1 << FANOUT_BITS):
            raise Lost(f"stream {stream_id} is of a version that this program does not know")
        self.domain, self.size, self.lost = domain, root["size"], []
        self.root = root["root"] and bytes.fromhex(root["root"])

    def pieces(self):
        """(offset, bytes) of everything that is not zero and not lost, in order."""
        level = next(level for level in range(12) if LEAF_SPAN << FANOUT_BITS * level >= self.size)
        return self._node(self.root, level, 0) if self.root else ()

    def _node(self, node_id, level, index):
        span = LEAF_SPAN << FANOUT_BITS * level
        try:
            numbers = Numbers(self.domain.chunk(node_id), f"node {node_id.hex()}")
            kind, second = numbers.take(2)
            if (kind, second) != (2, level) if level else kind != 1:
                raise Lost(f"{numbers.what} is of a kind that this program does not know")
            below = list(self._children(numbers, index) if level else self._parts(numbers, index * span, second))
        except Lost as fault:
            reason = f"unknown content (a part of the recipe): {fault}"
            return self._lose(index * span, min(span, self.size - index * span), reason)
        for entry in below:
            yield from self._node(entry[0], level - 1, entry[1]) if level else self._part(*entry)

    def _children(self, numbers, index):
        bitmap = int.from_bytes(numbers.take(4), "little")
        return [(numbers.take(16), (index << FANOUT_BITS) + slot) for slot in range(32) if bitmap >> slot & 1]

    def _parts(self, numbers, at, shift):
        ids = [numbers.take(16) for _ in range(numbers.number())]
        for _ in range(numbers.number()):
            gap, length, which, within = (numbers.number() << bits for bits in (shift, shift, 0, shift))
            yield at + gap, length, ids[which], within
            at += gap + length

    def _part(self, offset, length, chunk_id, within):
        try:
            data = self.domain.chunk(chunk_id)[within : within + length]
            if len(data) != length:
                raise Lost(f"chunk {chunk_id.hex()} is shorter than its recipe says")
            yield offset, data
        except Lost as fault:
            self._lose(offset, length, str(fault))

    def _lose(self, offset, length, reason):
        if self.lost and sum(self.lost[-1][:2]) == offset and self.lost[-1][2] == reason:
            self.lost[-1][1] += length
        else:
            self.lost.append([offset, length, reason])

    def restore(self, path):
        """Write the stream into a new sparse file; with ``path`` None only read it."""
        with path.open("xb") if path else open(os.devnull, "wb") as out:
            if path:
                out.truncate(self.size)
            for offset, data in self.pieces():
                os.pwrite(out.fileno(), data, offset)
        if self.lost and path:
            lines, end = ["# Made by karbor-read: + is whole, - is lost", "0x0 + 1"], 0
            for offset, length, _ in [*self.lost, (self.size, 0, "")]:
                lines += [f"0x{end:X} 0x{offset - end:X} +"] if offset > end else []
                lines += [f"0x{offset:X} 0x{length:X} -"] if length else []
                end = offset + length
            path.with_name(f"{path.name}.map").write_text("\n".join([*lines, ""]))


def read_stream(domain, stream_id, about, path):
    """Restore or check one stream, print what came of it; whether it is whole."""
    try:
        stream = Stream(domain, stream_id)
        stream.restore(path)
    except Lost as fault:
        print(f"LOST {about}: all of it: {fault}")
        return False
    print(*(f"LOST {about}: {offset}+{length}: {reason}\n" for offset, length, reason in stream.lost), sep="", end="")
    missing = sum(length for _, length, _ in stream.lost)
    print(f"{'damaged' if missing else 'whole'} {about}: {stream.size} bytes, {missing} lost")
    return not missing


def read_point(domain, document, given):
    """Restore or check every wanted stream of a checkpoint; whether all are whole."""
    whole, directory = True, given.verb == "restore" and Path(given.directory)
    if directory:
        directory.mkdir(parents=True, exist_ok=True)
        with (directory / "checkpoint.json").open("x") as out:
            json.dump(document, out, indent=1)
    for number, resource in enumerate(document.get("resources", ())):
        for name, stream_id in sorted(resource["streams"].items()):
            if given.resource in (None, resource["key"]) and given.stream in (None, name):
                file = re.sub(r"[^\w.-]+", "_", f"{number:03}-{resource['key']}-{name}")
                whole &= read_stream(domain, stream_id, f"{resource['key']} {name}", directory and directory / file)
    return whole


def show(domain, point_id, document):
    """A checkpoint in one line, and one line for each stream."""
    if "lost" in document:
        print(f"LOST checkpoint {point_id} of project {domain.label}: {document['lost']}")
        return
    what = "stream of no checkpoint" if document.get("alone") else document.get("plan", {}).get("name", "")
    print(f"{point_id}  project {domain.label}  {document.get('created_at', '')}  {what}")
    for resource in () if document.get("alone") else document.get("resources", ()):
        print(*(f"    {resource['key']} {name}  stream {id_}" for name, id_ in resource["streams"].items()), sep="\n")


def run(given):
    """Whether nothing is lost of what was asked for."""
    bank = next((path for path in (given.bank, *listed(given.bank)) if (path / "d").is_dir()), None)
    if bank is None:
        raise ValueError(f"{given.bank} is no bank: there is no directory d in it")
    lost = found = 0
    for root in listed(bank / "d"):
        try:
            domain = Domain(root, [read_key(path) for path in given.key])
        except Lost as fault:
            lost += given.id is None  # what was asked for may be in another one, or else is not found
            print(f"LOST domain {root.name}: {fault}")
            continue
        for point_id, document in domain.points(given.id):
            found += 1
            lost += "lost" in document
            show(domain, point_id, document)
            if given.verb == "restore" or (given.verb == "check" and (given.id or not document.get("alone"))):
                lost += not read_point(domain, document, given)
    if given.id and not found:
        raise ValueError(f"there is no {given.id}")
    return not lost


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bank", required=True, type=Path, help="directory of the bank")
    parser.add_argument("--key", required=True, action="append", help="file of a master key; may be repeated")
    parser.add_argument("--resource", help="only this resource of the checkpoint")
    parser.add_argument("--stream", help="only streams of this name")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("list").set_defaults(id=None)
    verbs.add_parser("check").add_argument("id", nargs="?")
    restore = verbs.add_parser("restore")
    restore.add_argument("id")
    restore.add_argument("directory", help="made where it is missing; nothing in it is overwritten")
    try:
        return 0 if run(parser.parse_args()) else 1
    except (OSError, ValueError) as fault:
        print(f"karbor-read: {fault}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
