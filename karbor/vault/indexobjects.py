# SPDX-License-Identifier: Apache-2.0
"""How does the index get into the bank, and how does the cache of a host follow it?

An index object is a sealed list of directories of packs that are already durable. It may be lost: packs describe
themselves.
"""

import logging
import secrets
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from karbor.model import errors
from karbor.sdk.bank import Bank
from karbor.vault import format
from karbor.vault.codec import Codec
from karbor.vault.condemned import CondemnedLists
from karbor.vault.format import Cursor, put_varint
from karbor.vault.index import Index
from karbor.vault.indexbulk import Bulk
from karbor.vault.pack import Directory, directory_span, open_directory

LOG = logging.getLogger(__name__)

_FEW = 4  # index objects that are put into the cache one by one
_ROUND = 1024  # index objects, some 3 GB of scratch room, after which what was learned is kept


class IndexObjects:
    """The index objects and packs of one domain, and the cache that follows them. Thread-safe."""

    def __init__(self, bank: Bank, *, prefix: str, codec: Codec, index: Index) -> None:
        self._bank = bank
        self._prefix = prefix
        self._codec = codec
        self._index = index
        self._lists = CondemnedLists(bank, prefix=prefix, codec=codec)

    def put(self, directories: Sequence[Directory]) -> tuple[str, int]:
        """Write one index object. (name, stored bytes)"""
        out = bytearray()
        put_varint(out, format.VERSION)
        put_varint(out, len(directories))
        for directory in directories:
            out += directory.pack_id + directory.encode()
        name = format.index_name(secrets.token_hex(16))
        data = self._codec.seal_object(name, bytes(out))
        self._bank.put_own(self._prefix + name, data)
        self._index.add(directories, source=name)
        return name, len(data)

    def get(self, name: str) -> Sequence[Directory]:
        """What an index object lists. Raises ObjectNotFound, IntegrityError."""
        cursor = self._listed(name)
        directories = [Directory.decode(cursor.take(format.ID_SIZE), cursor) for _ in range(cursor.varint())]
        cursor.end()
        return directories

    def _listed(self, name: str) -> Cursor:
        """The content of an index object behind its version."""
        cursor = Cursor(self._codec.open_object(name, self._bank.get(self._prefix + name)))
        if cursor.varint() != format.VERSION:
            raise errors.IntegrityError(detail=f"{name}: unknown version")
        return cursor

    def prove(self, name: str) -> None:
        """Tell every host that all packs of this index object were read back. May be called again."""
        marker = format.proof_name(name)
        self._bank.put_own(self._prefix + marker, self._codec.seal_object(marker, b""))
        self._index.prove(name)

    def follow(self) -> None:
        """Bring the cache up to the bank: read new index objects, forget what is gone.

        A damaged index object is passed over: it must not stop new backups, and packs describe themselves.
        """
        spared = self._follow_condemned()
        # What the cache knows is asked first: what another thread learns meanwhile must not look like something gone.
        cached = self._index.sources()
        there = set(self.names(format.index_name("")))
        self._learn(sorted(there - cached))
        for name in cached - there:
            self._index.drop_source(name)
        self._follow_proofs()
        self._follow_damage()
        for pack_id in self._index.pending():
            if not self.holds(pack_id):
                self._index.forget(pack_id)
        for list_id in spared:
            self._index.spare(list_id)

    def _learn(self, names: Sequence[str]) -> None:
        """Read index objects into the cache: a few one by one, many at once and in rounds."""
        if len(names) <= _FEW:
            for name in names:
                with self._passing_over(name):
                    self._index.add(self.get(name), source=name)
            return
        for at in range(0, len(names), _ROUND):
            with Bulk(self._index) as bulk, ThreadPoolExecutor(1, thread_name_prefix="vault-index") as pool:
                batch = names[at : at + _ROUND]
                coming = pool.submit(self._listed, batch[0])
                for number, name in enumerate(batch):
                    listed = coming  # while it is used, the next one is on its way
                    if number + 1 < len(batch):
                        coming = pool.submit(self._listed, batch[number + 1])
                    with self._passing_over(name):
                        bulk.add(listed.result(), source=name)
                bulk.finish()

    @contextmanager
    def _passing_over(self, name: str) -> Iterator[None]:
        """Around the reading of an index object: one that is gone or damaged does no harm."""
        try:
            yield
        except errors.ObjectNotFound:
            return  # replaced by another one since it was listed
        except errors.IntegrityError as fault:
            LOG.error("index object passed over object=%s%s cause=%s", self._prefix, name, fault.detail)

    def _follow_condemned(self) -> set[str]:
        """Take heed of new condemned lists, and return those that are gone.

        Asked for before the index objects: a list that is gone has left no index object that names what it deleted.
        """
        cached = self._index.condemned_lists()
        there = set(self._lists.ids())
        for list_id in sorted(there - cached):
            try:
                condemned = self._lists.get(list_id)
            except errors.ObjectNotFound:
                continue
            self._index.condemn(list_id, packs=condemned.packs, streams=condemned.streams)
        return cached - there

    def note_damage(self, lost: Collection[tuple[bytes, bytes]]) -> None:
        """Tell every host that these copies, (chunk, pack), are lost, so that nobody relies on them any more."""
        packs: dict[str, list[str]] = {}
        for chunk_id, pack_id in sorted(lost):
            packs.setdefault(pack_id.hex(), []).append(chunk_id.hex())
        name = format.damage_name(secrets.token_hex(16))
        document = {"version": format.VERSION, "packs": packs}
        self._bank.put_own(self._prefix + name, self._codec.seal_document(name, document))
        self._index.distrust(lost, note=name)

    def _follow_damage(self) -> None:
        for name in sorted(set(self.names(format.damage_name(""))) - self._index.notes()):
            try:
                packs = self._codec.open_document(name, self._bank.get(self._prefix + name))["packs"]
            except (errors.ObjectNotFound, errors.IntegrityError) as fault:
                LOG.error("note of damage passed over object=%s%s cause=%s", self._prefix, name, fault.detail)
                continue
            lost = [(bytes.fromhex(one), bytes.fromhex(pack_id)) for pack_id, ids in packs.items() for one in ids]
            self._index.distrust(lost, note=name)

    def _follow_proofs(self) -> None:
        unproven = self._index.unproven()
        if not unproven:
            return
        markers = set(self.names(format.proof_name("")))
        for name in unproven:
            marker = format.proof_name(name)
            if marker in markers:
                try:
                    self._codec.open_object(marker, self._bank.get(self._prefix + marker))
                except (errors.ObjectNotFound, errors.IntegrityError):
                    continue  # no proof: the packs will be read again
                self._index.prove(name)

    def scan_packs(self) -> None:
        """Learn packs that no index object lists from the packs themselves."""
        known = self._index.packs()
        for name in self.names("pack/"):
            pack_id = format.pack_id_of(name)
            if pack_id not in known:
                try:
                    self._index.add([self.directory(pack_id)])
                except errors.ObjectNotFound:
                    continue  # cleaned up since it was listed
                except errors.IntegrityError:
                    continue  # what this pack held stays missing, and is reported by whoever wants it

    def passed_over(self) -> set[str]:
        """Index objects of the bank that the cache did not learn: damaged ones, and those of this very moment."""
        return set(self.names(format.index_name(""))) - self._index.sources()

    def directory(self, pack_id: bytes) -> Directory:
        """The directory as the pack itself has it. Raises ObjectNotFound, IntegrityError."""
        name = self._prefix + format.pack_name(pack_id)
        size = self._bank.stat(name).size
        if size < format.HEADER_SIZE + format.TAIL_SIZE:
            raise errors.IntegrityError(detail=f"pack {pack_id.hex()}: too short")
        tail = self._bank.get(name, size - format.TAIL_SIZE, format.TAIL_SIZE)
        offset, length = directory_span(size, tail)
        sealed = self._bank.get(name, offset, length)
        return open_directory(self._codec, pack_id, header=self._bank.get(name, 0, format.HEADER_SIZE), sealed=sealed)

    def holds(self, pack_id: bytes) -> bool:
        """Whether the bank has the pack."""
        try:
            self._bank.stat(self._prefix + format.pack_name(pack_id))
        except errors.ObjectNotFound:
            return False
        return True

    def names(self, beginning: str) -> Iterator[str]:
        """Names in the domain that begin so, relative to it, in byte order."""
        prefix = self._prefix + beginning
        after = ""
        while True:
            page = self._bank.list(prefix, after)
            for info in page:
                yield info.name.removeprefix(self._prefix)
            if len(page) < 1000:
                return
            after = page[-1].name
