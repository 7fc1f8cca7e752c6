# SPDX-License-Identifier: Apache-2.0
"""Are the steps of a resource done by the worker of its host, and does a job end right whatever becomes of that one?

Two workers over one real database and one bank, each with a vault and a plug-in of its own; the sample resource type
says which host it needs.
"""

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from karbor.common.clock import Clock
from karbor.model import errors
from karbor.model.service import WORKER
from karbor.protection.hosts import Hosts
from karbor.protection.hostwork import HostWork
from karbor.protection.providers import Provider
from karbor.sdk.environment import Environment
from karbor.vault.keys import MasterKey
from karbor.vault.vault import Vault
from tests.functional.test_operations import PROVIDER, House, OneProvider
from tests.samples.sample_file import TYPE, FileProtection

THERE = "there"
SECONDS = 60


class OnItsHost(FileProtection):
    """Notes where each phase runs. ``trouble``: phase -> what to do in it, once."""

    def __init__(self, settings, environment):
        super().__init__(settings, environment)
        self.trouble, self.seen = {}, []

    def host(self, work, hosts):
        return THERE if THERE in hosts else ""

    def _note(self, work, phase):
        self.seen.append(phase)
        self.trouble.pop(phase, lambda _work: None)(work)

    def prepare_begin(self, work):
        self._note(work, "prepare_begin")
        return {"on": self.environment.host}

    def protect(self, work):
        assert work.results["prepare_begin"]["on"]
        self._note(work, "protect")
        return super().protect(work)

    def complete(self, work):
        self._note(work, "complete")

    def committed(self, work):
        self._note(work, "committed")

    def abandon(self, work):
        self._note(work, "abandon")


PHASES = ["prepare_begin", "protect", "complete", "committed"]


class TwoHosts(House):
    """The worker ``here`` has the jobs, the one ``there`` does what needs its host."""

    def __init__(self, root):
        super().__init__(root, OnItsHost)
        self.lease, self.begin = 2.0, SECONDS
        self._open_there(root)
        self.executor_there = ThreadPoolExecutor(2)
        self._hosts()
        self.appear()
        self.open_there()

    def _hosts(self):
        hosts = Hosts(self.database, "here", Clock(), down=SECONDS, lease=self.lease, begin=self.begin)
        self.worker.stop(5)
        self._parts = replace(self._parts, hosts=hosts)
        self.open()

    def _open_there(self, root):
        clock = Clock()
        self.vault_there = Vault(self.bank, master_key=MasterKey(b"k" * 32), cache_dir=root / THERE, clock=clock)
        self.plugin_there = OnItsHost(OnItsHost.Settings(), Environment(host=THERE, state_dir=str(root)))
        known = self._parts.providers.get(PROVIDER)
        vault, plugins = self.vault_there, {TYPE: self.plugin_there}
        provider = Provider(known.info, self.bank, plugins, {TYPE: "sample"}, open_vault=lambda _bank: vault)
        self._parts_there = replace(self._parts, providers=OneProvider(provider))

    def open_there(self):
        given = {"host": THERE, "owner": str(uuid.uuid4()), "lease": self.lease, "poll": 0.05}
        self.work_there = HostWork(self._parts_there, self.executor_there, **given)
        self.work_there.start()

    def appear(self):
        """The other worker gives a sign of life."""
        with self.database.write() as rows:
            rows.services.heartbeat(binary=WORKER, host=THERE)

    def close(self):
        self.work_there.stop(5)
        super().close()
        self.executor_there.shutdown()
        self.vault_there.close()

    def steps(self):
        """How many rows there are."""
        with self.database.read() as rows:
            return rows.connection.exec_driver_sql("SELECT count(*) FROM host_steps").scalar()

    def is_whole(self, checkpoint):
        restore = self.restore(checkpoint.id, {TYPE: {"restore_name": "again"}})
        assert restore.status == "success", restore.resources_reason
        return (self.files / "again").read_bytes() == b"one" * 100_000


@pytest.fixture
def house(tmp_path):
    running = TwoHosts(tmp_path)
    yield running
    running.close()


def test_all_phases_run_on_the_host_of_the_resource_and_the_data_is_whole(house):
    checkpoint = house.checkpoint()
    assert checkpoint.status == "available", checkpoint.reason
    assert (house.plugin_there.seen, house.plugin.seen) == (PHASES, [])
    assert checkpoint.sizes.read == 300_000 and house.steps() == 0
    assert checkpoint.progress.bytes_done == checkpoint.progress.bytes_total == 300_000
    assert house.is_whole(checkpoint)


def test_an_increment_refers_to_what_another_host_stored(house):
    house.checkpoint()
    house.database.engine.dispose()
    again = house.checkpoint()
    assert again.status == "available" and again.sizes.stored < 10_000
    assert house.is_whole(again)


def test_what_a_resource_needs_is_done_here_where_its_host_has_no_worker(house):
    with house.database.write() as rows:
        (service,) = rows.services.list(host=THERE)
        rows.services.set_enabled(service.id, False)
    checkpoint = house.checkpoint()
    assert checkpoint.status == "available" and house.plugin.seen == PHASES and house.plugin_there.seen == []


def test_a_host_that_begins_nothing_is_not_waited_for(tmp_path):
    house = TwoHosts(tmp_path)
    try:
        house.work_there.stop(5)
        house.begin = 0.2
        house._hosts()
        checkpoint = house.checkpoint()
        assert checkpoint.status == "available" and house.plugin.seen == PHASES and house.steps() == 0
    finally:
        house.close()


def test_the_reason_of_a_failure_there_is_shown_and_it_is_undone_there(house):
    def fail(_work):
        raise errors.StepFailed("The disk is on fire.", next_action="call somebody")

    house.plugin_there.trouble["protect"] = fail
    checkpoint = house.checkpoint()
    assert checkpoint.status == "error" and checkpoint.reason.cause == "The disk is on fire."
    assert checkpoint.reason.next_action == "call somebody" and checkpoint.reason.step == "protect"
    assert house.plugin_there.seen == ["prepare_begin", "protect", "abandon"] and house.plugin.seen == []
    assert house.steps() == 0


def test_an_internal_fault_there_shows_no_internals(house):
    house.plugin_there.trouble["protect"] = lambda _work: {}["secret"]
    checkpoint = house.checkpoint()
    assert checkpoint.status == "error" and "secret" not in checkpoint.reason.cause


def test_a_fault_there_that_passes_is_tried_again(house):
    def fail(_work):
        raise errors.HypervisorUnavailable()

    house.plugin_there.trouble["prepare_begin"] = fail
    checkpoint = house.checkpoint()
    assert checkpoint.status == "available" and house.plugin_there.seen == ["prepare_begin", "abandon", *PHASES]


def test_a_job_that_is_cancelled_ends_its_step_there_first(house):
    begun = threading.Event()

    def stay(work):
        begun.set()
        while not gone.wait(0.01):
            work.check()

    gone = threading.Event()
    house.plugin_there.trouble["protect"] = stay
    checkpoint_id = str(uuid.uuid4())
    job_id = house.book("protect", checkpoint_id=checkpoint_id, plan=house.plan())
    try:
        assert begun.wait(SECONDS)
        with house.database.write() as rows:
            rows.jobs.request_cancel(job_id)
        assert house.ended(job_id).state == "failed"
    finally:
        gone.set()
    assert house.row(checkpoint_id).reason.cause == "The operation was cancelled."
    assert house.plugin_there.seen == ["prepare_begin", "protect", "abandon"] and house.steps() == 0


def test_a_worker_there_that_is_stopped_leaves_its_step_to_the_next(house):
    begun, go = threading.Event(), threading.Event()

    def stay(work):
        begun.set()
        while not go.wait(0.01):
            work.check()

    house.plugin_there.trouble["protect"] = stay
    checkpoint_id = str(uuid.uuid4())
    job_id = house.book("protect", checkpoint_id=checkpoint_id, plan=house.plan())
    assert begun.wait(SECONDS)
    house.work_there.stop(0)
    house.open_there()
    assert house.ended(job_id).state == "done"
    assert house.plugin_there.seen == ["prepare_begin", "protect", "protect", "complete", "committed"]
    assert house.is_whole(house.row(checkpoint_id))


def test_a_worker_there_that_falls_silent_costs_an_attempt(house):
    """It is killed in the middle of a step: nobody answers, and nobody keeps the step."""
    house.work_there.stop(5)
    checkpoint_id = str(uuid.uuid4())
    job_id = house.book("protect", checkpoint_id=checkpoint_id, plan=house.plan())
    dead = {"host": THERE, "owner": "dead", "lease_ms": 100, "limit": 10}
    for _ in range(600):
        with house.database.write() as rows:
            if rows.host_steps.take(**dead):
                break
        threading.Event().wait(0.05)
    with house.database.write() as rows:  # its host does not come back
        (service,) = rows.services.list(host=THERE)
        rows.services.set_enabled(service.id, False)
    job = house.ended(job_id)
    assert (job.state, job.attempts) == ("done", 2)
    assert house.plugin.seen[-len(PHASES) :] == PHASES and house.steps() == 0


def test_when_another_worker_takes_the_job_over_the_step_of_the_earlier_claim_ends_first(house):
    begun, order = threading.Event(), []

    def stay(work):
        begun.set()
        try:
            while True:
                work.check()
                threading.Event().wait(0.01)
        finally:
            threading.Event().wait(0.3)
            order.append("earlier ended")

    house.plugin_there.trouble["protect"] = stay
    checkpoint_id = str(uuid.uuid4())
    job_id = house.book("protect", checkpoint_id=checkpoint_id, plan=house.plan())
    assert begun.wait(SECONDS)
    house.plugin_there.trouble["protect"] = lambda _work: order.append("later began")
    house.worker.stop(0)  # gives the job back in the middle of the step
    house.open()
    assert house.ended(job_id).state == "done"
    assert order == ["earlier ended", "later began"]
    assert house.is_whole(house.row(checkpoint_id))
