# SPDX-License-Identifier: Apache-2.0
"""What a plan chooses, and what a checkpoint was made of and uses of the quotas of its project."""

import sqlalchemy as sa
from alembic import op

from karbor.db.columns import Json

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    for table, columns in {"plans": ("selection",), "checkpoints": ("chosen", "cost")}.items():
        there = {column["name"] for column in sa.inspect(op.get_bind()).get_columns(table)}
        for name in columns:
            if name not in there:
                op.add_column(table, sa.Column(name, Json))
