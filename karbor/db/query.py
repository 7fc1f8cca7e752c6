# SPDX-License-Identifier: Apache-2.0
"""How is a page of a list cut exactly, in both directions, however many rows lie before it?

Keyset paging: the marker's own sort values are looked up, and the page begins behind them. The id breaks ties in the
direction of the last key, so a list walked backwards is the same list. Each list declares its sort keys and filters
once (``Listing``); what is not declared is refused.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from karbor.model import errors
from karbor.model.page import MAX_LIMIT, PageRequest

MAX_OFFSET = 0x7FFFFFFF
DEFAULT_SORT = PageRequest().sort

Condition = sa.ColumnElement[bool]
Filter = Callable[[str], Condition]


class _Position(FunctionElement[int]):
    """Where the second text begins in the first, from 1; 0 where it does not occur. LIKE folds case on SQLite only."""

    type = sa.Integer()
    inherit_cache = True
    name = "text_position"


@compiles(_Position)
def _instr(element: _Position, compiler: Any, **options: Any) -> str:
    return f"instr({compiler.process(element.clauses, **options)})"


@compiles(_Position, "postgresql")
def _strpos(element: _Position, compiler: Any, **options: Any) -> str:
    return f"strpos({compiler.process(element.clauses, **options)})"


def equal(column: sa.Column) -> Filter:
    """The column holds exactly the given text."""
    return lambda value: column == value


def substring(column: sa.Column) -> Filter:
    """The column holds the given text somewhere; no character of it is special; case counts."""
    return lambda value: _Position(column, sa.literal(value)) > 0


def json_substring(column: sa.Column) -> Filter:
    """The JSON in the column holds the given text somewhere: as it is shown, or inside one of its texts."""

    def condition(value: str) -> Condition:
        spellings = dict.fromkeys((value, json.dumps(value)[1:-1], value.replace('": ', '":').replace('", "', '","')))
        shown = sa.type_coerce(column, sa.Text)
        return sa.or_(*(_Position(shown, sa.literal(spelling)) > 0 for spelling in spellings))

    return condition


def flag(column: sa.Column) -> Filter:
    """The column holds 1 or 0, asked for as true or false (also 1, 0, yes, no, in any case)."""

    def condition(value: str) -> Condition:
        for number, words in enumerate((("false", "0", "no", "n"), ("true", "1", "yes", "y"))):
            if value.strip().lower() in words:
                return column == number
        raise errors.InvalidInput(f"{value[:40]!r} is neither true nor false.")

    return condition


def day_from(column: sa.Column) -> Filter:
    """The moment in the column is not before the given day (YYYY-MM-DD, UTC)."""
    return lambda value: column >= _midnight(value)


def day_until(column: sa.Column) -> Filter:
    """The moment in the column is on the given day (YYYY-MM-DD, UTC) or before."""
    return lambda value: column < _midnight(value, days=1)


def _midnight(text: str, *, days: int = 0) -> datetime:
    try:
        if len(text) != len("YYYY-MM-DD"):
            raise ValueError(text)
        return datetime.combine(date.fromisoformat(text), time(tzinfo=UTC)) + timedelta(days=days)
    except (ValueError, OverflowError) as fault:
        raise errors.InvalidInput(f"{text[:40]!r} is not a day of the form YYYY-MM-DD.") from fault


def storable(text: str) -> bool:
    """Whether a database can hold ``text``: PostgreSQL knows no NUL, no server knows half a surrogate pair."""
    return "\x00" not in text and not any("\ud800" <= letter <= "\udfff" for letter in text)


@dataclass(frozen=True)
class Listing:
    """What one list may be sorted and filtered by. No sort key may be NULL.

    ``default`` is the order where the request leaves it at PageRequest's own default. ``narrow`` are filters that leave
    few rows, whatever the project: their index is better than one that begins with the project, and a database without
    statistics (SQLite) must not guess otherwise.
    """

    table: sa.Table
    keys: Mapping[str, sa.ColumnElement[Any]]
    filters: Mapping[str, Filter] = field(default_factory=dict)
    default: tuple[tuple[str, str], ...] = DEFAULT_SORT
    narrow: frozenset[str] = frozenset()

    def fetch(
        self,
        connection: Connection,
        request: PageRequest,
        scope: Mapping[sa.Column, str | None],
        *,
        hidden: Sequence[Condition] = (),
    ) -> Sequence[Row[Any]]:
        """The rows of the page. ``scope`` says which rows exist for the caller: those with these values, None for any.
        ``hidden`` are conditions on top that a marker need not meet (a row that was deleted between two pages is still
        a good marker).

        Raises InvalidInput for an unknown key, filter, marker or direction, and numbers out of range.
        """
        order = self._order(request)
        owned = [
            (sa.func.coalesce(column, "") if self.narrow & request.filters.keys() else column) == value
            for column, value in scope.items()
            if value is not None
        ]
        query = sa.select(self.table).where(*owned, *hidden, *self._conditions(request.filters))
        if request.marker is not None:
            query = query.where(self._behind(connection, request.marker, order, owned))
        if request.limit < 1 or not 0 <= request.offset <= MAX_OFFSET:
            raise errors.InvalidInput("limit must be positive, and offset between 0 and 2147483647.")
        query = query.order_by(*(column.desc() if down else column.asc() for _name, column, down in order))
        if request.offset:
            query = query.offset(request.offset)
        return connection.execute(query.limit(capped(request))).all()

    def _order(self, request: PageRequest) -> list[tuple[str, sa.ColumnElement[Any], bool]]:
        asked = self.default if request.sort == DEFAULT_SORT else request.sort or self.default
        order: list[tuple[str, sa.ColumnElement[Any], bool]] = []
        for name, direction in asked:
            if name not in self.keys:
                raise errors.InvalidInput(
                    f"This list cannot be sorted by {name[:40]!r}; known: {', '.join(self.keys)}."
                )
            if direction not in ("asc", "desc"):
                raise errors.InvalidInput("A sort direction is asc or desc.")
            if name not in [seen for seen, _column, _down in order]:
                order.append((name, self.keys[name], direction == "desc"))
        if "id" not in [name for name, _column, _down in order]:
            order.append(("id", self.table.c.id, order[-1][2]))
        return order

    def _conditions(self, filters: Mapping[str, str]) -> list[Condition]:
        conditions = []
        for name, text in filters.items():
            if name not in self.filters:
                raise errors.InvalidInput(f"This list has no filter {name[:40]!r}; known: {', '.join(self.filters)}.")
            if not storable(text):
                raise errors.InvalidInput(f"The filter {name!r} holds characters that cannot occur.")
            conditions.append(self.filters[name](text))
        return conditions

    def _behind(
        self,
        connection: Connection,
        marker: str,
        order: Sequence[tuple[str, sa.ColumnElement[Any], bool]],
        owned: Sequence[Condition],
    ) -> Condition:
        query = sa.select(*(column.label(f"key_{name}") for name, column, _down in order))
        row = connection.execute(query.where(self.table.c.id == marker, *owned)).first() if storable(marker) else None
        if row is None:
            raise errors.InvalidInput("The marker does not name an item of this list.")
        first, falling = order[0][1], order[0][2]
        if connection.dialect.name in ("sqlite", "postgresql") and all(down == falling for _n, _c, down in order):
            # They find the place of a whole key in an index; among thousands of equal times that is not the same thing
            # as the conditions below. MariaDB finds it with those, and not with this.
            here = sa.tuple_(*(column for _name, column, _down in order))
            seen = sa.tuple_(*(sa.literal(row[place], part[1].type) for place, part in enumerate(order)))
            return here < seen if falling else here > seen
        ways = []
        for place, (_name, column, down) in enumerate(order):
            same = [earlier == row[number] for number, (_n, earlier, _d) in enumerate(order[:place])]
            ways.append(sa.and_(*same, column < row[place] if down else column > row[place]))
        # The first condition follows from the others; it is what lets the server begin in the middle of the index.
        return sa.and_(first <= row[0] if falling else first >= row[0], sa.or_(*ways))


def capped(request: PageRequest) -> int:
    """How many rows a page may hold."""
    return min(request.limit, MAX_LIMIT)
