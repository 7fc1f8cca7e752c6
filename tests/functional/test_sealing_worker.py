# SPDX-License-Identifier: Apache-2.0
"""Does a worker with sealer files make checkpoints, leave all else to others, and do those read what it made?"""

from dataclasses import replace

import pytest

from karbor.protection.attempt import JobSettings
from karbor.protection.bankcheck import BankCheck
from karbor.protection.catalog import Rebuild
from karbor.protection.providers import Provider
from karbor.protection.worker import Worker
from karbor.vault.sealring import Sealers
from karbor.vault.vault import Vault
from tests.functional.test_operations import PROJECT, PROVIDER, TYPE, House, OneProvider

SETTINGS = JobSettings(lease=5, poll=0.1, attempts=1, retry_delay=0)


class SplitHouse(House):
    """A house whose worker only seals, until ``let_in`` puts one to work that has the master key."""

    def __init__(self, root):
        super().__init__(root)
        self.worker.stop(5)
        (root / "sealers").mkdir()
        self.vault.sealer(PROJECT).save(root / "sealers" / "project.seal")
        clock = self._parts.clock
        self.sealing = Vault(self.bank, master_key=Sealers(root / "sealers"), cache_dir=root / "sealing", clock=clock)
        full = self._parts.providers.get(PROVIDER)
        provider = Provider(full.info, self.bank, {TYPE: self.plugin}, {TYPE: "sample"}, open_vault=self._open_sealing)
        parts = replace(self._parts, providers=OneProvider(provider))
        settings = replace(SETTINGS, operations=("protect",))
        self.worker = Worker(parts, self.executor, settings, owner="sealer", host="there")
        self.worker.start()

    def _open_sealing(self, _bank):
        return self.sealing

    def let_in(self):
        self.worker.stop(5)
        self.open()

    def close(self):
        super().close()
        self.sealing.close()


@pytest.fixture
def house(tmp_path):
    found = SplitHouse(tmp_path)
    yield found
    found.close()


def test_what_it_made_is_restored_checked_brought_back_and_deleted_by_others(house):
    plan = house.plan()
    first = house.checkpoint(plan)
    assert (first.status, first.reason) == ("available", None)
    (house.files / "one").write_bytes(b"two" * 100_000)
    second = house.checkpoint(plan)
    assert second.status == "available"
    waiting = house.book("delete", checkpoint_id=second.id)
    third = house.checkpoint(plan)  # it had every chance to take the deletion first
    with house.database.read() as rows:
        assert rows.jobs.get(waiting).state == "queued"
    house.let_in()
    house.ended(waiting)
    assert house.row(second.id).status == "deleted"
    done = house.restore(first.id, {TYPE: {"restore_name": "back"}})
    assert done.status == "success"
    assert (house.files / "back").read_bytes() == b"one" * 100_000
    provider = house._parts.providers.get(PROVIDER)
    found = BankCheck(house.database, provider, level="data", advance=lambda _: None).run()
    assert (found["entries"], found["counts"]["checkpoints"]) == ([], 2)
    assert Rebuild(house.database, provider).run().counts == {"checkpoints kept": 2}
    assert house.row(third.id).status == "available"
