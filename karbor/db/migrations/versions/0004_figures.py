# SPDX-License-Identifier: Apache-2.0
"""What metrics sum up and count lies in indexes."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

INDEXES = {
    "checkpoints": {"sums": "deleted provider_id status size_logical size_read size_stored"},
    "jobs": {"state_operation": "state operation"},
}


def upgrade() -> None:
    for table, indexes in INDEXES.items():
        there = {index["name"] for index in sa.inspect(op.get_bind()).get_indexes(table)}
        for name, columns in indexes.items():
            if f"{table}_{name}" not in there:
                op.create_index(f"{table}_{name}", table, columns.split())
