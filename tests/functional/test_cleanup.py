# SPDX-License-Identifier: Apache-2.0
"""Do operations hold a lease while they write, and does nothing stay of those that failed or were deleted?"""

from datetime import timedelta

import pytest

from karbor.common.clock import Clock
from karbor.model import errors
from karbor.protection.cleaner import clean_bank
from karbor.protection.operation import RECORD
from karbor.vault.cleanup import Settings
from karbor.vault.keys import MasterKey
from karbor.vault.vault import Vault
from tests.functional.test_operations import PROJECT, PROVIDER, House

AT_ONCE = Settings(grace=0)


class LaterClock(Clock):
    """The clock of a site that looks at the bank two hours later."""

    def now(self):
        return super().now() + timedelta(hours=2)


@pytest.fixture
def house(tmp_path):
    house = House(tmp_path)
    yield house
    house.close()


def names(house, part):
    return sorted(name for name in house.bank.inner.objects if part in name)


def clean(house):
    found = clean_bank(house._parts.providers.get(PROVIDER), AT_ONCE, pause=lambda _: None)
    assert found["entries"] == []
    return found["counts"]


def test_a_deleted_checkpoint_leaves_nothing_but_a_tombstone(house):
    kept = house.checkpoint()
    (house.files / "one").write_bytes(b"two" * 150_000)
    gone = house.checkpoint()
    assert names(house, "/lease/") == []
    packs = len(names(house, "/pack/"))
    house.ask("delete", checkpoint_id=gone.id)
    assert clean(house)["packs_deleted"] > 0
    assert len(names(house, "/pack/")) < packs
    assert len(names(house, "/stream/")) == 1
    assert house.restore(kept.id, {f"{house.protectable.resource_type}": {"restore_name": "again"}}).status == "success"


def test_a_failed_protect_leaves_nothing_and_its_checkpoint_can_be_deleted(house):
    house.checkpoint()
    before = set(names(house, "/pack/") + names(house, "/stream/") + names(house, "/index/"))
    (house.files / "one").write_bytes(bytes(range(256)) * 2000)
    house.bank.fail(3, method="put_if_absent", error=errors.BankFull, lasting=True)
    failed = house.checkpoint()
    assert failed.status == "error"
    house.bank.heal()
    clean(house)
    later = _later(house)
    later.domain(PROJECT).clean_up(AT_ONCE, pause=lambda _: None)
    later.close()
    assert set(names(house, "/pack/") + names(house, "/stream/") + names(house, "/index/")) == before
    assert names(house, "/lease/") == []
    assert house.ask("delete", checkpoint_id=failed.id).state == "done"


def test_an_operation_that_was_given_up_by_another_site_ends_in_error(house):
    """All workers are away for hours in the middle of a protect, and somebody else cleans up."""
    house.checkpoint()
    checkpoint_id = "77777777-7777-4777-8777-777777777777"
    house.worker.stop(5)
    job_id = house.book("protect", checkpoint_id=checkpoint_id, plan=house.plan())
    house.vault.domain(PROJECT).lease(job_id, fence=0, record=(RECORD, checkpoint_id))
    later = _later(house)
    assert later.domain(PROJECT).clean_up(AT_ONCE, pause=lambda _: None).leases_given_up == 1
    later.close()
    house.open()
    assert house.ended(job_id).state == "failed"
    row = house.row(checkpoint_id)
    assert row.status == "error"
    assert "given up" in row.reason.cause
    assert row.reason.next_action == "make a new checkpoint"


def _later(house):
    """The vault as a site sees it hours later."""
    key = MasterKey(b"k" * 32)
    return Vault(house.bank.inner, master_key=key, cache_dir=house.files.parent / "later", clock=LaterClock())
