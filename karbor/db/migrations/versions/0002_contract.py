# SPDX-License-Identifier: Apache-2.0
"""Verifications, triggers, scheduled operations and quotas; copies; an index for every filter and sort of every list."""

import sqlalchemy as sa
from alembic import op

from karbor.db.columns import Json, Moment, identifier, long_text, text

revision = "0002"
down_revision = "0001"

# Every step looks first whether it was done: MariaDB cannot undo half a migration, so one that was killed must be able
# to run again.


def upgrade() -> None:
    _columns()
    _services()
    _tables()
    _fill()
    _indexes()


def _connection() -> sa.Connection:
    return op.get_bind()


def _has_column(table: str, name: str) -> bool:
    return name in {column["name"] for column in sa.inspect(_connection()).get_columns(table)}


def _add(table: str, *columns: sa.Column) -> None:
    for column in columns:
        if not _has_column(table, column.name):
            op.add_column(table, column)


def _columns() -> None:
    _add(
        "checkpoints",
        sa.Column("base_id", identifier()),
        sa.Column("source_id", identifier()),
        sa.Column("verified_at", Moment),
        sa.Column("verified_level", text(32)),
        sa.Column("deleted", sa.SmallInteger, nullable=False, server_default="0"),
    )
    _add("jobs", sa.Column("verification_id", identifier()))
    _add("operation_logs", sa.Column("verification_id", identifier()))
    _connection().execute(sa.text("UPDATE checkpoints SET deleted = 1 WHERE status = 'deleted'"))
    _connection().execute(sa.text("UPDATE operation_logs SET status = '' WHERE status IS NULL"))
    with op.batch_alter_table("operation_logs") as batch:
        batch.alter_column("status", existing_type=text(32), nullable=False, server_default="")


def _services() -> None:
    """A number for each daemon, as its primary key."""
    if _has_column("services", "id"):
        return
    kind = _connection().dialect.name
    if kind == "postgresql":
        op.execute("ALTER TABLE services DROP CONSTRAINT services_pkey")
        op.execute("ALTER TABLE services ADD COLUMN id SERIAL PRIMARY KEY")
        op.execute("ALTER TABLE services ADD COLUMN disabled SMALLINT NOT NULL DEFAULT 0")
        op.execute("ALTER TABLE services ADD COLUMN disabled_reason TEXT")
    elif kind in ("mysql", "mariadb"):  # one statement: it is done whole or not at all
        op.execute(
            "ALTER TABLE services DROP PRIMARY KEY, ADD COLUMN id INTEGER NOT NULL AUTO_INCREMENT PRIMARY KEY FIRST,"
            " ADD COLUMN disabled SMALLINT NOT NULL DEFAULT 0,"
            " ADD COLUMN disabled_reason LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
        )
    else:  # SQLite cannot change a primary key; all of this is one transaction there
        op.rename_table("services", "services_before")
        op.create_table(
            "services",
            sa.Column("id", sa.Integer, primary_key=True),
            sa.Column("binary", text(64), nullable=False),
            sa.Column("host", text(255), nullable=False),
            *_times(),
            sa.Column("disabled", sa.SmallInteger, nullable=False, server_default="0"),
            sa.Column("disabled_reason", long_text()),
        )
        fields = '"binary", host, created_at, updated_at'
        op.execute(f"INSERT INTO services ({fields}) SELECT {fields} FROM services_before")
        op.drop_table("services_before")


_MARIADB = {"engine": "InnoDB", "charset": "utf8mb4"}


def _table(name: str, *columns: sa.Column) -> None:
    options = {f"{kind}_{option}": value for kind in ("mysql", "mariadb") for option, value in _MARIADB.items()}
    op.create_table(name, *columns, **options, if_not_exists=True)


def _times() -> tuple[sa.Column, ...]:
    return sa.Column("created_at", Moment, nullable=False), sa.Column("updated_at", Moment)


def _json(name: str) -> sa.Column:
    return sa.Column(name, Json, nullable=False)


def _count(name: str, kind: type = sa.BigInteger) -> sa.Column:
    return sa.Column(name, kind, nullable=False, server_default="0")


def _tables() -> None:
    _table(
        "plan_summaries",
        sa.Column("plan_id", identifier(), primary_key=True),
        sa.Column("project_id", identifier(), nullable=False),
        _count("checkpoints", sa.Integer),
        sa.Column("last_run_id", identifier()),
        sa.Column("last_run_at", Moment),
        sa.Column("last_run_status", text(32)),
        sa.Column("last_good_id", identifier()),
        sa.Column("last_good_at", Moment),
    )
    _table(
        "verifications",
        sa.Column("id", identifier(), primary_key=True),
        sa.Column("project_id", identifier(), nullable=False),
        sa.Column("provider_id", identifier(), nullable=False),
        sa.Column("checkpoint_id", identifier(), nullable=False),
        sa.Column("status", text(32), nullable=False),
        _json("parameters"),
        _json("resources_status"),
        _json("resources_reason"),
        sa.Column("report", Json),
        _json("progress"),
        *_times(),
        sa.Column("finished_at", Moment),
    )
    _table(
        "triggers",
        sa.Column("id", identifier(), primary_key=True),
        sa.Column("project_id", identifier(), nullable=False),
        sa.Column("name", text(255), nullable=False),
        sa.Column("type", text(64), nullable=False),
        _json("properties"),
        *_times(),
    )
    _table(
        "scheduled_operations",
        sa.Column("id", identifier(), primary_key=True),
        sa.Column("project_id", identifier(), nullable=False),
        sa.Column("user_id", text(255), nullable=False),
        sa.Column("name", text(255), nullable=False),
        sa.Column("description", text(255)),
        sa.Column("operation_type", text(64), nullable=False),
        sa.Column("trigger_id", identifier(), nullable=False),
        sa.Column("plan_id", identifier()),
        sa.Column("provider_id", identifier()),
        _json("operation_definition"),
        sa.Column("enabled", sa.SmallInteger, nullable=False),
        *_times(),
    )
    _table(
        "quotas",
        sa.Column("project_id", identifier(), primary_key=True),
        sa.Column("kind", text(32), primary_key=True),
        sa.Column("hard_limit", sa.BigInteger, nullable=False),
    )
    _table(
        "quota_classes",
        sa.Column("name", text(255), primary_key=True),
        sa.Column("kind", text(32), primary_key=True),
        sa.Column("hard_limit", sa.BigInteger, nullable=False),
    )
    _table(
        "quota_usages",
        sa.Column("project_id", identifier(), primary_key=True),
        _count("plans"),
        _count("checkpoints"),
        _count("logical_bytes"),
        _count("stored_bytes"),
    )
    _table(
        "repeats",
        sa.Column("project_id", identifier(), primary_key=True),
        sa.Column("key", text(255), primary_key=True),
        sa.Column("path", long_text(), nullable=False),
        sa.Column("body_hash", text(64), nullable=False),
        sa.Column("response", Json),
        sa.Column("created_at", Moment, nullable=False),
    )


def _fill() -> None:
    """Count what is there already. A second time it is counted anew."""
    for statement in _COUNTING:
        _connection().execute(sa.text(statement))


_COUNTING = (
    "DELETE FROM quota_usages",
    """
    INSERT INTO quota_usages (project_id, plans, checkpoints, logical_bytes, stored_bytes)
    SELECT project_id, SUM(plans), SUM(checkpoints), SUM(logical_bytes), SUM(stored_bytes) FROM (
        SELECT project_id, 1 AS plans, 0 AS checkpoints, 0 AS logical_bytes, 0 AS stored_bytes FROM plans
        UNION ALL
        SELECT project_id, 0, 1, size_logical, size_stored FROM checkpoints WHERE deleted = 0
    ) found GROUP BY project_id
    """,
    "DELETE FROM plan_summaries",
    # Before this release there were no copies: the newest checkpoint of a plan is its last run.
    """
    INSERT INTO plan_summaries (plan_id, project_id, checkpoints)
    SELECT plan_id, MAX(project_id), SUM(1 - deleted) FROM checkpoints GROUP BY plan_id
    """,
    *(
        f"""
        UPDATE plan_summaries SET last_{what}_id = (
            SELECT id FROM checkpoints WHERE checkpoints.plan_id = plan_summaries.plan_id{condition}
            ORDER BY created_at DESC, id DESC LIMIT 1
        )
        """
        for what, condition in (("run", ""), ("good", " AND status = 'available'"))
    ),
    *(
        f"""
        UPDATE plan_summaries SET last_{what}_at = (
            SELECT created_at FROM checkpoints WHERE checkpoints.id = plan_summaries.last_{what}_id
        )
        """
        for what in ("run", "good")
    ),
    # A checkpoint that is being deleted, or is deleted, had ended well as far as can be told now.
    """
    UPDATE plan_summaries SET last_run_status = (
        SELECT CASE WHEN status IN ('protecting', 'error') THEN status ELSE 'available' END
        FROM checkpoints WHERE checkpoints.id = plan_summaries.last_run_id
    )
    """,
)


def _indexes() -> None:
    for name in ("checkpoints_created", "checkpoints_provider_created", "checkpoints_owner_created"):
        op.drop_index(name, "checkpoints", if_exists=True)
    op.drop_index("checkpoints_plan_created", "checkpoints", if_exists=True)
    for table, indexes in _INDEXES.items():
        for name, columns in indexes.items():
            op.create_index(
                f"{table}_{name}", table, columns.split(), unique=name == "daemon", if_not_exists=True
            )


_INDEXES = {
    "repeats": {"created": "created_at"},
    "plans": {
        "name": "name id",
        "project_status_created": "project_id status created_at id",
        "status": "status id",
        "status_created": "status created_at id",
    },
    "plan_summaries": {
        "project": "project_id",
    },
    "checkpoints": {
        "deleted_updated": "deleted updated_at",
        "live": "deleted created_at id",
        "owner_live": "project_id provider_id deleted created_at id",
        "owner_status_created": "project_id provider_id status created_at id",
        "plan_live": "plan_id deleted created_at id",
        "plan_status_created": "plan_id status created_at id",
        "project_id": "project_id id",
        "project_live": "project_id deleted created_at id",
        "project_status": "project_id status id",
        "project_status_created": "project_id status created_at id",
        "provider_id": "provider_id id",
        "provider_live": "provider_id deleted created_at id",
        "provider_status": "provider_id status id",
        "provider_status_created": "provider_id status created_at id",
        "status": "status id",
        "status_created": "status created_at id",
    },
    "restores": {
        "checkpoint": "checkpoint_id created_at id",
        "project_status_created": "project_id status created_at id",
        "status": "status id",
        "status_created": "status created_at id",
    },
    "verifications": {
        "checkpoint": "checkpoint_id created_at id",
        "created": "created_at id",
        "project_created": "project_id created_at id",
        "project_id": "project_id id",
        "project_status": "project_id status id",
        "project_status_created": "project_id status created_at id",
        "status": "status id",
        "status_created": "status created_at id",
    },
    "jobs": {
        "state_updated": "state updated_at",
        "verification": "verification_id state",
    },
    "operation_logs": {
        "project_provider": "project_id provider_id started_at id",
        "project_status": "project_id status id",
        "project_status_started": "project_id status started_at id",
        "project_type": "project_id operation_type started_at id",
        "provider": "provider_id started_at id",
        "scheduled_operation": "scheduled_operation_id started_at id",
        "status": "status id",
        "status_started": "status started_at id",
        "type": "operation_type started_at id",
        "verification": "verification_id started_at id",
    },
    "services": {
        "daemon": "binary host",
        "host": "host",
    },
    "triggers": {
        "created": "created_at id",
        "name": "name id",
        "project_created": "project_id created_at id",
        "project_id": "project_id id",
        "project_name": "project_id name id",
        "project_type": "project_id type created_at id",
        "type": "type created_at id",
    },
    "scheduled_operations": {
        "created": "created_at id",
        "enabled": "enabled created_at id",
        "name": "name id",
        "plan": "plan_id created_at id",
        "project_created": "project_id created_at id",
        "project_enabled": "project_id enabled created_at id",
        "project_id": "project_id id",
        "project_name": "project_id name id",
        "project_provider": "project_id provider_id created_at id",
        "project_type": "project_id operation_type created_at id",
        "provider": "provider_id created_at id",
        "trigger": "trigger_id created_at id",
        "type": "operation_type created_at id",
    },
}
