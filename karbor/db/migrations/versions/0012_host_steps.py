# SPDX-License-Identifier: Apache-2.0
"""Steps of jobs that are done by the worker of another host."""

import sqlalchemy as sa
from alembic import op

from karbor.db.columns import Json, Moment, identifier, long_text, text

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    given = {"engine": "InnoDB", "charset": "utf8mb4"}
    options = {f"{kind}_{option}": value for kind in ("mysql", "mariadb") for option, value in given.items()}
    op.create_table(
        "host_steps",
        sa.Column("id", identifier(), primary_key=True),
        sa.Column("job_id", identifier(), sa.ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
        sa.Column("fence", sa.BigInteger, nullable=False),
        sa.Column("host", text(255), nullable=False),
        sa.Column("phase", text(32), nullable=False),
        sa.Column("resource", long_text(), nullable=False),
        sa.Column("state", text(32), nullable=False),
        sa.Column("results", Json, nullable=False),
        sa.Column("answer", Json),
        sa.Column("fault", Json),
        sa.Column("progress", Json),
        sa.Column("owner", text(255)),
        sa.Column("lease_until_ms", sa.BigInteger, nullable=False),
        sa.Column("stopping", sa.Boolean, nullable=False),
        sa.Column("created_at", Moment, nullable=False),
        sa.Column("updated_at", Moment),
        **options,
        if_not_exists=True,
    )
    for name, columns in (("host_steps_host", ["host", "state", "created_at", "id"]), ("host_steps_job", ["job_id"])):
        op.create_index(name, "host_steps", columns, if_not_exists=True)
