# SPDX-License-Identifier: Apache-2.0
"""What has a run looked at already, and what was wrong with it, in memory that does not grow with the bank?

A SQLite file without a name: it is gone with the process, whatever ends it.
"""

import contextlib
import sqlite3
import threading
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from karbor.model import errors

_BATCH = 400
_SCHEMA = """
PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA locking_mode = EXCLUSIVE; PRAGMA cache_size = -8192;
CREATE TABLE node (id BLOB PRIMARY KEY, round INTEGER NOT NULL, clean INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;
CREATE TABLE chunk (id BLOB PRIMARY KEY, size INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE copy (pack INTEGER NOT NULL, offset INTEGER NOT NULL, PRIMARY KEY (pack, offset)) WITHOUT ROWID;
CREATE TABLE bad (id BLOB PRIMARY KEY, reason TEXT NOT NULL, object TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE pack (no INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, expected INTEGER, size INTEGER,
    listed INTEGER NOT NULL DEFAULT 0, seen INTEGER NOT NULL DEFAULT 0);
CREATE TABLE object (name TEXT PRIMARY KEY, fault TEXT) WITHOUT ROWID;
"""


class PackSeen(NamedTuple):
    """``expected`` is the size that an index object tells of; ``size`` what was found, None where it is missing."""

    expected: int | None
    size: int | None
    listed: bool
    seen: bool


class Bad(NamedTuple):
    """Why a chunk or a node is lost, and the object that should hold it."""

    reason: str
    object: str


class CheckState:
    """See the module text. Thread-safe."""

    def __init__(self, directory: Path) -> None:
        self._lock = threading.Lock()
        self._path = directory / f"check-{id(self):x}-{threading.get_ident():x}.tmp"
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path.unlink(missing_ok=True)
        self._connection = sqlite3.connect(self._path, check_same_thread=False, isolation_level=None)
        self._connection.executescript(_SCHEMA)
        self._path.unlink()
        self.round = 0
        self._first_bad: int | None = None  # the round that found the first lost chunk

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def next_round(self) -> None:
        """Another stream begins."""
        self.round += 1

    def enter(self, node_ids: Collection[bytes]) -> list[bytes]:
        """Those nodes that were not looked at before in this run, each once; from now on they were."""
        known = set(self._among("SELECT id FROM node WHERE id IN ({marks})", node_ids))
        fresh = [node_id for node_id in dict.fromkeys(node_ids) if node_id not in known]
        with self._use() as connection:
            connection.executemany("INSERT INTO node (id, round) VALUES (?, ?)", ((one, self.round) for one in fresh))
        return fresh

    def mark_clean(self, node_id: bytes) -> None:
        """Nothing below this node is lost."""
        with self._use() as connection:
            connection.execute("UPDATE node SET clean = 1 WHERE id = ?", (node_id,))

    def is_clean(self, node_id: bytes) -> bool:
        """Whether it is known that nothing below this node is lost."""
        if self._first_bad is None:
            return True
        with self._use() as connection:
            row = connection.execute("SELECT round, clean FROM node WHERE id = ?", (node_id,)).fetchone()
        return row is not None and bool(row[1] or row[0] < self._first_bad)

    def unseen(self, needs: Mapping[bytes, int]) -> dict[bytes, int]:
        """Those chunks that were not looked at, or of which more bytes are needed than were known of then."""
        query = "SELECT id, size FROM chunk WHERE id IN ({marks})"
        with self._use() as connection:
            known = dict(_rows(connection, query, needs))
        return {chunk_id: size for chunk_id, size in needs.items() if known.get(chunk_id, -1) < size}

    def saw(self, sizes: Mapping[bytes, int]) -> None:
        """These chunks were looked at; the numbers are the bytes that were needed of them, or that they have."""
        with self._use() as connection:
            connection.executemany("INSERT OR REPLACE INTO chunk VALUES (?, ?)", sizes.items())

    def add_bad(self, chunk_id: bytes, bad: Bad) -> None:
        """This chunk or node cannot be read. The first reason stays."""
        if self._first_bad is None:
            self._first_bad = self.round
        with self._use() as connection:
            connection.execute("INSERT OR IGNORE INTO bad VALUES (?, ?, ?)", (chunk_id, *bad))

    def bad(self, ids: Collection[bytes]) -> Mapping[bytes, Bad]:
        """Those that cannot be read."""
        if self._first_bad is None:
            return {}
        query = "SELECT id, reason, object FROM bad WHERE id IN ({marks})"
        with self._use() as connection:
            return {row[0]: Bad(*row[1:]) for row in _rows(connection, query, ids)}

    def expect_packs(self, sizes: Iterable[tuple[bytes, int]]) -> None:
        """An index object that could be read lists these packs with these sizes."""
        with self._use() as connection:
            connection.executemany(
                "INSERT INTO pack (id, expected, listed) VALUES (?, ?, 1)"
                " ON CONFLICT (id) DO UPDATE SET expected = excluded.expected, listed = 1",
                sizes,
            )

    def saw_pack(self, pack_id: bytes, size: int | None) -> None:
        """The pack was looked at: its size in the bank."""
        with self._use() as connection:
            connection.execute(
                "INSERT INTO pack (id, size, seen) VALUES (?, ?, 1)"
                " ON CONFLICT (id) DO UPDATE SET size = excluded.size, seen = 1",
                (pack_id, size),
            )

    def pack(self, pack_id: bytes) -> PackSeen:
        """What is known of a pack."""
        with self._use() as connection:
            row = connection.execute(
                "SELECT expected, size, listed, seen FROM pack WHERE id = ?", (pack_id,)
            ).fetchone()
        return PackSeen(row[0], row[1], bool(row[2]), bool(row[3])) if row else PackSeen(None, None, False, False)

    def saw_copies(self, pack_id: bytes, offsets: Iterable[int]) -> None:
        """The chunks of a pack at these offsets were read."""
        with self._use() as connection:
            row = connection.execute("SELECT no FROM pack WHERE id = ?", (pack_id,)).fetchone()
            if row is not None:
                pairs = ((row[0], offset) for offset in offsets)
                connection.executemany("INSERT OR IGNORE INTO copy VALUES (?, ?)", pairs)

    def copies(self, pack_id: bytes) -> set[int]:
        """The offsets at which chunks of a pack were read."""
        with self._use() as connection:
            query = "SELECT c.offset FROM copy c JOIN pack p ON p.no = c.pack WHERE p.id = ?"
            return {offset for (offset,) in connection.execute(query, (pack_id,))}

    def saw_object(self, name: str, fault: str | None = None) -> bool:
        """Note what was found of a sealed object; False where it was noted before."""
        with self._use() as connection:
            return connection.execute("INSERT OR IGNORE INTO object VALUES (?, ?)", (name, fault)).rowcount > 0

    def knows_object(self, name: str) -> bool:
        """Whether a sealed object was looked at."""
        with self._use() as connection:
            return connection.execute("SELECT 1 FROM object WHERE name = ?", (name,)).fetchone() is not None

    def _among(self, query: str, ids: Collection[bytes]) -> list[bytes]:
        with self._use() as connection:
            return [row[0] for row in _rows(connection, query, ids)]

    @contextlib.contextmanager
    def _use(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                self._connection.execute("BEGIN")
                try:
                    yield self._connection
                finally:
                    self._connection.execute("COMMIT")  # without a journal there is no way back, and none is needed
            except sqlite3.Error as fault:
                raise errors.Unavailable(
                    "This worker has no room to check what is stored.",
                    detail=f"{self._path.parent}: {fault}",
                    next_action="make room in its cache directory",
                ) from fault


def _rows(connection: sqlite3.Connection, query: str, ids: Collection[bytes]) -> Iterator[Any]:
    wanted = list(ids)
    for at in range(0, len(wanted), _BATCH):
        batch = wanted[at : at + _BATCH]
        yield from connection.execute(query.format(marks=",".join("?" * len(batch))), batch)
