# SPDX-License-Identifier: Apache-2.0
"""What do all repositories share: the connection of the transaction, the clock, and how one row is found and locked?"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.engine import Connection, Row

from karbor.common.clock import Clock
from karbor.db.query import Condition, storable
from karbor.model import errors
from karbor.model.change import Change

_AT_ONCE = 500  # ids in one statement


class Repository:
    """Rows of one noun inside one transaction. ``noun`` is what users call it, ``table`` where it lies."""

    noun: str
    table: sa.Table

    def __init__(self, connection: Connection, clock: Clock, changes: list[Change]) -> None:
        """``changes`` collects what is told of once the transaction is committed."""
        self._connection = connection
        self._clock = clock
        self._changes = changes

    def _tell(self, thing: Any, word: str, *, before: str | None = None) -> None:
        """Let it be known, once the transaction is committed, that ``thing`` is ``word`` now. Nothing where it was so
        before."""
        if word != before:
            self._changes.append(Change(self.noun, word.replace("-", "_"), thing, before, self._clock.now()))

    def _row(self, id: str, *conditions: Condition, lock: bool = False) -> Row[Any]:
        """The row with this id that meets the conditions. Raises NotFound.

        ``lock`` keeps it from changing until the transaction ends (SQLite's writing transactions are alone anyway).
        """
        query = sa.select(self.table).where(self.table.c.id == id, *conditions)
        if lock:
            query = locked(query, self._connection)
        row = self._connection.execute(query).first() if storable(id) else None
        if row is None:
            shown = id[:64].encode(errors="replace").decode()
            raise errors.NotFound(f"The {self.noun} {shown} could not be found.")
        return row

    def _column_of(self, column: sa.Column[Any], ids: Iterable[str]) -> dict[str, Any]:
        """One column of each of these rows that there is, by id."""
        wanted = [id for id in ids if storable(id)]
        found: dict[str, Any] = {}
        for start in range(0, len(wanted), _AT_ONCE):
            query = sa.select(self.table.c.id, column).where(self.table.c.id.in_(wanted[start : start + _AT_ONCE]))
            found.update((id, value) for id, value in self._connection.execute(query))
        return found

    def _insert(self, **values: Any) -> None:
        """Raises Conflict where the id is taken."""
        try:
            with self._connection.begin_nested():
                self._connection.execute(sa.insert(self.table).values(**values))
        except sa.exc.IntegrityError as fault:
            raise errors.Conflict(
                f"The {self.noun} {values.get('id')} exists already.", detail=str(fault.orig)
            ) from fault

    def _update(self, id: str, /, *conditions: Condition, **values: Any) -> bool:
        """Whether there was such a row to change."""
        query = sa.update(self.table).where(self.table.c.id == id, *conditions).values(**values)
        return self._connection.execute(query).rowcount == 1

    def _remove(self, ids: Sequence[str]) -> int:
        """Remove the rows with these ids; returns how many there were."""
        query = sa.delete(self.table).where(self.table.c.id.in_(ids))
        return self._connection.execute(query).rowcount if ids else 0

    def _delete(self, id: str) -> bool:
        """Whether there was such a row."""
        return self._connection.execute(sa.delete(self.table).where(self.table.c.id == id)).rowcount == 1


def locked(query: sa.Select[Any], connection: Connection) -> sa.Select[Any]:
    """The query, whose rows nobody else changes until the transaction ends (SQLite's writers are alone anyway)."""
    return query if connection.dialect.name == "sqlite" else query.with_for_update()


def upsert(
    connection: Connection,
    table: sa.Table,
    key: Mapping[str, Any],
    *,
    new: Mapping[str, Any],
    change: Mapping[str, Any] | None = None,
) -> None:
    """Insert a row with the ``key``, or change the one that is there, in one statement that also locks it.

    ``change`` may use the columns of ``table``; without one, a row that is there stays as it is.
    """
    change = change or {name: table.c[name] for name in key}
    values = {**key, **new}
    if connection.dialect.name in ("mysql", "mariadb"):
        connection.execute(mysql.insert(table).values(values).on_duplicate_key_update(**change))
        return
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    connection.execute(insert(table).values(values).on_conflict_do_update(index_elements=list(key), set_=change))
