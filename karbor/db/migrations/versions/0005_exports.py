# SPDX-License-Identifier: Apache-2.0
"""Checkpoints that are offered as disks for a while."""

import sqlalchemy as sa
from alembic import op

from karbor.db.columns import Json, Moment, identifier, long_text, text

revision = "0005"
down_revision = "0004"

INDEXES = {
    "created": "created_at id",
    "project_created": "project_id created_at id",
    "project_status": "project_id status id",
    "project_id": "project_id id",
    "status": "status id",
    "status_created": "status created_at id",
    "project_status_created": "project_id status created_at id",
    "checkpoint": "checkpoint_id created_at id",
}


def upgrade() -> None:
    given = {"engine": "InnoDB", "charset": "utf8mb4"}
    options = {f"{kind}_{option}": value for kind in ("mysql", "mariadb") for option, value in given.items()}
    op.create_table(
        "exports",
        sa.Column("id", identifier(), primary_key=True),
        sa.Column("project_id", identifier(), nullable=False),
        sa.Column("provider_id", identifier(), nullable=False),
        sa.Column("checkpoint_id", identifier(), nullable=False),
        sa.Column("status", text(32), nullable=False),
        sa.Column("resource", long_text()),
        sa.Column("stream", text(255)),
        sa.Column("host", text(255)),
        sa.Column("expires_at", Moment, nullable=False),
        sa.Column("streams", Json, nullable=False),
        sa.Column("reason", long_text()),
        sa.Column("created_at", Moment, nullable=False),
        sa.Column("updated_at", Moment),
        sa.Column("finished_at", Moment),
        **options,
        if_not_exists=True,
    )
    # An upgrade that was killed must be able to run again: MariaDB cannot undo half of it.
    there = {index["name"] for index in sa.inspect(op.get_bind()).get_indexes("exports")}
    for name, columns in INDEXES.items():
        if f"exports_{name}" not in there:
            op.create_index(f"exports_{name}", "exports", columns.split())
