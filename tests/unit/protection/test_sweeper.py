# SPDX-License-Identifier: Apache-2.0
"""Does what failed jobs left go without anybody's doing, and does a look that fails harm nothing?"""

import logging
import uuid

import pytest

from karbor.clients.openstack import CloudSettings
from karbor.common.meters import Meters
from karbor.common.retrying import Policy
from karbor.db.database import Database
from karbor.model import errors
from karbor.model.operation import Job
from karbor.model.trust import Trust
from karbor.plugins.resources.volume_backup import VolumeBackupProtection
from karbor.protection.clouds import Clouds
from karbor.protection.sweeper import Sweeper, SweepSettings, settings_from
from karbor.sdk.testing.memorycloud import MemoryCloud
from tests.support.api import empty_database, make_conf
from tests.support.clock import TwinClock
from tests.support.clouds import ENVIRONMENT

PROVIDER = "22222222-2222-4222-8222-222222222222"


class OneProvider:
    """With a plug-in for volumes; it is its own registry."""

    ids = (PROVIDER,)
    protections = (VolumeBackupProtection(VolumeBackupProtection.Settings(), ENVIRONMENT),)

    def get(self, provider_id):
        return self


class Place:
    """A cloud whose trusts are named after projects, jobs that failed in it, and a sweeper. ``lost``: trusts that are
    no good any more."""

    def __init__(self, path, **settings):
        self.memory, self.clock, self.lost = MemoryCloud(), TwinClock(), set()
        (path / "db.sqlite").write_bytes(empty_database())
        self.database = Database(f"sqlite:///{path}/db.sqlite", clock=self.clock)
        self.meters = Meters()
        self.clouds = Clouds(self, CloudSettings(retries=Policy(attempts=1)))
        self.volumes = {}
        self.sweeper = self.another(**settings)

    def session_for_trust(self, trust_id):
        if trust_id in self.lost:
            raise errors.Forbidden("The trust was deleted in Keystone.")
        return self.memory.session(trust_id.partition(" ")[0])

    def another(self, **settings):
        return Sweeper(
            self.database, OneProvider(), self.clouds, self.clock, SweepSettings(**settings), meters=self.meters
        )

    def left(self, project="alpha", snapshots=1, number=1):
        """A job that failed by a trust of its own, and left something."""
        job_id = str(uuid.uuid4())
        trust_id = f"{project} {number}"
        with self.database.write() as rows:
            if rows.trusts.find(trust_id) is None:
                row = rows.trusts.begin(Trust(str(uuid.uuid4()), self.memory.project(project), "user"))
                rows.trusts.keep(row.id, trust_id)
            rows.jobs.create(Job(job_id, "protect", self.memory.project(project), PROVIDER, trust_id=trust_id))
            job = rows.jobs.claim(owner="w", provider_ids=[PROVIDER], host="h", lease_ms=1000)
            rows.jobs.finish(job, "failed")
        volume = self.volumes.setdefault(project, self.memory.volumes.add(project, "of the user", b"precious"))
        marks = {"karbor": "passing", "karbor_job": job_id, "karbor_resource": volume["id"]}
        body = {"volume_id": volume["id"], "name": "n", "force": True, "metadata": marks}
        for _ in range(snapshots):
            self.memory.open(project).block_storage.post("/snapshots", json={"snapshot": body})
        self.clock.pass_time(1)

    @property
    def snapshots(self):
        self.memory.settle()
        return len(self.memory.things["volume_snapshot"])

    def looks(self, outcome):
        return self.meters.registry.get_sample_value("karbor_leftovers_looks_total", {"outcome": outcome}) or 0

    def held(self):
        """How many permissions are not given back yet."""
        with self.database.read() as rows:
            since = self.clock.now().replace(year=2000)
            return 3 - len(rows.trusts.unused(wait_ms=0, limit=9, held_since=since))


@pytest.fixture
def place(tmp_path):
    found = Place(tmp_path)
    yield found
    found.database.dispose()


def test_what_is_left_in_every_project_goes_and_its_permission_is_free_then(place, caplog):
    for project in ("alpha", "beta", "gamma"):
        place.left(project)
    assert place.held() == 3
    assert place.sweeper.look() == 3
    assert (place.snapshots, place.held(), place.looks("clean")) == (0, 0, 3)
    removed = place.meters.registry.get_sample_value("karbor_leftovers_removed_total", {"kind": "snapshots"})
    assert removed == 3
    calls = sum(place.memory.calls.values())
    place.clock.pass_time(7200)
    assert place.sweeper.look() == 0
    assert sum(place.memory.calls.values()) == calls  # a cloud in which nothing failed since is not asked


def test_a_project_is_looked_at_by_one_worker_at_a_time(place):
    place.left()
    place.memory.fail("block-storage", "DELETE", "/snapshots/", 400, times=9)
    assert (place.sweeper.look(), place.another().look()) == (1, 0)


def test_what_cannot_be_removed_is_told_once_and_goes_with_a_later_look(place, caplog):
    place.left()
    place.memory.fail("block-storage", "DELETE", "/snapshots/", 400, times=99)
    for _ in range(3):
        place.sweeper.look()
        place.clock.pass_time(7200)
    told = [one for one in caplog.records if one.levelno >= logging.WARNING]
    assert len(told) == 1 and place.memory.project("alpha") in told[0].getMessage()
    assert (place.snapshots, place.looks("unfinished")) == (1, 3)
    place.memory.forgive()
    place.sweeper.look()
    assert (place.snapshots, place.looks("clean")) == (0, 1)


@pytest.mark.parametrize("status", [500, 503, 403, 401, 404])
def test_a_cloud_that_does_not_answer_is_told_once_and_keeps_no_other_project_waiting(place, caplog, status):
    for project in ("alpha", "beta"):
        place.left(project)
    for _ in range(2):
        place.memory.fail("block-storage", "GET", f"/{place.memory.project('alpha')}/", status, times=99)
        assert place.sweeper.look() >= 1
        place.clock.pass_time(7200)
    assert len([one for one in caplog.records if one.levelno >= logging.WARNING]) == 1
    assert (place.snapshots, place.looks("clean"), place.looks("failed")) == (1, 1, 2)
    place.memory.forgive()
    place.sweeper.look()
    assert place.snapshots == 0


def test_where_one_permission_is_lost_another_one_of_the_project_serves(place):
    place.left(number=1)
    place.left(number=2)
    place.lost.add("alpha 2")
    place.sweeper.look()
    assert (place.snapshots, place.looks("clean")) == (0, 1)


def test_where_all_permissions_are_lost_it_is_told_once(place, caplog):
    place.left()
    place.lost.add("alpha 1")
    for _ in range(2):
        place.sweeper.look()
        place.clock.pass_time(7200)
    (told,) = [one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING]
    assert "was deleted in Keystone" in told and place.snapshots == 1


def test_a_look_has_a_bound_and_the_next_one_goes_on(tmp_path):
    place = Place(tmp_path, requests=8)
    place.left(snapshots=30)
    before, looks = 30, 0
    while place.snapshots and looks < 30:
        calls = sum(place.memory.calls.values())
        place.sweeper.look()
        assert sum(place.memory.calls.values()) - calls <= 2 * 8 + 2  # to find, and to remove
        assert place.snapshots < before
        before, looks = place.snapshots, looks + 1
        place.clock.pass_time(7200)
    assert place.snapshots == 0 and looks > 3
    place.database.dispose()


def test_there_is_no_time_for_more_than_was_given(tmp_path, caplog):
    place = Place(tmp_path, seconds=0)
    place.left()
    place.sweeper.look()
    assert (place.snapshots, place.looks("failed")) == (1, 1)
    place.database.dispose()


def test_a_worker_that_stops_looks_no_more(place):
    place.left()
    place.sweeper.stop()
    assert place.sweeper.look() == 0 and place.snapshots == 1


def test_it_starts_and_stops(place):
    for clouds, interval in ((place.clouds, 0), (None, 3600), (place.clouds, 3600)):
        sweeper = Sweeper(place.database, OneProvider(), clouds, place.clock, SweepSettings(interval=interval))
        sweeper.start()
        sweeper.stop()
    assert settings_from(make_conf()) == SweepSettings()
