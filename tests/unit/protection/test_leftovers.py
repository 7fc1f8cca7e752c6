# SPDX-License-Identifier: Apache-2.0
"""Is what jobs left in a cloud found and removed, and nothing that anybody still needs?"""

import uuid

import pytest

from karbor.db.database import Database
from karbor.model import errors
from karbor.model.operation import Job, OperationLog
from karbor.plugins.resources.image_data import ImageDataProtection
from karbor.plugins.resources.volume_backup import VolumeBackupProtection
from karbor.plugins.resources.volume_data import VolumeDataProtection
from karbor.plugins.resources.volume_snapshot import VolumeSnapshotProtection
from karbor.protection import leftovers
from karbor.sdk.testing.memorycloud import MemoryCloud
from tests.support.clock import TwinClock
from tests.support.clouds import ENVIRONMENT

KINDS = (VolumeDataProtection, VolumeBackupProtection, VolumeSnapshotProtection, ImageDataProtection)
PLUGINS = [kind(kind.Settings(), ENVIRONMENT) for kind in KINDS]
PROVIDER = "22222222-2222-4222-8222-222222222222"


class Place:
    """A cloud with things of jobs, and the database that knows the jobs."""

    def __init__(self, path):
        self.memory = MemoryCloud()
        self.cloud = self.memory.open("alpha", pause=lambda _seconds: None)
        self.database = Database(f"sqlite:///{path}/db.sqlite", clock=TwinClock())
        self.database.upgrade()
        self.volume = self.memory.volumes.add("alpha", "of the user", b"precious")

    def job(self, state=None, logged=None):
        """A job in that state, or of which only the log is left."""
        id_ = str(uuid.uuid4())
        with self.database.write() as rows:
            if state is not None:
                rows.jobs.create(Job(id_, "protect", "p", PROVIDER, state=state))
            if logged is not None:
                rows.operation_logs.create(OperationLog(id_, "p", "protect", status=logged))
        return id_

    def snapshot(self, job_id, purpose):
        marks = {"karbor": purpose, "karbor_job": job_id, "karbor_resource": self.volume["id"]}
        body = {"volume_id": self.volume["id"], "name": purpose, "force": True, "metadata": marks}
        return self.cloud.block_storage.post("/snapshots", json={"snapshot": body}).json()["snapshot"]["id"]

    def copy(self, job_id, purpose="passing", **more):
        marks = {"karbor": purpose, "karbor_job": job_id}
        return self.memory.volumes.add("alpha", "copy", metadata=marks, **more)["id"]

    def image(self, job_id):
        return self.memory.images.add("alpha", f"karbor-passing-{job_id}-{self.volume['id']}", b"x")["id"]

    def find(self):
        return leftovers.find(self.database, self.cloud, PLUGINS)

    def left(self):
        return {one.made.id for one in self.find() if one.verdict == leftovers.LEFT}


@pytest.fixture
def place(tmp_path):
    found = Place(tmp_path)
    yield found
    found.database.dispose()


@pytest.mark.parametrize("end", [{"state": "done"}, {"state": "failed"}, {"logged": "error"}, {"logged": "success"}])
def test_what_passes_is_left_over_when_its_job_has_ended_however(place, end):
    job = place.job(**end)
    made = {place.snapshot(job, "passing"), place.copy(job), place.image(job)}
    assert place.left() == made


@pytest.mark.parametrize("end", [{"state": "failed"}, {"logged": "error"}])
def test_what_was_kept_for_a_checkpoint_that_failed_is_left_over(place, end):
    kept = place.snapshot(place.job(**end), "kept")
    assert place.left() == {kept}


@pytest.mark.parametrize("end", [{"state": "done"}, {"logged": "available"}])
def test_what_belongs_to_a_checkpoint_is_not(place, end):
    place.snapshot(place.job(**end), "kept")
    assert place.find() == []


@pytest.mark.parametrize("state", ["open", "running"])
def test_a_job_that_may_go_on_has_left_nothing(place, state):
    job = place.job(state=state)
    for purpose in ("passing", "kept"):
        place.snapshot(job, purpose)
    place.copy(job)
    place.image(job)
    assert place.find() == []


def test_a_job_that_runs_counts_more_than_what_its_log_says_of_an_attempt(place):
    place.snapshot(place.job(state="running", logged="error"), "passing")
    assert place.find() == []


def test_jobs_of_others_are_told_of_and_left_alone(place):
    id_ = place.snapshot(str(uuid.uuid4()), "passing")
    (one,) = place.find()
    assert (one.made.id, one.verdict) == (id_, leftovers.UNKNOWN)
    assert leftovers.remove(place.cloud, place.find()) == (0, [])
    assert id_ in place.memory.things["volume_snapshot"]


def test_what_the_user_has_and_got_back_is_never_touched(place):
    job = place.job(state="failed")
    place.copy(job, "restored")
    place.memory.images.add("alpha", f"my karbor-passing-{job}-picture", b"x")
    place.memory.images.add("beta", f"karbor-passing-{job}-{job}", b"x", visibility="public")
    assert place.find() == []


def test_what_is_left_is_removed_copies_before_what_they_were_made_of(place):
    job = place.job(state="failed")
    place.snapshot(job, "passing"), place.copy(job), place.image(job)
    removed, refused = leftovers.remove(place.cloud, place.find())
    assert (removed, refused) == (3, [])
    assert place.find() == []
    assert list(place.memory.things["volume"]) == [place.volume["id"]]
    order = [key[2] for key in place.memory.calls if key[1] == "DELETE"]
    assert order == ["/images/{id_}", "/volumes/{id_}", "/snapshots/{id_}"]


def test_what_cannot_be_removed_now_is_told_and_removed_later(place):
    place.snapshot(place.job(state="failed"), "passing")
    place.memory.fail("block-storage", "DELETE", "/snapshots/", 400)
    removed, refused = leftovers.remove(place.cloud, place.find())
    assert removed == 0 and "cannot be removed now" in refused[0][1]
    assert leftovers.remove(place.cloud, place.find())[0] == 1


def test_a_look_beside_other_work_never_hurts_it(place):
    id_ = place.snapshot(place.job(state="failed"), "passing")
    place.memory.fail("block-storage", "GET", "/snapshots/detail", 500, times=50)
    leftovers.sweep(place.database, lambda: place.cloud, PLUGINS)
    place.memory.forgive()
    leftovers.sweep(place.database, lambda: place.cloud, PLUGINS)
    assert id_ not in {one.made.id for one in place.find()}
    with pytest.raises(errors.Cancelled):
        leftovers.sweep(place.database, _cancelled, PLUGINS)


def _cancelled():
    raise errors.Cancelled
