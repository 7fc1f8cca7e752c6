# SPDX-License-Identifier: Apache-2.0
"""By which trust Karbor acts for a tenant: of each schedule, of each job, and which ones are to be given back."""

import sqlalchemy as sa
from alembic import op

from karbor.db.columns import Moment, identifier, long_text, text

revision = "0006"
down_revision = "0005"

# Every step looks first whether it was done: MariaDB cannot undo half a migration, so one that was killed must be able
# to run again.
COLUMNS = {
    "scheduled_operations": lambda: (
        sa.Column("trust_id", identifier()),
        sa.Column("permission_reason", long_text()),
        sa.Column("permission_since", Moment),
        sa.Column("permission_checked_ms", sa.BigInteger, nullable=False, server_default="0"),
    ),
    "jobs": lambda: (sa.Column("trust_id", identifier()),),
    "providers": lambda: (sa.Column("acts_in_cloud", sa.SmallInteger, nullable=False, server_default="0"),),
}
INDEXES = {
    "trusts": {"trust": "trust_id"},
    "scheduled_operations": {"trust": "trust_id", "checked": "permission_checked_ms id"},
}


def upgrade() -> None:
    for table, columns in COLUMNS.items():
        known = {column["name"] for column in sa.inspect(op.get_bind()).get_columns(table)}
        for column in columns():
            if column.name not in known:
                op.add_column(table, column)
    _trusts()
    for table, indexes in INDEXES.items():
        there = {index["name"] for index in sa.inspect(op.get_bind()).get_indexes(table)}
        for name, keys in indexes.items():
            if f"{table}_{name}" not in there:
                op.create_index(f"{table}_{name}", table, keys.split())


def _trusts() -> None:
    given = {"engine": "InnoDB", "charset": "utf8mb4"}
    options = {f"{kind}_{option}": value for kind in ("mysql", "mariadb") for option, value in given.items()}
    op.create_table(
        "trusts",
        sa.Column("id", identifier(), primary_key=True),
        sa.Column("trust_id", identifier()),
        sa.Column("project_id", identifier(), nullable=False),
        sa.Column("user_id", text(255), nullable=False),
        sa.Column("scheduled_operation_id", identifier()),
        sa.Column("created_at", Moment, nullable=False),
        sa.Column("tried_ms", sa.BigInteger, nullable=False, server_default="0"),
        **options,
        if_not_exists=True,
    )
