# SPDX-License-Identifier: Apache-2.0
"""Is a guest always thawed, and is it told honestly whether it was frozen? (libvirt's own test driver freezes.)"""

import pytest

from karbor.model import errors
from karbor.virt import libvirt_freeze
from karbor.virt.libvirt_connection import Connection
from karbor.virt.libvirt_freeze import FreezePolicy, frozen

URI = "test:///default"
TEST_DOMAIN = "6695eb01-f6a4-8304-79aa-97f2502e193f"


@pytest.fixture
def domain():
    found = Connection(URI).domain(TEST_DOMAIN)
    libvirt_freeze.thaw(found)
    yield found
    libvirt_freeze.thaw(found)


@pytest.fixture
def policy(tmp_path):
    def make(quiesce, uri=URI):
        return FreezePolicy(quiesce, 30, uri, tmp_path / "marker")

    return make


@pytest.mark.parametrize("quiesce", ["required", "try"])
def test_a_guest_is_frozen_for_the_block_and_thawed_after_it(domain, policy, quiesce):
    chosen = policy(quiesce)
    with frozen(domain, chosen) as freeze:
        assert freeze.count > 0 and chosen.marker.exists()
    assert freeze.held and freeze.reason == "" and not chosen.marker.exists()
    assert libvirt_freeze.thaw(domain) == 0


def test_a_fault_in_the_block_thaws_too(domain, policy):
    with pytest.raises(ZeroDivisionError), frozen(domain, policy("try")):
        raise ZeroDivisionError
    assert libvirt_freeze.thaw(domain) == 0


def test_nobody_who_did_not_ask_is_frozen(domain, policy):
    with frozen(domain, policy("no")) as freeze:
        assert libvirt_freeze.thaw(domain) == 0
    assert not freeze.held and freeze.reason == "not asked for"


def test_a_freeze_that_ended_before_the_block_does_not_count(domain, policy):
    with frozen(domain, policy("try")) as freeze:
        libvirt_freeze.thaw(domain)
    assert not freeze.held and "before the view" in freeze.reason
    with pytest.raises(errors.StepFailed), frozen(domain, policy("required")):
        libvirt_freeze.thaw(domain)


def test_a_paused_guest_is_not_frozen(domain, policy):
    domain.suspend()
    try:
        with frozen(domain, policy("try")) as freeze:
            pass
        assert not freeze.held and "not running" in freeze.reason
        with pytest.raises(errors.StepFailed), frozen(domain, policy("required")):
            raise AssertionError("the block must not run")
    finally:
        domain.resume()


def test_without_a_watchdog_nothing_is_frozen(domain, policy, tmp_path):
    nowhere = f"qemu+unix:///system?socket={tmp_path}/none"
    with frozen(domain, policy("try", nowhere)) as freeze:
        assert libvirt_freeze.thaw(domain) == 0
    assert not freeze.held and "watchdog" in freeze.reason
    with pytest.raises(errors.StepFailed), frozen(domain, policy("required", nowhere)):
        raise AssertionError("the block must not run")


def test_a_marker_left_by_a_dead_process_thaws_once(domain, tmp_path):
    marker = tmp_path / "left"
    marker.touch()
    domain.fsFreeze()
    assert libvirt_freeze.thaw_leftover(domain, marker)
    assert libvirt_freeze.thaw(domain) == 0 and not marker.exists()
    assert not libvirt_freeze.thaw_leftover(domain, marker)
