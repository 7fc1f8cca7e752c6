# SPDX-License-Identifier: Apache-2.0
"""Published policies, what they made for which plan, and alarms about plans without a good checkpoint."""

import sqlalchemy as sa
from alembic import op

from karbor.db.columns import Json, Moment, identifier, long_text, text

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    there = {column["name"] for column in sa.inspect(op.get_bind()).get_columns("plans")}
    for column in (sa.Column("rpo", sa.Integer), sa.Column("policy_id", identifier())):
        if column.name not in there:
            op.add_column("plans", column)
    _table(
        "policies",
        sa.Column("id", identifier(), primary_key=True),
        sa.Column("name", text(255), nullable=False),
        sa.Column("description", text(255)),
        sa.Column("schedules", Json, nullable=False),
        sa.Column("created_at", Moment, nullable=False),
        sa.Column("updated_at", Moment),
    )
    _table(
        "policy_schedules",
        sa.Column("scheduled_operation_id", identifier(), primary_key=True),
        sa.Column("trigger_id", identifier(), nullable=False),
        sa.Column("plan_id", identifier(), nullable=False),
        sa.Column("policy_id", identifier(), nullable=False),
        sa.Column("entry", text(64), nullable=False),
    )
    _table(
        "plan_alarms",
        sa.Column("plan_id", identifier(), primary_key=True),
        sa.Column("project_id", identifier(), nullable=False),
        sa.Column("state", text(32), nullable=False),
        sa.Column("due_at", Moment),
        sa.Column("since", Moment, nullable=False),
        sa.Column("begins_at", Moment),
        sa.Column("reason", long_text()),
    )
    _table(
        "alarm_messages",
        sa.Column("id", identifier(), primary_key=True),
        sa.Column("channel", text(32), nullable=False),
        _count("created_ms"),
        sa.Column("message", Json, nullable=False),
    )
    _table(
        "alarm_channels",
        sa.Column("id", text(32), primary_key=True),
        _count("not_before_ms"),
        _count("failures", sa.Integer),
    )
    for name, (table, columns, unique) in INDEXES.items():
        if name not in {index["name"] for index in sa.inspect(op.get_bind()).get_indexes(table)}:
            op.create_index(name, table, columns.split(), unique=unique)


def _table(name: str, *columns: sa.Column) -> None:
    given = {"engine": "InnoDB", "charset": "utf8mb4"}
    options = {f"{kind}_{option}": value for kind in ("mysql", "mariadb") for option, value in given.items()}
    op.create_table(name, *columns, **options, if_not_exists=True)


def _count(name: str, kind: type = sa.BigInteger) -> sa.Column:
    return sa.Column(name, kind, nullable=False, server_default="0")


INDEXES = {
    "plans_policy": ("plans", "policy_id id", False),
    "policies_name": ("policies", "name", True),
    "policies_created": ("policies", "created_at id", False),
    "policy_schedules_plan": ("policy_schedules", "plan_id", False),
    "policy_schedules_policy": ("policy_schedules", "policy_id entry", False),
    "policy_schedules_trigger": ("policy_schedules", "trigger_id", False),
    "plan_alarms_state": ("plan_alarms", "state plan_id", False),
    "alarm_messages_channel": ("alarm_messages", "channel created_ms id", False),
}
