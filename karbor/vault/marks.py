# SPDX-License-Identifier: Apache-2.0
"""Which chunks does anything refer to, and in which packs do they lie? On disk: memory does not depend on their number.

Walks the recipes of streams once per node, whatever streams have in common, and joins what it met with the index cache
of this host.
"""

import secrets
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Self

from karbor.model import errors
from karbor.sdk.bank import ObjectInfo
from karbor.vault import format
from karbor.vault.pace import Pace
from karbor.vault.recipe import decode_inner, decode_leaf
from karbor.vault.store import ChunkStore

_BATCH = 1024
_OVERHEAD, _PER_ENTRY = 96, 23  # bytes of a pack beside its chunks, about
_SCHEMA = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
PRAGMA cache_size = -65536;
CREATE TABLE live (id BLOB PRIMARY KEY, rank INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE frontier (id BLOB PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE here (id BLOB PRIMARY KEY, size INTEGER NOT NULL, young INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE doomed (id BLOB PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE chosen (pack INTEGER PRIMARY KEY, bytes INTEGER NOT NULL, entries INTEGER NOT NULL);
CREATE TABLE thin (pack INTEGER PRIMARY KEY);
CREATE TABLE moving (id BLOB PRIMARY KEY) WITHOUT ROWID;
"""
#: Doomed packs that hold something live of which there is no proven copy in a pack that stays.
_NEEDED = """
SELECT DISTINCT p.id FROM live l CROSS JOIN ix.chunk c ON c.id = l.id CROSS JOIN ix.pack p ON p.no = c.pack
JOIN doomed d ON d.id = p.id
WHERE l.rank <= ? AND NOT EXISTS (
    SELECT 1 FROM ix.chunk c2 CROSS JOIN ix.pack p2 ON p2.no = c2.pack JOIN here h ON h.id = p2.id
    WHERE c2.id = l.id AND p2.proven AND NOT EXISTS (SELECT 1 FROM doomed d2 WHERE d2.id = p2.id)
    AND NOT EXISTS (SELECT 1 FROM ix.lost x WHERE x.id = c2.id AND x.pack = p2.id))
"""
#: Of the copies of each chunk that is referred to, one: those known to be damaged come last, before them those that
#: nobody read back; of equal ones the one learned last is chosen.
_CHOICE = """
SELECT l.id AS id, c.stored AS stored, MAX(
    (NOT EXISTS (SELECT 1 FROM ix.lost x WHERE x.id = c.id AND x.pack = p.id)) * 2000000000000
    + p.proven * 1000000000000 + p.no) % 1000000000000 AS pack
FROM live l CROSS JOIN ix.chunk c ON c.id = l.id CROSS JOIN ix.pack p ON p.no = c.pack JOIN here h ON h.id = p.id
WHERE l.rank = 1 AND NOT EXISTS (SELECT 1 FROM doomed d WHERE d.id = p.id) GROUP BY l.id
"""
_SHARES = """
SELECT h.id, p.no, h.size, coalesce(x.bytes, 0), coalesce(x.entries, 0) FROM here h LEFT JOIN ix.pack p ON p.id = h.id
LEFT JOIN chosen x ON x.pack = p.no
WHERE NOT h.young AND NOT EXISTS (SELECT 1 FROM doomed d WHERE d.id = h.id)
"""
#: A pack that was put a moment ago may be unknown, too.
_DOOMED = """
SELECT h.id, h.size FROM doomed d JOIN here h ON h.id = d.id
WHERE NOT h.young OR EXISTS (SELECT 1 FROM ix.pack p WHERE p.id = h.id)
"""
_LOST = """
SELECT count(*) FROM live l WHERE l.rank = 1 AND NOT EXISTS (
    SELECT 1 FROM ix.chunk c CROSS JOIN ix.pack p ON p.no = c.pack JOIN here h ON h.id = p.id WHERE c.id = l.id)
"""


class Share(NamedTuple):
    """A pack that could be condemned. ``live``: sealed bytes of it that are referred to."""

    pack_id: bytes
    size: int
    live: int


class Marks:
    """One marking of one domain; a context manager. Not thread-safe.

    ``rank`` 1 is what records refer to, 2 what only a stream refers to that no record names.
    """

    def __init__(self, store: ChunkStore, scratch: Path, *, pace: Pace) -> None:
        self._store = store
        self._pace = pace
        path = scratch / f"cleanup-{secrets.token_hex(8)}"
        self._connection = sqlite3.connect(f"file:{path}", uri=True, isolation_level=None)
        self._connection.executescript(_SCHEMA)
        self._connection.execute("ATTACH DATABASE ? AS ix", (f"file:{store.index.path}?mode=ro",))
        path.unlink()  # it lives as long as the connection, also where this process is killed

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def walk(self, tops: Iterable[bytes], rank: int) -> int:
        """Mark all that recipes with these top nodes refer to. How many nodes could not be read."""
        self._run("BEGIN")
        self._meet(tops, rank)
        unread = 0
        while batch := [row[0] for row in self._run("SELECT id FROM frontier LIMIT ?", _BATCH)]:
            for node_id, data in self._nodes(batch):
                if data is None:
                    unread += 1
                elif data[:1] == b"\x02":
                    self._meet((child for _, child in decode_inner(data, data[1])), rank)
                else:
                    rows = sorted((piece.chunk, rank) for piece in decode_leaf(data, 0))
                    self._connection.executemany("INSERT OR IGNORE INTO live VALUES (?, ?)", rows)
                self._run("DELETE FROM frontier WHERE id = ?", node_id)
        self._run("COMMIT")
        return unread

    def packs_here(self, packs: Iterable[ObjectInfo], *, cutoff: float) -> tuple[int, int]:
        """Note which packs the bank holds; those after ``cutoff`` (the bank's clock) are young. (count, bytes)"""
        rows = ((format.pack_id_of(info.name), info.size, info.modified > cutoff) for info in packs)
        self._connection.executemany("INSERT OR IGNORE INTO here VALUES (?, ?, ?)", rows)
        count, size = self._run("SELECT count(*), coalesce(sum(size), 0) FROM here")[0]
        return count, size

    def spare_unknown(self) -> None:
        """Packs that the cache does not know are not dead: it cannot be told what they hold."""
        self._run("UPDATE here SET young = 1 WHERE NOT EXISTS (SELECT 1 FROM ix.pack p WHERE p.id = here.id)")

    def doom(self, packs: Iterable[bytes]) -> None:
        """These shall go: no copy in them counts."""
        self._connection.executemany("INSERT OR IGNORE INTO doomed VALUES (?)", ((pack_id,) for pack_id in packs))

    def arrived(self, packs: Mapping[bytes, int]) -> None:
        """These packs, with their sizes, were put since."""
        self._connection.executemany("INSERT OR IGNORE INTO here VALUES (?, ?, 1)", packs.items())

    def needed(self, rank: int) -> set[bytes]:
        """Doomed packs that hold something marked up to that rank that has no proven copy in a pack that stays."""
        return {row[0] for row in self._run(_NEEDED, rank)}

    def dead(self, index: Iterable[str]) -> dict[bytes, int]:
        """Doomed packs that can be deleted, with their sizes: what is live in them lies elsewhere too, and no index
        object lists them but those of ``index``."""
        needed = self.needed(2)
        going = set(index)
        rows = self._run(_DOOMED)
        return {
            pack_id: size
            for pack_id, size in rows
            if pack_id not in needed and going.issuperset(self._store.index.sources_of(pack_id))
        }

    def deleted(self, packs: Iterable[bytes]) -> None:
        """These are gone, and all others that were doomed are spared."""
        self._connection.executemany("DELETE FROM here WHERE id = ?", ((pack_id,) for pack_id in packs))
        self._run("DELETE FROM doomed")

    def here(self) -> set[bytes]:
        """Every pack that the bank holds."""
        return {row[0] for row in self._run("SELECT id FROM here")}

    def lost(self) -> int:
        """How many chunks that records refer to are in no pack: damage that only verifying tells more of."""
        return int(self._run(_LOST)[0][0])

    def shares(self, *, thin: float) -> tuple[Sequence[Share], Sequence[Share]]:
        """(dead packs, packs of which less than the share ``thin`` is referred to). Young packs are left out.

        A pack that nobody knows is dead: it does not open, and no index object tells what it holds.
        """
        self._run(f"INSERT INTO chosen SELECT pack, sum(stored), count(*) FROM ({_CHOICE}) GROUP BY pack")  # noqa: S608
        dead, sparse = [], []
        for pack_id, number, size, live, entries in self._run(_SHARES):
            if not live:
                dead.append(Share(pack_id, size, 0))
            elif live + entries * _PER_ENTRY + _OVERHEAD < size * thin:
                sparse.append(Share(pack_id, size, live))
                self._run("INSERT INTO thin VALUES (?)", number)
        if sparse:
            self._run(f"INSERT INTO moving SELECT id FROM ({_CHOICE}) WHERE pack IN (SELECT pack FROM thin)")  # noqa: S608
        return dead, sparse

    def holders(self) -> set[bytes]:
        """Packs that together hold all that records refer to: of the copies of each chunk, one."""
        return {row[0] for row in self._run(f"SELECT DISTINCT p.id FROM ({_CHOICE}) x JOIN ix.pack p ON p.no = x.pack")}  # noqa: S608

    def moving(self, ids: Sequence[bytes]) -> set[bytes]:
        """Those that must be stored elsewhere before the thin packs can go."""
        found = set()
        for at in range(0, len(ids), _BATCH // 4):
            batch = ids[at : at + _BATCH // 4]
            marks = ",".join("?" * len(batch))
            found |= {row[0] for row in self._run(f"SELECT id FROM moving WHERE id IN ({marks})", *batch)}  # noqa: S608
        return found

    def _meet(self, ids: Iterable[bytes], rank: int) -> None:
        for node_id in ids:
            added = self._connection.execute("INSERT OR IGNORE INTO live VALUES (?, ?)", (node_id, rank))
            if added.rowcount:
                self._run("INSERT OR IGNORE INTO frontier VALUES (?)", node_id)

    def _nodes(self, batch: Sequence[bytes]) -> Iterator[tuple[bytes, bytes | None]]:
        """The plain bytes of nodes; None for those that are damaged or lost."""
        found: dict[bytes, bytes] = {}
        try:
            for node_id, data in self._store.chunks(batch):
                found[node_id] = data
                self._pace.spend(len(data))
        except errors.IntegrityError:
            if len(batch) == 1:
                yield batch[0], None
                return
            for node_id in batch:
                if node_id not in found:
                    yield from self._nodes([node_id])
        yield from found.items()

    def _run(self, query: str, *values: object) -> list[tuple]:  # type: ignore[type-arg]
        return self._connection.execute(query, values).fetchall()
