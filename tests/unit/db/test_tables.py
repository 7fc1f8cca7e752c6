# SPDX-License-Identifier: Apache-2.0
"""Do our tables suit those who use them: taskflow, and MariaDB?"""

import sqlalchemy as sa
from taskflow.persistence.backends.sqlalchemy import tables as flow_tables

from karbor.db.tables import METADATA


def test_taskflow_finds_the_columns_it_expects():
    expected = flow_tables.fetch(sa.MetaData())
    for table in expected:
        ours = METADATA.tables[table.name]
        assert {column.name for column in table.columns} == {column.name for column in ours.columns}
        for column in table.columns:
            assert getattr(column.type, "enums", None) == getattr(ours.c[column.name].type, "enums", None)


def test_no_index_is_longer_than_mariadb_allows():
    for table in METADATA.tables.values():
        for index in [*table.indexes, table.primary_key]:
            assert sum(4 * getattr(column.type, "length", 2) + 2 for column in index.columns) <= 3072, index.name
