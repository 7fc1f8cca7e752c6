# SPDX-License-Identifier: Apache-2.0
"""How are our values kept in columns, so that SQLite, MariaDB and PostgreSQL order and compare them alike?

Texts are compared byte by byte on all three (``utf8mb4_bin``, ``C``, ``BINARY``). Moments are whole microseconds since
the epoch in a BIGINT: no server rounds them, and equal means equal. JSON is text, because the servers' own JSON types
differ in what they keep (order, numbers, NUL).
"""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, String, Text, types
from sqlalchemy.dialects import mysql
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeEngine

from karbor.common import jsontext

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def text(length: int) -> String:
    """A text column of at most ``length`` characters, ordered by code point."""
    return (
        String(length)
        .with_variant(String(length, collation="utf8mb4_bin"), "mysql", "mariadb")
        .with_variant(String(length, collation="C"), "postgresql")
    )


def identifier() -> String:
    """The id of a thing: a UUID in any of its spellings, or what another system uses."""
    return text(64)


def long_text() -> TypeEngine[str]:
    """Text without a bound (MariaDB's TEXT ends at 64 KiB)."""
    return Text().with_variant(mysql.LONGTEXT(collation="utf8mb4_bin"), "mysql", "mariadb")


class Moment(types.TypeDecorator[datetime]):
    """An aware datetime, kept as whole microseconds since 1970 in UTC."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        return None if value is None else (value - _EPOCH) // _MICROSECOND

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], datetime | None]:
        return _moment  # at half the cost of process_result_value, whose caller looks twice at each value


class Json(types.TypeDecorator[Any]):
    """Plain JSON, kept as ASCII text."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(long_text())

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        return None if value is None else json.dumps(value, separators=(",", ":"))

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], Any]:
        return _value


def _moment(value: int | None) -> datetime | None:
    return None if value is None else _EPOCH + value * _MICROSECOND


def _value(text: str | None) -> Any:
    return None if text is None else jsontext.decode(text)
