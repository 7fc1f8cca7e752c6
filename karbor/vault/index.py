# SPDX-License-Identifier: Apache-2.0
"""In which pack does a chunk lie? The answer of this host's disk, bounded in memory at any size of the vault.

One SQLite file per domain. It is a cache: all of it comes from the bank and can be fetched again, so deleting the file
is always safe. A pack whose row is gone is unknown, whatever rows its chunks still have.
"""

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from karbor.model import errors
from karbor.vault.pack import Directory

_BATCH = 400
_SCHEMA = """
CREATE TABLE IF NOT EXISTS pack (
    no INTEGER PRIMARY KEY AUTOINCREMENT, id BLOB NOT NULL UNIQUE, proven INTEGER NOT NULL DEFAULT 0,
    listed INTEGER NOT NULL DEFAULT 0);
CREATE INDEX IF NOT EXISTS pack_unlisted ON pack (id) WHERE NOT listed;
CREATE TABLE IF NOT EXISTS chunk (
    id BLOB NOT NULL, pack INTEGER NOT NULL, flags INTEGER NOT NULL, offset INTEGER NOT NULL,
    stored INTEGER NOT NULL, size INTEGER NOT NULL, PRIMARY KEY (id, pack)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS source (
    no INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, proven INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS member (
    pack INTEGER NOT NULL, source INTEGER NOT NULL, PRIMARY KEY (pack, source)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS condemned_list (id TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS condemned_pack (id BLOB NOT NULL, list TEXT NOT NULL, PRIMARY KEY (id, list)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS condemned_stream (
    id TEXT NOT NULL, list TEXT NOT NULL, PRIMARY KEY (id, list)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS lost (id BLOB NOT NULL, pack BLOB NOT NULL, PRIMARY KEY (id, pack)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS note (name TEXT PRIMARY KEY) WITHOUT ROWID;
PRAGMA user_version = 3;
"""
_LOCATE = """
SELECT c.id, p.id, c.offset, c.stored, c.size, c.flags,
EXISTS (SELECT 1 FROM lost l WHERE l.id = c.id AND l.pack = p.id)
FROM chunk c JOIN pack p ON p.no = c.pack WHERE c.id IN ({marks}) ORDER BY 7 DESC
"""
_KNOWN = """
SELECT c.id, p.id, p.listed
FROM chunk c JOIN pack p ON p.no = c.pack WHERE c.id IN ({marks})
AND NOT EXISTS (SELECT 1 FROM condemned_pack x WHERE x.id = p.id)
AND NOT EXISTS (SELECT 1 FROM lost l WHERE l.id = c.id AND l.pack = p.id)
"""
_VERSION = 3


class Location(NamedTuple):
    """Where one chunk lies. Sorts in the order of reading."""

    pack_id: bytes
    offset: int
    stored: int
    size: int
    flags: int


class Known(NamedTuple):
    """A pack that holds a chunk, and whether an index object of the bank lists it."""

    pack_id: bytes
    indexed: bool


class Index:
    """See the module text. Thread-safe; several processes may use one file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            self._connection = _opened(path)
        except sqlite3.DatabaseError:
            # Not a data base, or one of another version: it is only a cache.
            _unlink(path)
            self._connection = _opened(path)

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def remove(self) -> None:
        """Close it and delete the file. Any use after it is Unavailable."""
        self.close()
        _unlink(self._path)

    def locate(self, ids: Iterable[bytes]) -> Mapping[bytes, Location]:
        """The places of those that are known; that of a lost copy only where there is no other."""
        return {row[0]: Location(*row[1:6]) for row in self._by_id(_LOCATE, ids)}

    def places(self, ids: Iterable[bytes]) -> Mapping[bytes, Sequence[Location]]:
        """All places of those that are known; the one that ``locate`` tells comes first."""
        found: dict[bytes, list[Location]] = {}
        for row in self._by_id(_LOCATE, ids):
            found.setdefault(row[0], []).insert(0, Location(*row[1:6]))
        return found

    def sources_of(self, pack_id: bytes) -> Sequence[str]:
        """Names of the index objects that list a pack."""
        with self._use() as connection:
            query = (
                "SELECT s.name FROM source s JOIN member m ON m.source = s.no JOIN pack p ON p.no = m.pack"
                " WHERE p.id = ? ORDER BY s.name"
            )
            return [name for (name,) in connection.execute(query, (pack_id,))]

    def chunks_of(self, pack_id: bytes) -> Sequence[bytes]:
        """The chunks that a pack holds. Looks at every entry there is."""
        with self._use() as connection:
            query = "SELECT c.id FROM chunk c JOIN pack p ON p.no = c.pack WHERE p.id = ?"
            return [chunk_id for (chunk_id,) in connection.execute(query, (pack_id,))]

    def known(self, ids: Iterable[bytes]) -> Mapping[bytes, Known]:
        """Those that are stored in a pack that is not condemned. Of several copies, one that is listed wins."""
        found: dict[bytes, Known] = {}
        for chunk_id, pack_id, indexed in self._by_id(_KNOWN, ids):
            if chunk_id not in found or indexed:
                found[chunk_id] = Known(pack_id, bool(indexed))
        return found

    def add(self, directories: Iterable[Directory], *, source: str | None = None) -> None:
        """Learn what packs hold; ``source`` is the index object that lists them. May be called again."""
        with self._use() as connection:
            number = None
            if source is not None:
                connection.execute("INSERT OR IGNORE INTO source (name) VALUES (?)", (source,))
                number = connection.execute("SELECT no FROM source WHERE name = ?", (source,)).fetchone()[0]
            for directory in directories:
                connection.execute("INSERT OR IGNORE INTO pack (id) VALUES (?)", (directory.pack_id,))
                row = connection.execute("SELECT no FROM pack WHERE id = ?", (directory.pack_id,)).fetchone()
                rows = ((e.id, row[0], e.flags, e.offset, e.stored, e.size) for e in directory.entries)
                connection.executemany("INSERT OR IGNORE INTO chunk VALUES (?, ?, ?, ?, ?, ?)", rows)
                if number is not None:
                    connection.execute("INSERT OR IGNORE INTO member VALUES (?, ?)", (row[0], number))
                    connection.execute("UPDATE pack SET listed = 1 WHERE no = ? AND NOT listed", row)

    def sources(self) -> set[str]:
        """Names of the index objects that were read."""
        with self._use() as connection:
            return {name for (name,) in connection.execute("SELECT name FROM source")}

    def drop_source(self, name: str) -> None:
        """Forget an index object that is gone, and the packs that no other one lists."""
        with self._use() as connection:
            row = connection.execute("SELECT no FROM source WHERE name = ?", (name,)).fetchone()
            if row is None:
                return
            connection.execute(
                "DELETE FROM pack WHERE no IN (SELECT pack FROM member WHERE source = ?1) AND no NOT IN"
                " (SELECT pack FROM member WHERE source != ?1 AND pack IN (SELECT pack FROM member WHERE source = ?1))",
                row,
            )
            connection.execute("DELETE FROM member WHERE source = ?", row)
            connection.execute("DELETE FROM source WHERE no = ?", row)

    def packs(self) -> set[bytes]:
        """Every known pack."""
        with self._use() as connection:
            return {pack_id for (pack_id,) in connection.execute("SELECT id FROM pack")}

    def prove(self, source: str) -> None:
        """All packs that this index object lists were read back by somebody."""
        with self._use() as connection:
            connection.execute("UPDATE source SET proven = 1 WHERE name = ?", (source,))
            connection.execute(
                "UPDATE pack SET proven = 1 WHERE no IN"
                " (SELECT m.pack FROM member m JOIN source s ON s.no = m.source WHERE s.name = ?)",
                (source,),
            )

    def unproven(self) -> set[str]:
        """Index objects whose packs nobody read back yet, as far as this host knows."""
        with self._use() as connection:
            return {name for (name,) in connection.execute("SELECT name FROM source WHERE NOT proven")}

    def is_proven(self, pack_id: bytes) -> bool:
        """Whether the pack was read back once."""
        with self._use() as connection:
            row = connection.execute("SELECT proven FROM pack WHERE id = ?", (pack_id,)).fetchone()
            return row is not None and bool(row[0])

    def pending(self) -> Sequence[bytes]:
        """Packs that no index object lists yet."""
        with self._use() as connection:
            return [pack_id for (pack_id,) in connection.execute("SELECT id FROM pack WHERE NOT listed")]

    def distrust(self, lost: Iterable[tuple[bytes, bytes]], *, note: str | None = None) -> None:
        """These copies, (chunk, pack), are lost: their chunks are stored again when they are met, and old streams read
        the new copies. ``note`` is the object of the bank that says so."""
        with self._use() as connection:
            connection.executemany("INSERT OR IGNORE INTO lost VALUES (?, ?)", lost)
            if note is not None:
                connection.execute("INSERT OR IGNORE INTO note VALUES (?)", (note,))

    def notes(self) -> set[str]:
        """Names of the objects of the bank that told of lost copies."""
        with self._use() as connection:
            return {name for (name,) in connection.execute("SELECT name FROM note")}

    def forget(self, pack_id: bytes) -> None:
        """The pack is not in the bank: its chunks will be stored again when they are met."""
        with self._use() as connection:
            connection.execute("DELETE FROM member WHERE pack IN (SELECT no FROM pack WHERE id = ?)", (pack_id,))
            connection.execute("DELETE FROM pack WHERE id = ?", (pack_id,))

    def condemned_lists(self) -> set[str]:
        """Ids of the condemned lists that are taken heed of."""
        with self._use() as connection:
            return {list_id for (list_id,) in connection.execute("SELECT id FROM condemned_list")}

    def condemn(self, list_id: str, *, packs: Iterable[bytes], streams: Iterable[str]) -> None:
        """Take heed of a condemned list. May be called again."""
        with self._use() as connection:
            connection.execute("INSERT OR IGNORE INTO condemned_list VALUES (?)", (list_id,))
            for table, ids in (("condemned_pack", packs), ("condemned_stream", streams)):
                rows = ((one, list_id) for one in ids)
                connection.executemany(f"INSERT OR IGNORE INTO {table} VALUES (?, ?)", rows)  # noqa: S608 - our names

    def spare(self, list_id: str) -> None:
        """A condemned list is gone: what of it is still there may be used again."""
        with self._use() as connection:
            connection.execute("DELETE FROM condemned_pack WHERE list = ?", (list_id,))
            connection.execute("DELETE FROM condemned_stream WHERE list = ?", (list_id,))
            connection.execute("DELETE FROM condemned_list WHERE id = ?", (list_id,))

    def condemning(self, stream_id: str) -> set[str]:
        """The condemned lists that a stream is on."""
        with self._use() as connection:
            rows = connection.execute("SELECT list FROM condemned_stream WHERE id = ?", (stream_id,))
            return {list_id for (list_id,) in rows}

    def prune(self) -> None:
        """Drop what is known of chunks in packs that are forgotten."""
        with self._use() as connection:
            connection.execute("DELETE FROM chunk WHERE pack NOT IN (SELECT no FROM pack)")

    @property
    def path(self) -> Path:
        """The file, for those who compute over all of it."""
        return self._path

    @contextmanager
    def _use(self) -> Iterator[sqlite3.Connection]:
        """The connection for one transaction. Raises Unavailable where the file cannot be used."""
        with self._lock, self.faults(), self._connection:
            yield self._connection

    def reserve(self, count: int) -> int:
        """Numbers for so many packs, which nobody else will use: the last of them."""
        with self._use() as connection:
            query = "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'pack'), 0)"
            last = int(connection.execute(query).fetchone()[0]) + count
            changed = connection.execute("UPDATE sqlite_sequence SET seq = ? WHERE name = 'pack'", (last,))
            if not changed.rowcount:
                connection.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('pack', ?)", (last,))
        return last

    def connect(self) -> sqlite3.Connection:
        """A connection of one's own."""
        return _opened(self._path)

    @contextmanager
    def faults(self) -> Iterator[None]:
        """Raises Unavailable for what goes wrong with such a connection."""
        try:
            yield
        except sqlite3.Error as fault:
            raise _unusable(self._path, fault) from fault

    def _by_id(self, query: str, ids: Iterable[bytes]) -> Sequence[Any]:
        wanted = list(ids)
        rows: list[Any] = []
        with self._use() as connection:
            for at in range(0, len(wanted), _BATCH):
                batch = wanted[at : at + _BATCH]
                rows += connection.execute(query.format(marks=",".join("?" * len(batch))), batch)
        return rows


def _unlink(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _opened(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=60, check_same_thread=False)
    try:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version not in (0, _VERSION):
            raise sqlite3.DatabaseError(f"version {version}")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA cache_size = -16384")
        connection.executescript(_SCHEMA)
    except sqlite3.OperationalError as fault:
        connection.close()
        raise _unusable(path, fault) from fault
    except BaseException:
        connection.close()
        raise
    return connection


def _unusable(path: Path, fault: sqlite3.Error) -> errors.Unavailable:
    return errors.Unavailable(
        "The index cache of this worker cannot be used.",
        detail=f"{path}: {fault}",
        next_action="make room for it, or delete the file: it is made again from the bank",
    )
