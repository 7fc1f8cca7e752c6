# SPDX-License-Identifier: Apache-2.0
"""When somebody looked, by a trust, for what failed jobs left in the cloud."""

import sqlalchemy as sa
from alembic import op

from karbor.db.columns import Moment

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    there = {column["name"] for column in sa.inspect(op.get_bind()).get_columns("trusts")}
    for column in (
        sa.Column("swept_at", Moment),
        sa.Column("sweep_tried_ms", sa.BigInteger, nullable=False, server_default="0"),
    ):
        if column.name not in there:
            op.add_column("trusts", column)
