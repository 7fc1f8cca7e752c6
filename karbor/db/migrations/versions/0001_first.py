# SPDX-License-Identifier: Apache-2.0
"""The first tables."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql, postgresql

from karbor.db.columns import Json, Moment, identifier, long_text, text

revision = "0001"
down_revision = None


def _table(name: str, *parts: sa.schema.SchemaItem | tuple[str, list[str]]) -> None:
    # IF NOT EXISTS: MariaDB cannot undo half a migration, so one that was killed must be able to run again.
    columns = [part for part in parts if not isinstance(part, tuple)]
    options = {f"{kind}_{option}": value for kind in ("mysql", "mariadb") for option, value in _MARIADB.items()}
    op.create_table(name, *columns, **options, if_not_exists=True)
    for index, on in (part for part in parts if isinstance(part, tuple)):
        op.create_index(index, name, on, if_not_exists=True)


_MARIADB = {"engine": "InnoDB", "charset": "utf8mb4"}


def _times() -> tuple[sa.Column, ...]:
    return sa.Column("created_at", Moment, nullable=False), sa.Column("updated_at", Moment)


def _json(name: str) -> sa.Column:
    return sa.Column(name, Json, nullable=False)


def _flow_json(name: str) -> sa.Column:
    kind = sa.Text().with_variant(mysql.LONGTEXT(), "mysql", "mariadb").with_variant(postgresql.JSON(), "postgresql")
    return sa.Column(name, kind)


def _flow_times() -> tuple[sa.Column, ...]:
    return sa.Column("created_at", sa.DateTime), sa.Column("updated_at", sa.DateTime)


def upgrade() -> None:
    _ours()
    _flows()


def _ours() -> None:
    _table(
        "plans",
        sa.Column("id", identifier(), primary_key=True),
        sa.Column("project_id", identifier(), nullable=False),
        sa.Column("name", text(255), nullable=False),
        sa.Column("description", text(255)),
        sa.Column("provider_id", identifier(), nullable=False),
        sa.Column("status", text(32), nullable=False),
        _json("resources"),
        _json("parameters"),
        *_times(),
        ("plans_created", ["created_at", "id"]),
        ("plans_project_created", ["project_id", "created_at", "id"]),
        ("plans_project_name", ["project_id", "name", "id"]),
        ("plans_project_status", ["project_id", "status", "id"]),
        ("plans_project_id", ["project_id", "id"]),
    )

    _table(
        "providers",
        sa.Column("id", identifier(), primary_key=True),
        sa.Column("name", text(255), nullable=False),
        sa.Column("description", long_text(), nullable=False),
        _json("schemas"),
        sa.Column("available", sa.Boolean, nullable=False),
        sa.Column("reason", long_text(), nullable=False),
        sa.Column("bank_identity", long_text()),
        *_times(),
        ("providers_name", ["name", "id"]),
        ("providers_created", ["created_at", "id"]),
    )

    _table(
        "checkpoints",
        sa.Column("id", identifier(), primary_key=True),
        sa.Column("project_id", identifier(), nullable=False),
        sa.Column("provider_id", identifier(), nullable=False),
        sa.Column("plan_id", identifier(), nullable=False),
        sa.Column("status", text(32), nullable=False),
        _json("plan"),
        sa.Column("graph", Json),
        _json("extra_info"),
        sa.Column("consistency", text(32)),
        sa.Column("mode", text(32)),
        sa.Column("size_logical", sa.BigInteger, nullable=False),
        sa.Column("size_read", sa.BigInteger, nullable=False),
        sa.Column("size_stored", sa.BigInteger, nullable=False),
        _json("progress"),
        sa.Column("reason", Json),
        *_times(),
        sa.Column("finished_at", Moment),
        ("checkpoints_created", ["created_at", "id"]),
        ("checkpoints_provider_created", ["provider_id", "created_at", "id"]),
        ("checkpoints_owner_created", ["project_id", "provider_id", "created_at", "id"]),
        ("checkpoints_owner_status", ["project_id", "provider_id", "status", "id"]),
        ("checkpoints_owner_id", ["project_id", "provider_id", "id"]),
        ("checkpoints_plan_created", ["plan_id", "created_at", "id"]),
    )

    _table(
        "checkpoint_resources",
        sa.Column("checkpoint_id", identifier(), sa.ForeignKey("checkpoints.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("resource_key", text(512), nullable=False),
        _json("saved"),
        ("checkpoint_resources_key", ["resource_key", "checkpoint_id"]),
    )

    _table(
        "restores",
        sa.Column("id", identifier(), primary_key=True),
        sa.Column("project_id", identifier(), nullable=False),
        sa.Column("provider_id", identifier(), nullable=False),
        sa.Column("checkpoint_id", identifier(), nullable=False),
        sa.Column("status", text(32), nullable=False),
        sa.Column("restore_target", long_text()),
        _json("parameters"),
        _json("resources_status"),
        _json("resources_reason"),
        _json("progress"),
        *_times(),
        sa.Column("finished_at", Moment),
        ("restores_created", ["created_at", "id"]),
        ("restores_project_created", ["project_id", "created_at", "id"]),
        ("restores_project_status", ["project_id", "status", "id"]),
        ("restores_project_id", ["project_id", "id"]),
    )

    _table(
        "jobs",
        sa.Column("id", identifier(), primary_key=True),
        sa.Column("operation", text(32), nullable=False),
        sa.Column("project_id", identifier(), nullable=False),
        sa.Column("provider_id", identifier(), nullable=False),
        sa.Column("state", text(32), nullable=False),
        sa.Column("checkpoint_id", identifier()),
        sa.Column("restore_id", identifier()),
        sa.Column("host", text(255)),
        _json("payload"),
        sa.Column("owner", text(255)),
        sa.Column("fence", sa.BigInteger, nullable=False),
        sa.Column("lease_until_ms", sa.BigInteger, nullable=False),
        sa.Column("not_before_ms", sa.BigInteger, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("cancel_requested", sa.Boolean, nullable=False),
        sa.Column("request_id", text(255)),
        *_times(),
        ("jobs_state_created", ["state", "created_at", "id"]),
        ("jobs_state_lease", ["state", "lease_until_ms", "id"]),
        ("jobs_checkpoint", ["checkpoint_id", "state"]),
        ("jobs_restore", ["restore_id", "state"]),
    )

    _table(
        "operation_logs",
        sa.Column("id", identifier(), primary_key=True),
        sa.Column("project_id", identifier(), nullable=False),
        sa.Column("operation_type", text(32), nullable=False),
        sa.Column("checkpoint_id", identifier()),
        sa.Column("plan_id", identifier()),
        sa.Column("provider_id", identifier()),
        sa.Column("restore_id", identifier()),
        sa.Column("scheduled_operation_id", identifier()),
        sa.Column("status", text(32)),
        sa.Column("started_at", Moment, nullable=False),
        sa.Column("ended_at", Moment),
        sa.Column("error_info", long_text()),
        _json("extra_info"),
        ("operation_logs_started", ["started_at", "id"]),
        ("operation_logs_project_started", ["project_id", "started_at", "id"]),
        ("operation_logs_project_id", ["project_id", "id"]),
        ("operation_logs_checkpoint", ["checkpoint_id", "started_at", "id"]),
        ("operation_logs_plan", ["plan_id", "started_at", "id"]),
        ("operation_logs_restore", ["restore_id", "started_at", "id"]),
    )

    _table(
        "services",
        sa.Column("binary", text(64), primary_key=True),
        sa.Column("host", text(255), primary_key=True),
        *_times(),
    )


def _flows() -> None:
    _table(
        "logbooks",
        sa.Column("uuid", identifier(), primary_key=True),
        *_flow_times(),
        _flow_json("meta"),
        sa.Column("name", text(255)),
        ("logbooks_name", ["name"]),
    )

    _table(
        "flowdetails",
        sa.Column("uuid", identifier(), primary_key=True),
        *_flow_times(),
        sa.Column("parent_uuid", identifier(), sa.ForeignKey("logbooks.uuid", ondelete="CASCADE")),
        _flow_json("meta"),
        sa.Column("name", text(255)),
        sa.Column("state", text(255)),
        ("flowdetails_parent", ["parent_uuid"]),
    )

    _table(
        "atomdetails",
        sa.Column("uuid", identifier(), primary_key=True),
        *_flow_times(),
        _flow_json("meta"),
        sa.Column("parent_uuid", identifier(), sa.ForeignKey("flowdetails.uuid", ondelete="CASCADE")),
        sa.Column("name", text(255)),
        sa.Column("version", text(64)),
        sa.Column("state", text(255)),
        _flow_json("failure"),
        _flow_json("results"),
        _flow_json("revert_results"),
        _flow_json("revert_failure"),
        sa.Column("atom_type", sa.Enum("RETRY_DETAIL", "TASK_DETAIL", name="atom_types")),
        sa.Column("intention", sa.Enum("EXECUTE", "IGNORE", "REVERT", "RETRY", name="intentions")),
        ("atomdetails_parent", ["parent_uuid"]),
    )
