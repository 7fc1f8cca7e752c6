# SPDX-License-Identifier: Apache-2.0
"""In which tables does taskflow keep its flows?

They are made by our migrations: taskflow's own ones stop short of an index on the parent, of MariaDB columns wide
enough for results, and use the same version table as ours. A test compares the columns.
"""

import sqlalchemy as sa
from sqlalchemy.dialects import mysql, postgresql
from taskflow import states as flow_states
from taskflow.persistence import models as flow_models

from karbor.db.columns import identifier, text
from karbor.db.metadata import table


def _flow_json(name: str) -> sa.Column:
    kind = sa.Text().with_variant(mysql.LONGTEXT(), "mysql", "mariadb").with_variant(postgresql.JSON(), "postgresql")
    return sa.Column(name, kind)


def _flow_times() -> tuple[sa.Column, ...]:
    return sa.Column("created_at", sa.DateTime), sa.Column("updated_at", sa.DateTime)


LOGBOOKS = table(
    "logbooks",
    sa.Column("uuid", identifier(), primary_key=True),
    *_flow_times(),
    _flow_json("meta"),
    sa.Column("name", text(255)),
    sa.Index("logbooks_name", "name"),
)

FLOWDETAILS = table(
    "flowdetails",
    sa.Column("uuid", identifier(), primary_key=True),
    *_flow_times(),
    sa.Column("parent_uuid", identifier(), sa.ForeignKey("logbooks.uuid", ondelete="CASCADE")),
    _flow_json("meta"),
    sa.Column("name", text(255)),
    sa.Column("state", text(255)),
    sa.Index("flowdetails_parent", "parent_uuid"),
)

ATOMDETAILS = table(
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
    sa.Column("atom_type", sa.Enum(*flow_models.ATOM_TYPES, name="atom_types")),
    sa.Column("intention", sa.Enum(*flow_states.INTENTIONS, name="intentions")),
    sa.Index("atomdetails_parent", "parent_uuid"),
)
