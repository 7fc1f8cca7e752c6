# SPDX-License-Identifier: Apache-2.0
"""How is a bank written? A complete one: all objects in one SQLite file.

Read the conditions in ``karbor.sdk.bank`` first. Then declare the settings, keep the conditions with what the medium
offers (here a primary key and transactions), and let ``karbor.sdk.testing.bank_suite`` try it.
"""

import sqlite3
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from karbor.model import errors
from karbor.sdk.bank import Bank, ObjectInfo, valid_name
from karbor.sdk.options import Options, required

TABLES = """
PRAGMA journal_mode = WAL;
CREATE TABLE IF NOT EXISTS object (name TEXT PRIMARY KEY, data BLOB NOT NULL, modified REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS bank (one INTEGER PRIMARY KEY CHECK (one = 1), identity TEXT NOT NULL);
"""


class SqliteBank(Bank):
    """Keep objects in one SQLite file."""

    class Settings(Options):
        file: str = required("Path of the SQLite file.")

    def __init__(self, settings: Options) -> None:
        super().__init__(settings)
        self._path = Path(settings.to_dict()["file"])

    def initialise(self) -> str:
        self._path.touch(mode=0o600)
        with self._open() as connection:
            connection.executescript(TABLES)
            connection.execute("INSERT OR IGNORE INTO bank VALUES (1, ?)", (str(uuid.uuid4()),))
        return self.identity()

    def identity(self) -> str:
        with self._open() as connection:
            return str(connection.execute("SELECT identity FROM bank").fetchone()[0])

    def put_if_absent(self, name: str, data: bytes) -> bool:
        row = (valid_name(name), data, time.time())
        with self._open() as connection:
            return connection.execute("INSERT OR IGNORE INTO object VALUES (?, ?, ?)", row).rowcount == 1

    def get(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
        data = self._row("data", name)
        return bytes(data[offset:] if length is None else data[offset : offset + length])

    def stat(self, name: str) -> ObjectInfo:
        return ObjectInfo(name, self._row("length(data)", name), self._row("modified", name))

    def list(self, prefix: str = "", after: str = "", limit: int = 1000) -> Sequence[ObjectInfo]:
        query = "SELECT name, length(data), modified FROM object WHERE name >= ? AND name < ? AND name > ?"
        with self._open() as connection:
            rows = connection.execute(query + " ORDER BY name LIMIT ?", (prefix, prefix + "\x7f", after, limit))
            return [ObjectInfo(*row) for row in rows]

    def delete(self, name: str) -> None:
        with self._open() as connection:
            connection.execute("DELETE FROM object WHERE name = ?", (valid_name(name),))

    def _row(self, column: str, name: str):
        with self._open() as connection:
            row = connection.execute(f"SELECT {column} FROM object WHERE name = ?", (valid_name(name),)).fetchone()
        if row is None:
            raise errors.ObjectNotFound(detail=name)
        return row[0]

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """A connection for one transaction; it makes no file. Errors are said in the words of the contract."""
        try:
            connection = sqlite3.connect(f"file:{self._path}?mode=rw", uri=True, timeout=60)
            try:
                with connection:
                    yield connection
            finally:
                connection.close()
        except sqlite3.Error as fault:
            full = getattr(fault, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
            raise (errors.BankFull if full else errors.BankUnavailable)(detail=f"{self._path}: {fault}") from fault
