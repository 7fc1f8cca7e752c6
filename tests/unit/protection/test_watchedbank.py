# SPDX-License-Identifier: Apache-2.0
"""Is a watched bank the same bank, with a point before and after everything it changes?"""

import pytest

from karbor.common import faultpoints
from karbor.protection.watchedbank import WatchedBank, kind
from karbor.sdk.testing.bank_suite import BankSuite
from karbor.sdk.testing.memory_bank import MemoryBank


@pytest.fixture(autouse=True)
def _calm():
    yield
    faultpoints.disarm()


class TestAsABank(BankSuite):
    def make_bank(self):
        return WatchedBank(MemoryBank(MemoryBank.Settings()))


def test_each_change_is_a_point_before_and_after():
    bank = WatchedBank(MemoryBank(MemoryBank.Settings()))
    bank.initialise()
    reached = []
    faultpoints.arm(reached.append)
    bank.put_if_absent("d/0123/pack/ab/77", b"x")
    bank.get("d/0123/pack/ab/77")
    bank.delete("d/0123/pack/ab/77")
    assert reached == [
        "bank:put-pack:before",
        "bank:put-pack:after",
        "bank:delete-pack:before",
        "bank:delete-pack:after",
    ]


def test_a_kind_is_never_an_id():
    assert kind("vault/key/0007/1") == "vault-key"
    assert kind("d/0a0b0c/pack/ab/ab00") == "pack"
    assert kind("d/0a0b0c/gone/record/checkpoint/1f-2") == "gone-record-checkpoint"
    assert kind("7") == "object"
