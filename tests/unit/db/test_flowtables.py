# SPDX-License-Identifier: Apache-2.0
"""Does taskflow find the tables that it expects?"""

import sqlalchemy as sa
from taskflow.persistence.backends.sqlalchemy import tables as flow_tables

from karbor.db.metadata import METADATA


def test_taskflow_finds_the_columns_it_expects():
    expected = flow_tables.fetch(sa.MetaData())
    for table in expected:
        ours = METADATA.tables[table.name]
        assert {column.name for column in table.columns} == {column.name for column in ours.columns}
        for column in table.columns:
            assert getattr(column.type, "enums", None) == getattr(ours.c[column.name].type, "enums", None)
