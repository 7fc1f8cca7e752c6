# SPDX-License-Identifier: Apache-2.0
"""Does the memory twin keep the conditions of a bank, so that tests with it mean something?"""

from karbor.common.clock import Clock
from karbor.sdk.testing.bank_suite import BankSuite
from karbor.sdk.testing.lock_suite import LockSuite
from karbor.sdk.testing.memory_bank import MemoryBank


class TestMemoryBank(BankSuite):
    def make_bank(self) -> MemoryBank:
        return MemoryBank()


class TestMemoryBankThatLocks(LockSuite):
    def make_bank(self) -> MemoryBank:
        return MemoryBank(clock=Clock())
