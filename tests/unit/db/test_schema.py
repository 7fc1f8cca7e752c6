# SPDX-License-Identifier: Apache-2.0
"""Does every database come to the schema that the code expects, also when several processes start at once?"""

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from karbor.db.database import Database
from karbor.db.tables import METADATA
from tests.unit.db.test_jobs import contender


@pytest.fixture
def bare(empty_url, clock):
    """A database without tables."""
    found = Database(empty_url, clock=clock)
    yield found
    found.dispose()


class TestUpgrade:
    def test_an_empty_database_is_not_current_until_it_is_upgraded(self, bare):
        assert not bare.is_current()
        for _time in range(2):
            bare.upgrade()
            assert bare.is_current()

    def test_the_migrations_lead_to_the_tables_that_the_code_uses(self, bare):
        bare.upgrade()
        with bare.reader.connect() as connection:
            context = MigrationContext.configure(connection, opts={"compare_type": True})
            assert compare_metadata(context, METADATA) == []

    def test_a_changed_table_would_be_noticed(self, bare):
        bare.upgrade()
        with bare.engine.begin() as connection:
            connection.exec_driver_sql("ALTER TABLE plans ADD COLUMN colour VARCHAR(10)")
            connection.exec_driver_sql("DROP TABLE services")
        with bare.reader.connect() as connection:
            found = compare_metadata(MigrationContext.configure(connection), METADATA)
        assert {change[0] for change in found} == {"remove_column", "add_table", "add_index"}

    def test_processes_that_start_at_once_wait_for_each_other(self, bare, empty_url):
        others = [contender("upgrade", empty_url) for _ in range(3)]
        bare.upgrade()
        for other in others:
            other.communicate()
        assert [other.returncode for other in others] == [0, 0, 0]
        assert bare.is_current()

    def test_an_upgrade_killed_half_way_can_be_run_again(self, bare):
        bare.upgrade()
        with bare.engine.begin() as connection:  # what MariaDB is left with: tables, but no version yet
            connection.exec_driver_sql("DELETE FROM alembic_version")
            connection.exec_driver_sql("DROP TABLE atomdetails")
            if bare.engine.name == "postgresql":
                connection.exec_driver_sql("DROP TYPE atom_types, intentions")
            connection.exec_driver_sql(
                "DROP INDEX plans_created" + (" ON plans" if bare.engine.name == "mysql" else "")
            )
        bare.upgrade()
        assert bare.is_current()
        with bare.reader.connect() as connection:
            assert compare_metadata(MigrationContext.configure(connection), METADATA) == []

    def test_a_schema_of_a_later_release_is_not_current(self, bare):
        bare.upgrade()
        with bare.engine.begin() as connection:
            connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
        assert not bare.is_current()
