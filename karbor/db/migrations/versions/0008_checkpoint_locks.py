# SPDX-License-Identifier: Apache-2.0
"""What keeps a checkpoint from being deleted, as its bank says."""

import sqlalchemy as sa
from alembic import op

from karbor.db.columns import Moment, long_text, text

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    there = {column["name"] for column in sa.inspect(op.get_bind()).get_columns("checkpoints")}
    columns = (
        sa.Column("lock_mode", text(32)),
        sa.Column("locked_until", Moment),
        sa.Column("held", sa.SmallInteger, nullable=False, server_default="0"),
        sa.Column("held_reason", long_text()),
    )
    for column in columns:
        if column.name not in there:
            op.add_column("checkpoints", column)
