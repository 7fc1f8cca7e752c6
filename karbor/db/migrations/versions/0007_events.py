# SPDX-License-Identifier: Apache-2.0
"""What became of events that triggers wait for, tokens of webhooks, and how often an operation failed in a row."""

import sqlalchemy as sa
from alembic import op

from karbor.db.columns import Moment, identifier, long_text, text

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    if "token_hash" not in {column["name"] for column in sa.inspect(op.get_bind()).get_columns("triggers")}:
        op.add_column("triggers", sa.Column("token_hash", text(64)))
    _table(
        "breakers",
        sa.Column("scheduled_operation_id", identifier(), primary_key=True),
        _count("failures", sa.Integer),
        _count("paused_until_ms"),
    )
    _table(
        "trigger_events",
        sa.Column("id", identifier(), primary_key=True),
        sa.Column("trigger_id", identifier(), nullable=False),
        sa.Column("project_id", identifier(), nullable=False),
        sa.Column("source", text(32), nullable=False),
        sa.Column("type", text(255), nullable=False),
        sa.Column("at", Moment, nullable=False),
        _count("due_ms"),
        sa.Column("outcome", text(32), nullable=False),
        sa.Column("reason", long_text()),
        _count("runs", sa.Integer),
    )
    there = {index["name"] for index in sa.inspect(op.get_bind()).get_indexes("trigger_events")}
    for name, columns in INDEXES.items():
        if f"trigger_events_{name}" not in there:
            op.create_index(f"trigger_events_{name}", "trigger_events", columns.split())


def _table(name: str, *columns: sa.Column) -> None:
    given = {"engine": "InnoDB", "charset": "utf8mb4"}
    options = {f"{kind}_{option}": value for kind in ("mysql", "mariadb") for option, value in given.items()}
    op.create_table(name, *columns, **options, if_not_exists=True)


def _count(name: str, kind: type = sa.BigInteger) -> sa.Column:
    return sa.Column(name, kind, nullable=False, server_default="0")


INDEXES = {
    "trigger_at": "trigger_id at id",
    "trigger_outcome": "trigger_id outcome at id",
    "trigger_id": "trigger_id id",
    "at": "at id",
}
