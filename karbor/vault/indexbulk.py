# SPDX-License-Identifier: Apache-2.0
"""How does a host learn many millions of chunks at once, in bounded memory and in minutes?

The ids of chunks are evenly spread, so each one that is put into the index by itself dirties another page of the file:
a megabyte of news costs hundreds of megabytes of writing. What comes in numbers is therefore gathered in a scratch
file, a table for each range of ids, and goes into the index range by range in the order of the ids. The scratch file
has no name, so nothing is left of it where the process is killed. Packs become visible last, all together: a killed
try leaves rows that no pack has, which are never seen and go with the next ``prune``.
"""

import secrets
from typing import Self

from karbor.vault.format import ID_SIZE, Cursor
from karbor.vault.index import Index
from karbor.vault.pack import directory_rows

_PARTS = 64  # a range of 10^8 entries is some 80 MB of the journal
_RESERVED = 4096  # numbers of packs that are taken at once
_SCHEMA = """
PRAGMA bulk.journal_mode = MEMORY;
PRAGMA bulk.synchronous = OFF;
PRAGMA bulk.cache_size = -16384;
CREATE TABLE bulk.pack (no INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE);
CREATE TABLE bulk.member (pack INTEGER NOT NULL, source TEXT NOT NULL);
"""
_PART = """
CREATE TABLE bulk.part{} (id BLOB, pack INTEGER, flags INTEGER, offset INTEGER, stored INTEGER, size INTEGER)
"""
_PUBLISH = """
BEGIN IMMEDIATE;
INSERT OR IGNORE INTO main.pack (no, id, listed) SELECT no, id, 1 FROM bulk.pack;
UPDATE main.pack SET listed = 1 WHERE NOT listed AND id IN (SELECT id FROM bulk.pack);
INSERT OR IGNORE INTO main.source (name) SELECT DISTINCT source FROM bulk.member;
INSERT OR IGNORE INTO main.member SELECT p.no, s.no FROM bulk.member m JOIN bulk.pack b ON b.no = m.pack
JOIN main.pack p ON p.id = b.id JOIN main.source s ON s.name = m.source;
COMMIT;
"""


class Bulk:
    """One gathering; a context manager. Not thread-safe. Others may use the index meanwhile."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._free: list[int] = []  # reserved numbers, the lowest last
        path = index.path.with_name(f"{index.path.name}.bulk-{secrets.token_hex(8)}")
        self._connection = index.connect()
        self._connection.isolation_level = None
        with index.faults():
            self._connection.execute("ATTACH DATABASE ? AS bulk", (str(path),))
            self._connection.executescript(_SCHEMA)
            path.unlink()
            for number in range(_PARTS):
                self._connection.execute(_PART.format(number))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def add(self, listed: Cursor, *, source: str) -> None:
        """Gather what an index object lists, from the number of its packs on. Raises IntegrityError, and Unavailable
        where there is no room; then nothing of it is gathered."""
        parts: list[list[tuple[bytes, int, int, int, int, int]]] = [[] for _ in range(_PARTS)]
        with self._index.faults(), self._connection:
            self._connection.execute("BEGIN")
            for _ in range(listed.varint()):
                number, fresh = self._number(listed.take(ID_SIZE))
                self._connection.execute("INSERT INTO bulk.member VALUES (?, ?)", (number, source))
                for row in directory_rows(listed, number):
                    if fresh:
                        parts[row[0][0] * _PARTS >> 8].append(row)
            listed.end()
            for number, rows in enumerate(parts):
                query = f"INSERT INTO bulk.part{number} VALUES (?, ?, ?, ?, ?, ?)"  # noqa: S608 - our names
                self._connection.executemany(query, rows)

    def finish(self) -> None:
        """Put all of it into the index."""
        with self._index.faults():
            for number in range(_PARTS):
                query = f"INSERT OR IGNORE INTO main.chunk SELECT * FROM bulk.part{number} ORDER BY id, pack"  # noqa: S608 - our names
                self._connection.execute(query)
            self._connection.executescript(_PUBLISH)

    def _number(self, pack_id: bytes) -> tuple[int, bool]:
        """The number of a pack, and whether its chunks are not known yet."""
        for table in ("bulk", "main"):
            row = self._connection.execute(f"SELECT no FROM {table}.pack WHERE id = ?", (pack_id,)).fetchone()  # noqa: S608
            if row is not None:
                break
        number = int(row[0]) if row is not None else self._take()
        self._connection.execute("INSERT OR IGNORE INTO bulk.pack VALUES (?, ?)", (number, pack_id))
        return number, row is None

    def _take(self) -> int:
        """A number that no other pack will ever have."""
        if not self._free:
            last = self._index.reserve(_RESERVED)
            self._free = list(range(last, last - _RESERVED, -1))
        return self._free.pop()
