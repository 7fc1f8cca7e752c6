# SPDX-License-Identifier: Apache-2.0
"""Sealed logins of restores into other clouds, for as long as the restore runs."""

import sqlalchemy as sa
from alembic import op

from karbor.db.columns import identifier, long_text

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    given = {"engine": "InnoDB", "charset": "utf8mb4"}
    options = {f"{kind}_{option}": value for kind in ("mysql", "mariadb") for option, value in given.items()}
    op.create_table(
        "restore_logins",
        sa.Column("restore_id", identifier(), sa.ForeignKey("restores.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("sealed", long_text(), nullable=False),
        **options,
        if_not_exists=True,
    )
