# SPDX-License-Identifier: Apache-2.0
"""Does what a job could not remove from the cloud go with the next one?"""

import pytest

from karbor.model.trust import Trust
from karbor.plugins.resources.volume_backup import VolumeBackupProtection
from karbor.protection import leftovers
from karbor.protection.sweeper import Sweeper, SweepSettings
from tests.functional.test_cloud import PROVIDER, CloudHouse


@pytest.fixture
def house(tmp_path):
    running = CloudHouse(tmp_path, VolumeBackupProtection)
    yield running
    running.close()


def _found(house):
    plugins = house._parts.providers.get(PROVIDER).protections
    return leftovers.find(house.database, house.cloud.open("alpha"), plugins)


def test_snapshots_that_an_undone_job_could_not_remove_go_with_the_next_run(house):
    house.cloud.fail("block-storage", "POST", "/backups$", 400, times=3)
    house.cloud.fail("block-storage", "DELETE", "/snapshots/", 400, times=3)
    failed = house.checkpoint()
    assert failed.status == "error"
    left = {one.made.id for one in _found(house)}
    assert left == set(house.cloud.things["volume_snapshot"]) and left
    house.cloud.forgive()
    following = house.checkpoint()
    assert following.status == "available", following.reason
    assert not house.cloud.things["volume_snapshot"] and _found(house) == []
    assert len(house.cloud.things["backup"]) == 3  # those of the checkpoint are no leftovers


def test_what_an_aborted_job_left_is_found(house):
    """As an operator aborts a job whose worker never comes back: nobody undoes anything."""
    house.worker.stop(5)
    job_id = house.book("protect", checkpoint_id="11111111-1111-4111-8111-111111111111", plan=house.plan())
    (volume, *_rest) = house.cloud.things["volume"].values()
    marks = {"karbor": "passing", "karbor_job": job_id, "karbor_resource": volume["id"]}
    body = {"volume_id": volume["id"], "name": "n", "force": True, "metadata": marks}
    house.cloud.open("alpha").block_storage.post("/snapshots", json={"snapshot": body})
    assert _found(house) == []  # another worker may still take it
    with house.database.write() as rows:
        rows.connection.exec_driver_sql("UPDATE jobs SET state = 'failed'")
    assert [one.verdict for one in _found(house)] == [leftovers.LEFT]
    house.open()
    assert house.checkpoint().status == "available"
    assert not house.cloud.things["volume_snapshot"]


def test_what_a_job_left_goes_also_where_nobody_protects_any_more(house):
    house.cloud.fail("block-storage", "POST", "/backups$", 400, times=3)
    house.cloud.fail("block-storage", "DELETE", "/snapshots/", 400, times=3)
    with house.database.write() as rows:
        rows.trusts.begin(Trust("t1", house.project, "user"))
        rows.trusts.keep("t1", "trust")
    assert house.checkpoint().status == "error"
    house.cloud.forgive()
    assert house.cloud.things["volume_snapshot"]
    parts = house._parts
    sweeper = Sweeper(house.database, parts.providers, parts.clouds, parts.clock, SweepSettings())
    assert sweeper.look() == 1
    house.cloud.settle()
    assert not house.cloud.things["volume_snapshot"] and _found(house) == []
    assert set(house.disks()) == {"web", "database"}  # of the user nothing is missing
    assert sweeper.look() == 0
