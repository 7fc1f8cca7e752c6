# SPDX-License-Identifier: Apache-2.0
"""Does a guest run before its disks are here, and is its restore done when they are, and not before?"""

import pytest

from karbor.model import errors
from karbor.plugins.resources.libvirt_instant import InstantRestore
from karbor.sdk.hypervisor import NewDomain
from tests.support.libvirt_twin import Cycle

SIZES = {"vda": 16384, "vdb": 16384}


@pytest.fixture
def cycle():
    return Cycle()


def prepared(cycle, **options):
    """The work of a restore that was decided, and what it decided."""
    work = cycle.restore_work(cycle.protect("cp-1"), restore_name="copy", instant=True, **options)
    decided = cycle.domain.restore_prepare(work)
    work.results["restore_prepare"] = decided
    return work, decided


def test_a_guest_runs_at_once_and_has_every_byte_in_the_end(cycle):
    new_id = cycle.restore(cycle.protect("cp-1"), restore_name="copy", instant=True)
    copy = cycle.driver.guests[new_id]
    assert (copy.name, copy.state) == ("copy", "running")
    assert cycle.content(new_id) == cycle.content(cycle.guest.id)
    assert {path.rpartition(".")[2] for path in copy.disks.values()} == {"qcow2"}
    assert (cycle.driver.lent, set(cycle.driver.admitted)) == ({}, {"/lent/job-11111111-1111-4111-8111-111111111111"})


def test_what_runs_is_shown_and_the_bytes_that_are_here_are_counted(cycle):
    work, decided = prepared(cycle)
    cycle.domain.restore(work)
    (kind, new_id, text, ready), *rest = work.told
    assert (kind, new_id, ready) == ("Libvirt::Domain", decided["uuid"], False) and "needs the checkpoint" in text
    assert [entry[0] for entry in rest if entry[3]] == ["Libvirt::Disk"] * 2
    assert work.done == work.expected == sum(SIZES.values())


def test_a_worker_that_goes_on_finds_the_guest_and_ends_the_copy(cycle):
    work, decided = prepared(cycle)
    work.stop = errors.LeaseLost()
    with pytest.raises(errors.LeaseLost):
        cycle.domain.restore(work)
    assert cycle.driver.guests[decided["uuid"]].state == "running"
    work.stop = None
    assert cycle.domain.restore(work).new_id == decided["uuid"]
    assert cycle.content(decided["uuid"]) == cycle.content(cycle.guest.id)


def test_a_bank_that_is_away_for_a_while_costs_nothing_but_time(cycle):
    work, decided = prepared(cycle)
    work.stop = errors.Cancelled()
    with pytest.raises(errors.Cancelled):
        cycle.domain.restore(work)
    work.stop = None
    keys = [key for key, disk in work.children]
    restore = InstantRestore(cycle.driver, work, _new(decided), SIZES)
    restore._serve()
    work.lend(keys, "disk").failing.extend([errors.BankUnavailable("away")])
    assert restore._look() is None
    assert "away" in work.told[-1][2]
    assert cycle.domain.restore(work).new_id == decided["uuid"]


def test_a_copy_that_stands_still_for_too_long_fails_with_a_reason(cycle):
    work, decided = prepared(cycle)
    restore = InstantRestore(cycle.driver, work, _new(decided), SIZES, patience=0)
    restore._lent.keep_up()
    cycle.driver.begin_instant("<domain>web</domain>", _new(decided), "/nothing", {"vda": "a", "vdb": "b"})
    with pytest.raises(errors.StepFailed, match="could be copied"):
        restore._look()


def test_a_guest_that_somebody_has_paused_is_waited_for_however_long_that_takes(cycle):
    work, decided = prepared(cycle)

    class Paused(InstantRestore):
        def _count(self, pulls):
            self._done = dict(self._sizes)

    restore = Paused(cycle.driver, work, _new(decided), SIZES, patience=0)
    restore._lent.keep_up()
    cycle.driver.begin_instant("<domain>web</domain>", _new(decided), "/nothing", {"vda": "a", "vdb": "b"})
    assert restore._look() is None
    assert "stands still" in work.told[-1][2]


def test_nothing_is_left_of_one_that_was_cancelled(cycle):
    before = dict(cycle.driver.files)
    cycle.restore(cycle.protect("cp-1"), restore_name="copy", instant=True, abandon=True)
    assert (cycle.driver.files, list(cycle.driver.guests), cycle.driver.lent) == (before, [cycle.guest.id], {})


def test_what_does_not_go_together_is_refused_before_anything_runs(cycle):
    point = cycle.protect("cp-1")
    with pytest.raises(errors.InvalidInput, match="qcow2"):
        cycle.restore(point, restore_name="copy", instant=True, disk_format="raw")
    cycle.guest.state = "shut off"
    with pytest.raises(errors.InvalidInput):
        cycle.restore(point, new_uuid=False, overwrite_disks=True, instant=True)
    work = cycle.restore_work(point, restore_name="copy", instant=True)
    work._lendable = None
    with pytest.raises(errors.NotSupported, match="lend"):
        cycle.domain.restore_prepare(work)


def test_a_dry_run_warns_of_what_may_be_lost(cycle):
    work = cycle.restore_work(cycle.protect("cp-1"), restore_name="copy", instant=True)
    [warning] = cycle.domain.restore_plan(work).warnings
    assert "cancelling it removes the guest" in warning


def _new(decided):
    disks = {target: (place["path"], place["format"]) for target, place in decided["disks"].items()}
    return NewDomain(disks, name=decided["name"], uuid=decided["uuid"], start=True)
