# SPDX-License-Identifier: Apache-2.0
"""To which set do all tables belong, and what do they have in common?"""

import sqlalchemy as sa

from karbor.db.columns import Json, Moment

METADATA = sa.MetaData()


def table(name: str, *parts: sa.schema.SchemaItem) -> sa.Table:
    """A table of ours: InnoDB and four-byte characters on MariaDB."""
    return sa.Table(
        name,
        METADATA,
        *parts,
        mysql_engine="InnoDB",
        mysql_charset="utf8mb4",
        mariadb_engine="InnoDB",
        mariadb_charset="utf8mb4",
    )


def times() -> tuple[sa.Column, ...]:
    """When a row was made, and when it was last changed."""
    return sa.Column("created_at", Moment, nullable=False), sa.Column("updated_at", Moment)


def json_column(name: str) -> sa.Column:
    """JSON that is always there."""
    return sa.Column(name, Json, nullable=False)


def flag(name: str, default: str) -> sa.Column:
    """Yes (1) or no (0), in the order of numbers."""
    return sa.Column(name, sa.SmallInteger, nullable=False, server_default=default)


def counter(name: str, kind: type = sa.BigInteger) -> sa.Column:
    """A number that begins at 0."""
    return sa.Column(name, kind, nullable=False, server_default="0")
