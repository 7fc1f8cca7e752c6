# SPDX-License-Identifier: Apache-2.0
"""Do our tables suit those who use them: taskflow, and every list?"""

import pytest
import sqlalchemy as sa
from taskflow.persistence.backends.sqlalchemy import tables as flow_tables

from karbor.db import checkpoints, operation_logs, plans, providers, restores
from karbor.db.tables import METADATA

LISTS = [
    plans.Plans,
    checkpoints.Checkpoints,
    restores.Restores,
    providers.Providers,
    operation_logs.OperationLogs,
]


def test_taskflow_finds_the_columns_it_expects():
    expected = flow_tables.fetch(sa.MetaData())
    for table in expected:
        ours = METADATA.tables[table.name]
        assert {column.name for column in table.columns} == {column.name for column in ours.columns}
        for column in table.columns:
            assert getattr(column.type, "enums", None) == getattr(ours.c[column.name].type, "enums", None)


@pytest.mark.parametrize("repository", LISTS)
def test_every_list_by_time_is_served_by_an_index(repository):
    column = "started_at" if repository is operation_logs.OperationLogs else "created_at"
    leading = [[part.name for part in index.columns] for index in repository.table.indexes]
    assert [column, "id"] in leading


def test_no_index_is_longer_than_mariadb_allows():
    for table in METADATA.tables.values():
        for index in [*table.indexes, table.primary_key]:
            assert sum(4 * getattr(column.type, "length", 2) + 2 for column in index.columns) <= 3072, index.name
