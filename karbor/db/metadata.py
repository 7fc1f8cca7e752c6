# SPDX-License-Identifier: Apache-2.0
"""To which set do all tables belong, and what do they have in common?"""

import sqlalchemy as sa

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
