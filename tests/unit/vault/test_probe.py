# SPDX-License-Identifier: Apache-2.0
"""Is a bank that breaks a condition found out, and nothing left behind in one that keeps all?"""

import pytest

from karbor.model import errors
from karbor.sdk.testing.faults import FaultyBank
from karbor.sdk.testing.memory_bank import MemoryBank
from karbor.vault.probe import probe_bank
from tests.support.vaults import memory_bank


def broken(bank):
    return {condition.name for condition in probe_bank(bank) if condition.reason}


def test_a_good_bank_keeps_all_conditions_and_is_left_empty(bank):
    assert len(probe_bank(bank)) == 8 and broken(bank) == set()
    assert bank.objects == {}


def test_a_bank_that_fails_is_told_with_its_reason():
    bank = FaultyBank(memory_bank())
    bank.fail(1, method="put_if_absent", error=errors.BankFull, lasting=True)
    found = probe_bank(bank)
    assert "no room" in found[0].reason
    bank.fail(1, lasting=True)
    assert len(broken(bank)) == 8


class Overwriting(MemoryBank):
    """Takes an object again."""

    def put_if_absent(self, name, data):
        self.objects[name] = data
        return True


class Keeping(MemoryBank):
    """Deletes nothing."""

    def delete(self, name):
        """No."""


class Hiding(MemoryBank):
    """Lists nothing."""

    def list(self, prefix="", after="", limit=1000):
        return []


@pytest.mark.parametrize(
    ("kind", "condition"),
    [
        (Overwriting, "an object is put once"),
        (Keeping, "an object is removed"),
        (Hiding, "an object is listed"),
    ],
)
def test_a_bank_that_breaks_a_condition_is_found_out(kind, condition):
    bank = kind()
    bank.initialise()
    assert condition in broken(bank)
