# SPDX-License-Identifier: Apache-2.0
"""Do all tables have in common what MariaDB must be told?"""

from karbor.db import tables


def test_every_table_is_transactional_and_holds_every_character():
    for table in tables.METADATA.tables.values():
        for kind in ("mysql", "mariadb"):
            assert table.dialect_options[kind]["engine"] == "InnoDB"
            assert table.dialect_options[kind]["charset"] == "utf8mb4"
