# SPDX-License-Identifier: Apache-2.0
"""When triggers fire next, and what became of each planned time of each scheduled operation."""

import sqlalchemy as sa
from alembic import op

from karbor.db.columns import Json, Moment, identifier, long_text, text

revision = "0003"
down_revision = "0002"

# Every step looks first whether it was done: MariaDB cannot undo half a migration, so one that was killed must be able
# to run again.


def upgrade() -> None:
    _add("triggers", sa.Column("next_fire_ms", sa.BigInteger, server_default="0"), _count("revision"))
    _add("scheduled_operations", _count("since_ms"))
    _table("paused_plans", sa.Column("plan_id", identifier(), primary_key=True))
    _table("turns", sa.Column("name", text(64), primary_key=True))
    _runs()
    for table, indexes in INDEXES.items():
        there = {index["name"] for index in _inspector().get_indexes(table)}
        for name, columns in indexes.items():
            if f"{table}_{name}" not in there:
                op.create_index(f"{table}_{name}", table, columns.split(), unique=(table, name) in UNIQUE)


def _inspector() -> sa.Inspector:
    return sa.inspect(op.get_bind())


def _add(table: str, *columns: sa.Column) -> None:
    there = {column["name"] for column in _inspector().get_columns(table)}
    for column in columns:
        if column.name not in there:
            op.add_column(table, column)


def _count(name: str, kind: type = sa.BigInteger) -> sa.Column:
    return sa.Column(name, kind, nullable=False, server_default="0")


def _table(name: str, *columns: sa.Column) -> None:
    given = {"engine": "InnoDB", "charset": "utf8mb4"}
    options = {f"{kind}_{option}": value for kind in ("mysql", "mariadb") for option, value in given.items()}
    op.create_table(name, *columns, **options, if_not_exists=True)


def _runs() -> None:
    _table(
        "scheduled_runs",
        sa.Column("id", identifier(), primary_key=True),
        sa.Column("project_id", identifier(), nullable=False),
        sa.Column("user_id", text(255), nullable=False),
        sa.Column("scheduled_operation_id", identifier(), nullable=False),
        sa.Column("operation_type", text(64), nullable=False),
        sa.Column("scheduled_for", Moment, nullable=False),
        sa.Column("plan_id", identifier()),
        sa.Column("provider_id", identifier()),
        sa.Column("definition", Json, nullable=False),
        sa.Column("status", text(32), nullable=False),
        sa.Column("manual", sa.SmallInteger, nullable=False, server_default="0"),
        sa.Column("reason", long_text()),
        sa.Column("result", Json, nullable=False),
        _count("attempts", sa.Integer),
        sa.Column("owner", text(255)),
        _count("fence"),
        _count("lease_until_ms"),
        _count("not_before_ms"),
        sa.Column("begin_until_ms", sa.BigInteger),
        sa.Column("created_at", Moment, nullable=False),
        sa.Column("started_at", Moment),
        sa.Column("ended_at", Moment),
    )


UNIQUE = {("scheduled_runs", "time")}
INDEXES = {
    "triggers": {"next_fire": "next_fire_ms id"},
    "scheduled_runs": {
        "time": "scheduled_operation_id scheduled_for",
        "scheduled": "scheduled_operation_id scheduled_for id",
        "status": "scheduled_operation_id status scheduled_for id",
        "operation_id": "scheduled_operation_id id",
        "turn": "status not_before_ms id",
        "limit": "status begin_until_ms id",
        "ended": "ended_at id",
    },
}
