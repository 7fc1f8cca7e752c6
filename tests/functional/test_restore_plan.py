# SPDX-License-Identifier: Apache-2.0
"""Does a restore do exactly what was told of it before, and is what was told to be in the way what it is refused for?

Real database, vault and worker threads; guests of a hypervisor in memory.
"""

import fnmatch
import itertools

import pytest

from karbor.common.clock import Clock
from karbor.model import errors
from karbor.model.provider import ProviderInfo
from karbor.plugins.resources.libvirt_disk import DiskProtectable, DiskProtection
from karbor.plugins.resources.libvirt_domain import DISK, DOMAIN, DomainProtectable, DomainProtection
from karbor.protection.operation import RECORD, Parts
from karbor.protection.protectables import ProtectableRegistry
from karbor.protection.providers import Provider
from karbor.protection.restoreplan import plan_restore
from karbor.sdk.environment import Environment
from karbor.sdk.testing.memory_hypervisor import MemoryHypervisor
from tests.functional.test_operations import PROJECT, PROVIDER, House, OneProvider
from tests.samples.sample_file import TYPE
from tests.support.libvirt_twin import make_guest


class BreakableHypervisor(MemoryHypervisor):
    """Raises ``broken`` in the middle of a disk that it overwrites."""

    broken: errors.KarborError | None = None

    def overwrite_disk(self, path, format, reader, advance):
        def count(nbytes):
            advance(nbytes)
            if self.broken is not None:
                raise self.broken

        super().overwrite_disk(path, format, reader, count)


class GuestHouse(House):
    """A worker with guests instead of files; ``place`` is where disks are restored to."""

    def __init__(self, root):
        super().__init__(root)
        self.worker.stop(5)
        self.place = str(root / "files")
        self.driver = BreakableHypervisor()
        self.guest = make_guest(self.driver, "web")
        environment = Environment("here", str(root), hypervisors={"libvirt": self.driver})
        plugins = {
            DOMAIN: DomainProtection(DomainProtection.Settings.parse({}), environment),
            DISK: DiskProtection(DiskProtection.Settings.parse({}), environment),
        }
        names = {DOMAIN: "domain", DISK: "disk"}
        provider = Provider(
            ProviderInfo(PROVIDER, "guests"), self.bank, plugins, names, open_vault=lambda _: self.vault
        )
        found = [plugin(plugin.Settings.parse({}), environment) for plugin in (DomainProtectable, DiskProtectable)]
        self.protectable = found[0]
        self._parts = Parts(self.database, OneProvider(provider), ProtectableRegistry(found), self._parts.clock)
        self.open()

    def told(self, checkpoint_id, **options):
        return told(self, checkpoint_id, {DOMAIN: {"directory": self.place, **options}})

    def restored(self, checkpoint_id, **options):
        return self.restore(checkpoint_id, {DOMAIN: {"directory": self.place, **options}})


def told(house, checkpoint_id, parameters=None):
    """What a worker answers to a dry run."""
    provider = house._parts.providers.get(PROVIDER)
    wanted = {"project_id": PROJECT, "checkpoint_id": checkpoint_id, "parameters": parameters or {}}
    return plan_restore(provider, **wanted, clock=Clock())


@pytest.fixture
def house(tmp_path):
    house = GuestHouse(tmp_path)
    yield house
    house.close()


@pytest.fixture
def files(tmp_path):
    house = House(tmp_path)
    yield house
    house.close()


def test_a_new_guest_is_made_as_it_was_told(house):
    checkpoint = house.checkpoint()
    before = (dict(house.driver.files), dict(house.driver.guests))
    plan = house.told(checkpoint.id, restore_name="copy", start=True)
    assert (house.driver.files, house.driver.guests) == before
    assert plan["conflicts"] == plan["replaces"] == plan["untold"] == plan["warnings"] == []
    assert [(entry["type"], entry["id"], entry["name"]) for entry in plan["creates"][:1]] == [
        (DOMAIN, house.guest.id, "copy")
    ]
    assert house.restored(checkpoint.id, restore_name="copy", start=True).status == "success"
    (copy,) = [guest for guest in house.driver.guests.values() if guest.name == "copy"]
    assert {entry["place"] for entry in plan["creates"] if entry["type"] == DISK} == set(copy.disks.values())
    assert plan["bytes"] == 4096 + 4096  # what is not zero


def test_a_guest_is_replaced_in_place_as_it_was_told_and_its_old_disks_stay(house):
    checkpoint = house.checkpoint()
    house.guest.state = "shut off"
    plan = house.told(checkpoint.id, new_uuid=False)
    assert plan["conflicts"] == []
    (entry,) = plan["replaces"]
    assert (entry["type"], entry["name"]) == (DOMAIN, "web")
    assert {entry["place"] for entry in plan["keeps"]} == set(house.guest.disks.values())
    assert house.restored(checkpoint.id, new_uuid=False).status == "success"
    made = sorted(house.driver.guests[house.guest.id].disks.values())
    places = sorted(entry["place"] for entry in plan["creates"])
    assert len(made) == len(places) == 2
    assert all(fnmatch.fnmatch(path, place) for path, place in zip(made, places, strict=True))
    assert all(entry["place"] in house.driver.files for entry in plan["keeps"])


def test_disks_are_overwritten_as_it_was_told_and_a_cut_off_is_shown(house):
    checkpoint = house.checkpoint()
    saved = dict(house.driver.files)
    for path in house.guest.disks.values():
        house.driver.files[path] = b"since then".ljust(len(saved[path]), b".")
    house.guest.state = "shut off"
    parameters = {DOMAIN: {"new_uuid": False, "overwrite_disks": True}}
    plan = told(house, checkpoint.id, parameters)
    assert plan["creates"] == plan["keeps"] == plan["conflicts"] == []
    assert {entry["place"] for entry in plan["replaces"] if entry["type"] == DISK} == set(saved)
    assert "lost" in plan["warnings"][0]["reason"]

    house.driver.broken = errors.StepFailed("The disk is broken.")
    restore = house.restore(checkpoint.id, parameters)
    shown = {key: text for key, text in restore.resources_reason.items() if key.startswith(DISK)}
    assert restore.status == "fail" and any("neither old nor new" in text for text in shown.values()), restore
    assert any("broken" in text for text in shown.values())
    assert house.driver.files.keys() == saved.keys() and house.guest.id in house.driver.guests

    house.driver.broken = None
    restore = house.restore(checkpoint.id, parameters)
    assert restore.status == "success"
    assert set(restore.resources_status.values()) == {"available"}
    assert house.driver.files == saved


def test_whatever_is_told_to_be_in_the_way_is_what_the_restore_fails_for(house):
    checkpoint = house.checkpoint()
    failed = 0
    for name, new_uuid, state in itertools.product([None, "other", "new"], [True, False], ["running", "shut off"]):
        house.driver.guests = {house.guest.id: house.guest}
        make_guest(house.driver, "other")
        house.guest.state = state
        for path in [path for path in house.driver.files if path.startswith(house.place)]:
            del house.driver.files[path]
        options = {"new_uuid": new_uuid, **({"restore_name": name} if name else {})}
        plan = house.told(checkpoint.id, **options)
        restore = house.restored(checkpoint.id, **options)
        assert (restore.status == "fail") == bool(plan["conflicts"]), (options, state, plan, restore)
        if plan["conflicts"]:
            failed += 1
            first = plan["conflicts"][0]
            reason = restore.resources_reason[f"{first['type']}#{first['id']}"]
            assert first["reason"] in reason and first["next_action"] in reason
    assert 0 < failed < 12


def test_a_lost_record_is_in_the_way(house):
    checkpoint = house.checkpoint()
    house.vault.domain(PROJECT).delete_record(RECORD, checkpoint.id)
    (conflict,) = house.told(checkpoint.id)["conflicts"]
    assert (conflict["type"], conflict["id"]) == ("Checkpoint", checkpoint.id)
    assert "does not hold this checkpoint" in conflict["reason"]


def test_options_that_a_plugin_refuses_are_in_the_way(house):
    (conflict,) = house.told(house.checkpoint().id, disk_format="floppy")["conflicts"]
    assert conflict["type"] == DOMAIN and "disk_format" in conflict["reason"]


def test_a_bank_that_is_away_is_no_conflict_but_may_come_back(house):
    checkpoint = house.checkpoint()
    house.bank.fail(1, lasting=True)
    with pytest.raises(errors.BankUnavailable):
        house.told(checkpoint.id)
    house.bank.heal()


def test_what_a_plugin_cannot_tell_is_said_not_to_be_known(files):
    plan = told(files, files.checkpoint().id, {TYPE: {"restore_name": "again"}})
    assert [(entry["type"], entry["name"]) for entry in plan["untold"]] == [(TYPE, "one")]
    assert plan["creates"] == plan["conflicts"] == []
