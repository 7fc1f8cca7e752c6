# SPDX-License-Identifier: Apache-2.0
"""Does a verification tell what is lost, exactly, and make a checkpoint unusable only where that is proven?"""

import threading
import uuid

import pytest

from karbor.model import errors
from karbor.model.operation import Job, OperationLog
from karbor.model.verification import Verification
from karbor.protection.operation import RECORD
from karbor.protection.verify import BANK, RECORD_KEY
from karbor.sdk.testing.faults import FaultyBank
from karbor.vault.examineobjects import UNREADABLE
from tests.functional.test_operations import PROJECT, PROVIDER, House
from tests.samples.sample_file import TYPE, FileProtection

PATIENCE = 120  # seconds that a loaded machine may take to begin a step


class Knowing(FileProtection):
    """A plug-in with something to say of its own; ``verdict`` is called with the work."""

    def __init__(self, settings, environment):
        super().__init__(settings, environment)
        self.verdict = lambda work: None
        self.asked = []

    def verify(self, work):
        self.asked.append(work.resource.name)
        return self.verdict(work)


class VerifyHouse(House):
    """A house with two files, each of whose content is its own."""

    def __init__(self, root, protection=FileProtection):
        super().__init__(root, protection)
        self.objects = self.bank.inner.objects
        (self.files / "two").write_bytes(bytes(range(256)) * 300)

    def protect(self):
        """A checkpoint of both files."""
        return self.checkpoint(self.plan([resource.to_dict() for resource in self.protectable.list(PROJECT)]))

    def begin(self, checkpoint_id, parameters=None):
        """(id of the verification, id of its job)"""
        verification = Verification(str(uuid.uuid4()), PROJECT, PROVIDER, checkpoint_id, parameters=parameters or {})
        job = Job(str(uuid.uuid4()), "verify", PROJECT, PROVIDER, checkpoint_id=checkpoint_id,
                  verification_id=verification.id)  # fmt: skip
        with self.database.write() as rows:
            rows.verifications.create(verification)
            rows.operation_logs.create(OperationLog(job.id, PROJECT, "verify"))
            rows.jobs.create(job)
        self.worker.wake()
        return verification.id, job.id

    def verify(self, checkpoint_id, parameters=None):
        """Have it done; returns the verification as it ended."""
        verification_id, job_id = self.begin(checkpoint_id, parameters)
        self.ended(job_id)
        return self.shown(verification_id)

    def shown(self, verification_id):
        with self.database.read() as rows:
            return rows.verifications.get(verification_id)

    def resource(self, name):
        (found,) = [resource for resource in self.protectable.list(PROJECT) if resource.name == name]
        return found

    def key(self, name):
        return f"{TYPE}#{self.resource(name).id}"

    def names(self, part):
        return sorted(name for name in self.objects if part in name)

    def damage(self, name, at=60):
        data = self.objects[name]
        self.objects[name] = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


@pytest.fixture
def house(tmp_path):
    house = VerifyHouse(tmp_path)
    yield house
    house.close()


@pytest.fixture
def knowing(tmp_path):
    house = VerifyHouse(tmp_path, Knowing)
    yield house
    house.close()


@pytest.mark.parametrize("level", ["quick", "data"])
def test_a_whole_checkpoint_is_verified_at_the_level_that_was_asked_for(house, level):
    checkpoint = house.protect()
    verification = house.verify(checkpoint.id, {} if level == "data" else {TYPE: {"level": level}})
    assert verification.status == "success" and verification.report == {"level": level}
    assert verification.resources_status == {house.key("one"): "available", house.key("two"): "available"}
    assert verification.progress.bytes_done == verification.progress.bytes_total == checkpoint.sizes.logical
    row = house.row(checkpoint.id)
    assert (row.status, row.verified_level, row.verified_at) == ("available", level, verification.finished_at)


def test_the_weakest_level_counts(house):
    checkpoint = house.protect()
    house.verify(checkpoint.id, {house.key("one"): {"level": "quick"}})
    assert house.row(checkpoint.id).verified_level == "quick"


def test_damage_is_told_by_resource_and_range_and_the_others_are_looked_at_too(house):
    """Each file has packs of its own here; one bit of the second file's is wrong."""
    house.checkpoint(house.plan([house.resource("one").to_dict()]))
    packs = house.names("/pack/")
    checkpoint = house.protect()
    (name,) = set(house.names("/pack/")) - set(packs)
    house.damage(name)
    verification = house.verify(checkpoint.id)
    assert verification.status == "fail"
    assert verification.resources_status == {house.key("one"): "available", house.key("two"): "error"}
    report = dict(verification.report)
    assert report.pop("level") == "data"
    ((key, entries),) = report.items()
    assert key == house.key("two")
    (entry,) = entries
    assert (entry["stream"], entry["offset"], entry["length"]) == ("content", 0, 256 * 300)
    assert entry["objects"] == [name] and "does not open" in entry["reason"]
    assert list(verification.resources_reason) == [key] and "bytes 0 to 76799" in verification.resources_reason[key]
    row = house.row(checkpoint.id)
    assert row.status == "error" and row.verified_at is None
    assert "two: bytes 0 to 76799 of content are lost" in row.reason.cause and row.reason.next_action


def test_the_next_checkpoint_does_not_rely_on_what_is_lost(house):
    checkpoint = house.protect()
    for name in house.names("/pack/"):
        house.damage(name)
    assert house.verify(checkpoint.id).status == "fail" and len(house.names("/damage/")) == 1
    again = house.protect()
    assert house.verify(again.id).status == "success"
    assert house.restore(again.id, {TYPE: {}}).status == "success"


def test_a_damaged_checkpoint_is_never_restored_silently(house):
    checkpoint = house.protect()
    for name in house.names("/pack/"):
        house.damage(name)
    restore = house.restore(checkpoint.id)
    assert restore.status == "fail" and "damaged" in " ".join(restore.resources_reason.values())


def test_a_missing_object_is_found_without_reading_content(house):
    checkpoint = house.protect()
    for name in house.names("/pack/"):
        del house.objects[name]
    verification = house.verify(checkpoint.id, {TYPE: {"level": "quick"}})
    assert verification.status == "fail" and house.row(checkpoint.id).status == "error"
    assert {part["reason"] for parts in (verification.report[house.key(name)] for name in ("one", "two"))
            for part in parts} == {"the object is missing"}  # fmt: skip


@pytest.mark.parametrize("part", ["/record/", "vault/key/"])
@pytest.mark.parametrize("gone", [True, False])
def test_a_lost_record_or_key_is_the_end_of_the_checkpoint(house, part, gone):
    checkpoint = house.protect()
    (name,) = house.names(part)
    if gone:
        del house.objects[name]
    else:
        house.damage(name)
    verification = house.verify(checkpoint.id)
    assert verification.status == "fail" and house.row(checkpoint.id).status == "error"
    assert name.rpartition("/")[2][:8] in verification.report[RECORD_KEY][0]["reason"]


def test_what_others_make_up_for_fails_the_verification_and_leaves_the_checkpoint(house):
    checkpoint = house.protect()
    (name, *_) = house.names("/index/")
    house.damage(name)
    verification = house.verify(checkpoint.id)
    assert verification.status == "fail"
    assert verification.report[BANK] == [{"object": name, "reason": "a sealed part does not open"}]
    assert set(verification.resources_status.values()) == {"available"}
    assert house.row(checkpoint.id).status == "available"
    assert house.restore(checkpoint.id, {TYPE: {}}).status == "success"


def test_a_bank_that_cannot_be_reached_proves_nothing(house):
    checkpoint = house.protect()
    house.bank.fail(3, lasting=True)
    verification = house.verify(checkpoint.id)
    house.bank.heal()
    assert verification.status == "fail" and verification.report is None
    assert house.row(checkpoint.id).status == "available"
    assert house.verify(checkpoint.id).status == "success"


class BadDisk(FaultyBank):
    """Cannot read packs, and everything else."""

    def get(self, name, offset=0, length=None):
        if "/pack/" in name and offset:
            raise errors.BankUnavailable(detail="Input/output error")
        return super().get(name, offset, length)


def test_what_the_bank_cannot_read_is_told_and_proves_nothing(house):
    checkpoint = house.protect()
    house.bank.inner = BadDisk(house.bank.inner)
    verification = house.verify(checkpoint.id)
    assert verification.status == "fail"
    assert {part["reason"] for name in ("one", "two") for part in verification.report[house.key(name)]} == {UNREADABLE}
    assert house.row(checkpoint.id).status == "available"


def test_a_bank_that_fails_once_is_asked_again(house):
    checkpoint = house.protect()
    for nth in range(1, 40, 4):
        house.bank.calls.clear()
        house.bank.fail(nth)
        assert house.verify(checkpoint.id).status == "success"
        reached = len(house.bank.calls) >= nth
        house.bank.heal()
        if not reached:
            break
    assert nth > 5


def test_another_bank_in_its_place_proves_nothing(house):
    checkpoint = house.protect()
    with house.database.write() as rows:
        rows.providers.put(house._parts.providers.get(PROVIDER).info)
        rows.providers.set_bank_identity(PROVIDER, str(uuid.uuid4()))
    assert house.verify(checkpoint.id).status == "fail"
    assert house.row(checkpoint.id).status == "available"


def test_a_record_of_another_release_proves_nothing(house):
    checkpoint = house.protect()
    domain = house.vault.domain(PROJECT)
    document = domain.get_record(RECORD, checkpoint.id) | {"version": 99}
    (name,) = house.names("/record/")
    del house.objects[name]
    domain.put_record(RECORD, checkpoint.id, document)
    assert house.verify(checkpoint.id).status == "fail"
    assert house.row(checkpoint.id).status == "available"


def test_a_plug_in_tells_what_it_knows(knowing):
    checkpoint = knowing.protect()
    knowing.plugin.verdict = lambda work: {"level": work.options.level}
    verification = knowing.verify(checkpoint.id)
    assert verification.status == "success"
    assert verification.report["details"] == {knowing.key(name): {"level": "data"} for name in ("one", "two")}


def test_a_plug_in_can_prove_damage_outside_the_bank(knowing):
    checkpoint = knowing.protect()

    def gone(work):
        if work.resource.name == "two":
            raise errors.ResourceNotFound("The volume snapshot is gone.")

    knowing.plugin.verdict = gone
    verification = knowing.verify(checkpoint.id)
    assert verification.resources_status == {knowing.key("one"): "available", knowing.key("two"): "error"}
    assert "The volume snapshot is gone." in verification.resources_reason[knowing.key("two")]
    assert knowing.row(checkpoint.id).status == "error"


def test_a_plug_in_that_fails_proves_nothing(knowing):
    checkpoint = knowing.protect()

    def fail(work):
        raise errors.StepFailed("The cloud has no opinion.")

    knowing.plugin.verdict = fail
    assert knowing.verify(checkpoint.id).status == "fail"
    assert knowing.row(checkpoint.id).status == "available"


def test_what_could_not_be_proven_of_one_resource_is_told_beside_what_was_found_of_the_others(knowing):
    checkpoint = knowing.protect()

    def verdict(work):
        if work.resource.name == "two":
            raise errors.StepFailed("two did not come up.", detail="its last words", next_action="try again")
        return {"seen": work.resource.name}

    knowing.plugin.verdict = verdict
    verification = knowing.verify(checkpoint.id)
    assert (verification.status, knowing.row(checkpoint.id).status) == ("fail", "available")
    assert verification.report["details"] == {knowing.key("one"): {"seen": "one"}}
    failed = verification.report["failed"][knowing.key("two")]
    assert failed == {"reason": "two did not come up.", "detail": "its last words", "next_action": "try again"}
    assert verification.resources_status == {knowing.key("one"): "available", knowing.key("two"): "error"}
    assert verification.resources_reason == {knowing.key("two"): "two did not come up."}
    assert verification.report["level"] == "data"


def hold(house, name):
    """Make the plug-in stay at one file until it is ended; returns the event that says it is there."""
    there, free = threading.Event(), threading.Event()

    def stay(work):
        if work.resource.name == name and not free.is_set():
            there.set()
            while not free.wait(0.05):
                work.check()

    house.plugin.verdict = stay
    return there, free


def test_a_cancelled_verification_fails_and_leaves_the_checkpoint(knowing):
    checkpoint = knowing.protect()
    there, _free = hold(knowing, "two")
    verification_id, job_id = knowing.begin(checkpoint.id)
    assert there.wait(PATIENCE)
    with knowing.database.write() as rows:
        rows.jobs.request_cancel(job_id)
    assert knowing.ended(job_id).state == "failed"
    assert knowing.shown(verification_id).status == "fail"
    assert knowing.row(checkpoint.id).status == "available"


def test_another_worker_goes_on_where_the_first_one_stopped(knowing):
    """What was looked at already is not looked at again."""
    checkpoint = knowing.protect()
    there, free = hold(knowing, "two")
    verification_id, job_id = knowing.begin(checkpoint.id)
    assert there.wait(PATIENCE)
    for _ in range(int(PATIENCE / 0.05)):
        if knowing.shown(verification_id).resources_status.get(knowing.key("one")) == "available":
            break
        threading.Event().wait(0.05)
    knowing.worker.stop(0)
    free.set()
    knowing.open()
    assert knowing.ended(job_id).state == "done"
    assert knowing.shown(verification_id).status == "success"
    assert sorted(knowing.plugin.asked) == ["one", "two", "two"]
