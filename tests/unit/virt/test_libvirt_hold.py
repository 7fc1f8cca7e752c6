# SPDX-License-Identifier: Apache-2.0
"""Is a guest that is held for longer thawed in time, and is it told? (libvirt's own test driver freezes.)"""

import threading
from dataclasses import dataclass

import pytest

from karbor.virt import libvirt_freeze
from karbor.virt.libvirt_connection import Connection
from karbor.virt.libvirt_hold import Holds
from karbor.virt.libvirt_method import Host
from karbor.virt.libvirt_names import held_marker

URI = "test:///default"
TEST_DOMAIN = "6695eb01-f6a4-8304-79aa-97f2502e193f"
TOKEN, OTHER = "11111111-1111-4111-8111-111111111111", "11111111-1111-4111-8111-111111111112"


@dataclass
class HandClock:
    """Time passes when the test says so."""

    now: float = 100.0

    def monotonic(self):
        return self.now


TOOK = "it is held for 30 s at most, and that took {:.1f} s"


class Bench:
    def __init__(self, directory, seconds):
        self.connection, self.clock = Connection(URI), HandClock()
        self.host = Host(self.connection, directory, 10, 0)
        self.domain = self.connection.domain(TEST_DOMAIN)
        self.lock = threading.RLock()
        self.holds = Holds(self.host, seconds, lambda _domain: self.lock, self.clock)
        self.marker = held_marker(directory, TEST_DOMAIN, TOKEN)


@pytest.fixture
def bench(tmp_path):
    found = Bench(tmp_path, 30)
    libvirt_freeze.thaw(found.domain)
    yield found
    found.holds.thaw(TEST_DOMAIN, TOKEN)
    libvirt_freeze.thaw(found.domain)


def test_the_time_it_was_held_is_told(bench):
    assert bench.holds.freeze(TEST_DOMAIN, TOKEN).held and bench.marker.exists()
    bench.clock.now += 2.5
    assert bench.holds.freeze(TEST_DOMAIN, TOKEN).seconds == 2.5
    found = bench.holds.thaw(TEST_DOMAIN, TOKEN)
    assert (found.held, found.seconds, bench.marker.exists()) == (True, 2.5, False)


def test_a_guest_that_was_thawed_meanwhile_was_not_held(bench):
    bench.holds.freeze(TEST_DOMAIN, TOKEN)
    libvirt_freeze.thaw(bench.domain)
    bench.clock.now += 3
    found = bench.holds.thaw(TEST_DOMAIN, TOKEN)
    assert (found.held, found.reason) == (False, "the guest was thawed before all was taken: " + TOOK.format(3.0))


def test_what_took_longer_than_a_guest_may_be_frozen_was_not_held(bench):
    bench.holds.freeze(TEST_DOMAIN, TOKEN)
    libvirt_freeze.thaw(bench.domain)  # as the watchdog does
    bench.clock.now += 31.25
    found = bench.holds.thaw(TEST_DOMAIN, TOKEN)
    assert (found.held, found.seconds) == (False, 30.0)
    assert found.reason == "the guest was thawed before all was taken: " + TOOK.format(31.2)


def test_a_hold_that_is_over_is_not_taken_for_a_new_one(bench):
    bench.holds.freeze(TEST_DOMAIN, TOKEN)
    libvirt_freeze.thaw(bench.domain)
    bench.clock.now += 31
    again = bench.holds.freeze(TEST_DOMAIN, TOKEN)
    assert (again.held, again.seconds) == (True, 0.0)
    assert bench.holds.thaw(TEST_DOMAIN, TOKEN).held


def test_a_guest_without_an_agent_is_left_alone(bench):
    bench.domain.suspend()
    try:
        found = bench.holds.freeze(TEST_DOMAIN, TOKEN)
    finally:
        bench.domain.resume()
    assert (found.held, found.reason, bench.marker.exists()) == (False, "the guest is not running", False)


def test_a_start_leaves_alone_what_this_process_holds(bench):
    bench.holds.freeze(TEST_DOMAIN, TOKEN)
    bench.marker.with_name(f"karbor-{TEST_DOMAIN}-{OTHER}.held").touch()
    gone = bench.marker.with_name(f"karbor-00000000-0000-4000-8000-000000000000-{OTHER}.held")
    gone.touch()
    successor = Holds(bench.host, 30, lambda _domain: bench.lock, bench.clock)
    assert len(list(bench.holds.recover())) == 2
    assert bench.marker.exists() and not gone.exists()
    assert len(list(successor.recover())) == 1 and list(successor.recover()) == []


def test_a_guest_that_was_switched_off_is_no_clean_copy(bench):
    bench.domain.destroy()
    try:
        found = bench.holds.freeze(TEST_DOMAIN, TOKEN)
    finally:
        bench.domain.create()
    assert (found.held, found.reason) == (False, "the guest is off, and was not shut down")
