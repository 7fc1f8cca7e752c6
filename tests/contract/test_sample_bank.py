# SPDX-License-Identifier: Apache-2.0
"""Does the example for authors of banks keep the conditions?"""

from karbor.sdk.testing.bank_suite import BankSuite
from tests.samples.sample_bank import SqliteBank


class TestSqliteBank(BankSuite):
    def make_bank(self) -> SqliteBank:
        return SqliteBank(SqliteBank.Settings(file=str(self.directory / "objects.sqlite")))

    def again(self, bank) -> SqliteBank:
        return self.make_bank()
