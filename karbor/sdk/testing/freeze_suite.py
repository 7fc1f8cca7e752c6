# SPDX-License-Identifier: Apache-2.0
"""Does a driver hold guests still, and let them go, as its contract says? For subclasses that say how one is made:

class TestMyDriver(FreezeSuite):
    def make_driver(self) -> Hypervisor: ...
    def running(self, driver: Hypervisor) -> str: ...
    def is_frozen(self, domain_id: str) -> bool: ...
"""

import abc
from collections.abc import Iterator
from pathlib import Path

import pytest

from karbor.model import errors
from karbor.sdk.hypervisor import Hypervisor

TOKEN, OTHER = "11111111-1111-4111-8111-111111111111", "11111111-1111-4111-8111-111111111112"


class FreezeSuite(abc.ABC):
    """``directory`` is an empty directory of each test. The guests are the same for every driver of one test."""

    directory: Path

    @pytest.fixture(autouse=True)
    def _own_directory(self, tmp_path: Path) -> None:
        self.directory = tmp_path

    @abc.abstractmethod
    def make_driver(self) -> Hypervisor:
        """A driver as a worker that starts makes it. Called again: one of another worker, with the same state."""

    @abc.abstractmethod
    def running(self, driver: Hypervisor) -> str:
        """The id of a guest that runs, with an agent that answers."""

    @abc.abstractmethod
    def is_frozen(self, domain_id: str) -> bool:
        """Whether the guest is frozen now."""

    @abc.abstractmethod
    def shut_down(self, domain_id: str) -> None:
        """Let the guest end as its own shutdown does."""

    @abc.abstractmethod
    def start(self, domain_id: str) -> None:
        """Start it again."""

    @pytest.fixture
    def driver(self) -> Hypervisor:
        return self.make_driver()

    @pytest.fixture
    def guest(self, driver: Hypervisor) -> Iterator[str]:
        found = self.running(driver)
        yield found
        for token in (TOKEN, OTHER):
            driver.thaw(found, token)

    def test_a_guest_holds_still_until_it_is_let_go(self, driver: Hypervisor, guest: str) -> None:
        for _ in range(2):
            assert driver.freeze(guest, TOKEN).held
            assert self.is_frozen(guest)
        found = driver.thaw(guest, TOKEN)
        assert (found.held, found.reason) == (True, "")
        assert not self.is_frozen(guest)

    def test_it_can_be_held_again(self, driver: Hypervisor, guest: str) -> None:
        for token in (TOKEN, OTHER, TOKEN):
            assert driver.freeze(guest, token).held and driver.thaw(guest, token).held

    def test_nothing_to_thaw_is_no_error_and_nothing_held(self, driver: Hypervisor, guest: str) -> None:
        found = driver.thaw(guest, TOKEN)
        assert not found.held and found.reason
        driver.freeze(guest, TOKEN)
        assert driver.thaw(guest, TOKEN).held
        assert not driver.thaw(guest, TOKEN).held

    def test_two_do_not_hold_one_guest(self, driver: Hypervisor, guest: str) -> None:
        assert driver.freeze(guest, TOKEN).held
        second = driver.freeze(guest, OTHER)
        assert not second.held and second.reason
        assert not driver.thaw(guest, OTHER).held
        assert self.is_frozen(guest)
        assert driver.thaw(guest, TOKEN).held

    def test_a_guest_that_was_shut_down_holds_still_until_it_is_started(self, driver: Hypervisor, guest: str) -> None:
        self.shut_down(guest)
        for _ in range(2):
            assert driver.freeze(guest, TOKEN).held
        assert driver.thaw(guest, TOKEN).held
        driver.freeze(guest, TOKEN)
        self.start(guest)
        found = driver.thaw(guest, TOKEN)
        assert not found.held and found.reason

    def test_a_guest_that_is_not_there_is_not_frozen(self, driver: Hypervisor) -> None:
        nobody = "00000000-0000-4000-8000-000000000000"
        with pytest.raises(errors.ResourceNotFound):
            driver.freeze(nobody, TOKEN)
        assert not driver.thaw(nobody, TOKEN).held

    def test_a_worker_that_starts_thaws_what_another_left_frozen(self, driver: Hypervisor, guest: str) -> None:
        driver.freeze(guest, TOKEN)
        successor = self.make_driver()
        assert successor.recover(lambda _scope, _token: True)
        assert not self.is_frozen(guest)
        assert not successor.thaw(guest, TOKEN).held
        assert not driver.thaw(guest, TOKEN).held

    def test_another_worker_that_goes_on_does_not_call_it_held(self, driver: Hypervisor, guest: str) -> None:
        driver.freeze(guest, TOKEN)
        assert not self.make_driver().thaw(guest, TOKEN).held
        assert not self.is_frozen(guest)
