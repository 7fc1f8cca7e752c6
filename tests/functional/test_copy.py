# SPDX-License-Identifier: Apache-2.0
"""Does a checkpoint that was copied to another provider restore with the first bank gone, and is only the difference
sent?

Real database, real vaults over two memory banks, real worker threads; files stand for any resource.
"""

import random
import uuid

import pytest

from karbor.model import errors
from karbor.model.checkpoint import Checkpoint
from karbor.model.operation import Job, OperationLog
from karbor.model.provider import ProviderInfo
from karbor.model.restore import Restore
from karbor.protection.operation import RECORD
from karbor.protection.providers import Provider
from karbor.sdk.protection import Protected
from karbor.sdk.streams import Extent, Kind
from karbor.sdk.testing.faults import FaultyBank
from karbor.sdk.testing.memory_bank import MemoryBank
from karbor.vault.keys import MasterKey
from karbor.vault.vault import Vault
from tests.functional.test_operations import PROJECT, PROVIDER, House
from tests.samples.sample_file import TYPE, FileProtection

OTHER = "33333333-3333-4333-8333-333333333333"
NOISE = random.Random(2).randbytes(3 << 20)


class Both:
    """A registry with two providers, or fewer."""

    def __init__(self, *providers):
        self.providers = {provider.id: provider for provider in providers}

    @property
    def ids(self):
        return tuple(self.providers)

    def get(self, provider_id):
        try:
            return self.providers[provider_id]
        except KeyError:
            raise errors.NotFound("no such provider") from None


class TwoSites(House):
    """A worker with two providers: each has a bank and a key of its own."""

    def __init__(self, root, protection=FileProtection, *, plugin_name="sample"):
        super().__init__(root, protection)
        (self.files / "one").write_bytes(NOISE)
        self.second = FaultyBank(MemoryBank(MemoryBank.Settings()))
        self.second.initialise()
        clock = self._parts.clock
        self.second_vault = Vault(self.second, master_key=MasterKey(b"z" * 32), cache_dir=root / "second", clock=clock)
        other = Provider(
            ProviderInfo(OTHER, "second"),
            self.second,
            {TYPE: self.plugin},
            {TYPE: plugin_name},
            open_vault=lambda _bank: self.second_vault,
        )
        self.registry = self._parts.providers
        both = Both(self.registry.get(PROVIDER), other)
        self.registry.ids, self.registry.get, self.both = both.ids, both.get, both

    def close(self):
        super().close()
        self.second_vault.close()

    def book_copy(self, source):
        """What the API does for one checkpoint; returns the ids of the copy and of the job."""
        copy_id, job_id = str(uuid.uuid4()), str(uuid.uuid4())
        with self.database.write() as rows:
            rows.checkpoints.create(
                Checkpoint(
                    copy_id, PROJECT, OTHER, source.plan_id, source.plan, status="wait_copying", source_id=source.id,
                    extra_info={"note": "mine"},
                )
            )  # fmt: skip
            rows.operation_logs.create(OperationLog(job_id, PROJECT, "copy", checkpoint_id=copy_id))
            payload = {"source_checkpoint_id": source.id, "source_provider_id": PROVIDER}
            rows.jobs.create(Job(job_id, "copy", PROJECT, OTHER, checkpoint_id=copy_id, payload=payload))
        self.worker.wake()
        return copy_id, job_id

    def copy(self, source):
        """Copy; returns the row of the copy."""
        copy_id, job_id = self.book_copy(source)
        self.ended(job_id)
        return self.row(copy_id)

    def restore_copy(self, checkpoint_id, name):
        restore = Restore(str(uuid.uuid4()), PROJECT, OTHER, checkpoint_id, parameters={TYPE: {"restore_name": name}})
        job_id = str(uuid.uuid4())
        with self.database.write() as rows:
            rows.restores.create(restore)
            rows.operation_logs.create(OperationLog(job_id, PROJECT, "restore"))
            rows.jobs.create(Job(job_id, "restore", PROJECT, OTHER, checkpoint_id=checkpoint_id, restore_id=restore.id))
        self.worker.wake()
        self.ended(job_id)
        with self.database.read() as rows:
            return rows.restores.get(restore.id)

    def stored(self):
        return sum(len(data) for data in self.second.inner.objects.values())


@pytest.fixture
def sites(tmp_path):
    found = TwoSites(tmp_path)
    yield found
    found.close()


def test_a_copy_restores_with_the_first_bank_gone(sites):
    source = sites.checkpoint()
    copy = sites.copy(source)
    assert (copy.status, copy.source_id, copy.provider_id, copy.reason) == ("available", source.id, OTHER, None)
    assert copy.extra_info == {"note": "mine", "copy_status": "finished"}
    assert (copy.sizes.logical, copy.sizes.read) == (source.sizes.logical, len(NOISE))
    assert (copy.plan, copy.graph, copy.consistency) == (source.plan, source.graph, source.consistency)
    assert copy.progress.bytes_done == copy.progress.bytes_total == len(NOISE)
    sites.bank.inner.objects.clear()
    assert sites.restore_copy(copy.id, "again").status == "success"
    assert (sites.files / "again").read_bytes() == NOISE


def test_the_record_of_a_copy_stands_alone_and_names_its_source(sites):
    source = sites.checkpoint()
    record = sites.second_vault.domain(PROJECT).get_record(RECORD, sites.copy(source).id)
    assert record["source_id"] == source.id and record["provider_id"] == OTHER
    (saved,) = record["resources"]
    (theirs,) = sites.vault.domain(PROJECT).get_record(RECORD, source.id)["resources"]
    assert saved["saved"] == theirs["saved"] and saved["streams"] != theirs["streams"]


def test_the_second_copy_sends_the_difference(sites):
    first = sites.copy(sites.checkpoint())
    assert first.sizes.stored > len(NOISE)
    changed = bytearray(NOISE)
    changed[1 << 20 : (1 << 20) + 65536] = random.Random(3).randbytes(65536)
    (sites.files / "one").write_bytes(changed)
    source, before = sites.checkpoint(), sites.stored()
    second = sites.copy(source)
    assert second.sizes.stored < 65536 * 6  # the chunks that the change touched
    assert sites.stored() - before < 65536 * 6
    assert sites.restore_copy(second.id, "again").status == "success"
    assert (sites.files / "again").read_bytes() == changed


def test_an_unchanged_checkpoint_is_copied_without_being_read(sites):
    sites.copy(sites.checkpoint())
    second = sites.copy(sites.checkpoint())
    assert (second.status, second.sizes.read) == ("available", 0) and second.sizes.stored < 1000


def test_a_fault_at_any_call_of_either_bank_ends_in_a_right_state(sites):
    """Every third call fails once, in turn: the second attempt of the job mends it."""
    source = sites.checkpoint()
    sites.copy(source)
    for bank in (sites.bank, sites.second):
        for nth in range(1, 60, 3):
            (sites.files / "one").write_bytes(uuid.uuid4().bytes * 2_000)
            source = sites.checkpoint()
            bank.calls.clear()
            bank.fail(nth, after=nth % 2 == 0)
            copy = sites.copy(source)
            reached = len(bank.calls) >= nth
            bank.heal()
            assert copy.status == "available", (nth, copy.reason)
            assert sites.restore_copy(copy.id, "again").status == "success"
            assert (sites.files / "again").read_bytes() == (sites.files / "one").read_bytes()
            (sites.files / "again").unlink()
            if not reached:
                break
        assert nth > 3


def test_a_full_second_bank_gives_an_error_with_its_reason_and_the_source_stays(sites):
    source = sites.checkpoint()
    sites.second.fail(1, method="put_if_absent", error=errors.BankFull, lasting=True)
    copy = sites.copy(source)
    assert copy.status == "error" and "room" in copy.reason.cause
    assert sites.row(source.id).status == "available"
    sites.second.heal()
    assert sites.copy(source).status == "available"


def test_a_worker_without_the_first_provider_says_so(sites):
    source = sites.checkpoint()
    del sites.both.providers[PROVIDER]
    copy = sites.copy(source)
    assert copy.status == "error" and f"does not have the provider {PROVIDER}" in copy.reason.cause
    assert "both providers" in copy.reason.next_action


def test_a_lost_source_ends_the_copy_with_its_reason(sites):
    source = sites.checkpoint()
    sites.vault.domain(PROJECT).delete_record(RECORD, source.id)
    copy = sites.copy(source)
    assert copy.status == "error" and "does not hold this checkpoint" in copy.reason.cause
    assert sites.second_vault.domain(PROJECT).records(RECORD) == []


def test_another_plugin_for_the_type_is_refused(tmp_path):
    sites = TwoSites(tmp_path, plugin_name="another")
    try:
        copy = sites.copy(sites.checkpoint())
    finally:
        sites.close()
    assert copy.status == "error" and "was saved by sample" in copy.reason.cause


class Outside(FileProtection):
    """A plug-in that keeps a note outside the bank, and copies it."""

    notes: dict = {}
    fault = None

    def protect(self, work):
        done = super().protect(work)
        self.notes[work.checkpoint_id] = "made"
        return done

    def copy(self, work):
        assert work.saved is not None and work.streams.read("content").size
        self.notes[work.checkpoint_id] = "copied"
        if self.fault:
            raise self.fault
        return Protected(work.saved.saved, {"more": work.streams.write("more", _Text())})

    def copy_abandon(self, work):
        self.notes.pop(work.checkpoint_id, None)

    def delete(self, work):
        self.notes.pop(work.checkpoint_id, None)


class _Text:
    size = 4

    def extents(self):
        return [Extent(0, 4, Kind.DATA)]

    def read(self, offset, length):
        return b"text"[offset : offset + length]


def test_a_plugin_copies_what_it_keeps_outside_and_takes_it_back_after_a_failure(tmp_path):
    sites = TwoSites(tmp_path, Outside)
    Outside.notes.clear()
    try:
        source = sites.checkpoint()
        copy = sites.copy(source)
        assert copy.status == "available"
        assert Outside.notes == {source.id: "made", copy.id: "copied"}
        with sites.database.read() as rows:
            (saved,) = rows.checkpoints.resources(copy.id)
        assert set(saved.streams) == {"content", "more"}
        sites.plugin.fault = errors.StepFailed("The note could not be copied.")
        failed = sites.copy(source)
        assert failed.status == "error" and "note" in failed.reason.cause
        assert failed.id not in Outside.notes
    finally:
        sites.close()


class Silent(FileProtection):
    """A plug-in that keeps something outside and cannot copy it."""

    def delete(self, work):
        """Something."""


def test_a_plugin_that_cannot_copy_is_refused_by_the_worker_too(tmp_path):
    sites = TwoSites(tmp_path, Silent)
    try:
        copy = sites.copy(sites.checkpoint())
    finally:
        sites.close()
    assert copy.status == "error" and "cannot copy" in copy.reason.cause


def test_a_copy_is_no_base_for_what_is_made_at_its_provider(sites):
    copy = sites.copy(sites.checkpoint())
    with sites.database.read() as rows:
        (saved,) = rows.checkpoints.resources(copy.id)
        wanted = {"project_id": PROJECT, "provider_id": OTHER, "key": saved.key}
        assert list(rows.checkpoints.earlier(**wanted)) == []
        assert [found for found, _ in rows.checkpoints.earlier(**wanted, copies=True)] == [copy.id]


def test_only_checkpoints_without_a_copy_over_there_are_uncopied(sites):
    plan = sites.plan()
    made = [sites.checkpoint(plan) for _ in range(3)]
    sites.checkpoint()

    def uncopied(limit=10, project_id=PROJECT):
        with sites.database.read() as rows:
            wanted = {"project_id": project_id, "provider_id": PROVIDER, "plan_id": plan["id"], "to": OTHER}
            return [found.id for found in rows.checkpoints.uncopied(**wanted, limit=limit)]

    assert uncopied() == [one.id for one in made] and uncopied(limit=1) == [made[0].id]
    assert uncopied(project_id="b" * 32) == []
    assert sites.copy(made[1]).status == "available"
    assert uncopied() == [made[0].id, made[2].id]
    sites.second.fail(1, method="put_if_absent", error=errors.BankFull, lasting=True)
    assert sites.copy(made[0]).status == "error"
    assert uncopied() == [made[0].id, made[2].id]
