# SPDX-License-Identifier: Apache-2.0
"""Does the watchdog thaw when we die or hang, keep still when we thawed, and never stay behind?"""

import os
import select
import signal
import subprocess
import sys

import pytest

from karbor.model import errors
from karbor.virt import thaw_watchdog
from karbor.virt.thaw_watchdog import ThawWatchdog

URI = "test:///default"
DOMAIN = "6695eb01-f6a4-8304-79aa-97f2502e193f"


def start(seconds: float) -> "subprocess.Popen[bytes]":
    process = subprocess.Popen(
        [sys.executable, "-m", "karbor.virt.thaw_watchdog", URI, DOMAIN, str(seconds)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout.readline() == b"ready\n"
    return process


def end(process: "subprocess.Popen[bytes]") -> tuple[bytes, int]:
    said = process.stdout.read()
    process.stdout.close()
    process.stdin.close()
    return said, process.wait(timeout=60)


def test_a_guest_that_was_thawed_in_time_is_left_alone():
    with ThawWatchdog(URI, DOMAIN, 60) as watchdog:
        assert not watchdog.fired
    assert not watchdog.fired
    watchdog.disarm()


def test_it_fires_when_the_time_is_over_and_says_so():
    watchdog = ThawWatchdog(URI, DOMAIN, 0.01)
    watchdog.arm()
    while not watchdog.fired:
        pass
    watchdog.disarm()
    assert watchdog.fired


def test_it_fires_when_its_owner_dies():
    process = start(60)
    process.stdin.close()
    assert end(process) == (b"fired\n", 0)


def test_it_goes_silently_when_told_that_the_guest_is_thawed():
    process = start(60)
    process.stdin.write(b"thawed\n")
    process.stdin.flush()
    assert end(process) == (b"", 0)


def test_a_stopping_service_does_not_stop_it_before_its_work_is_done():
    process = start(60)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        process.send_signal(number)
    assert not select.select([process.stdout], [], [], 0)[0]
    process.stdin.close()
    assert end(process) == (b"fired\n", 0)


def test_it_holds_no_file_of_its_owner():
    read_end, write_end = os.pipe()
    os.set_inheritable(write_end, True)
    with ThawWatchdog(URI, DOMAIN, 60):
        os.close(write_end)
        assert select.select([read_end], [], [], 5)[0], "the pipe is still open somewhere"
    os.close(read_end)


@pytest.mark.parametrize(
    ("uri", "domain"), [(URI, "00000000-0000-0000-0000-000000000000"), ("test:///missing.xml", DOMAIN)]
)
def test_without_a_domain_to_reach_nothing_may_be_frozen(uri, domain):
    with pytest.raises(errors.Unavailable) as caught:
        ThawWatchdog(uri, domain, 60).arm()
    assert caught.value.message == "The guest cannot be frozen safely."


def test_thawing_ends_at_once_where_there_is_nothing_to_thaw():
    assert thaw_watchdog.thaw(URI, DOMAIN)
    assert not thaw_watchdog.thaw(URI, "00000000-0000-0000-0000-000000000000")
