# SPDX-License-Identifier: Apache-2.0
"""Is a capture given up when scratch room runs short or the guest was paused, and only then?"""

import threading

import pytest

from karbor.virt.libvirt_connection import Connection
from karbor.virt.libvirt_guard import ScratchGuard, free_bytes, room_taken
from karbor.virt.libvirt_method import Host
from karbor.virt.libvirt_names import CaptureFiles

TEST_DOMAIN = "6695eb01-f6a4-8304-79aa-97f2502e193f"


class Ended:
    """Takes note of what was given up; ``refusals`` times it says that it did not work."""

    def __init__(self, refusals=0):
        self.tokens, self.reasons, self.refusals = [], [], refusals
        self.changed = threading.Condition()

    def give_up(self, files, reason):
        with self.changed:
            self.tokens.append(files.token)
            self.reasons.append(reason)
            self.changed.notify_all()
            self.refusals -= 1
            return self.refusals < 0

    def wait_for(self, count):
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.tokens) >= count, timeout=20)


@pytest.fixture
def make(tmp_path):
    def make(ended, reserve):
        return ScratchGuard(Host(Connection("test:///default"), tmp_path, 5, reserve), ended.give_up)

    return make


def capture(directory, token, size=0):
    files = CaptureFiles(directory, TEST_DOMAIN, "scope", token)
    files.record.write_text("{}")
    if size:
        files.scratch("vda").write_bytes(b"x" * size)
    return files


def test_the_capture_that_takes_most_room_goes_first(make, tmp_path):
    ended = Ended()
    guard = make(ended, reserve=1 << 60)
    small, large = capture(tmp_path, "small", 8192), capture(tmp_path, "large", 65536)
    assert room_taken(large) > room_taken(small) > 0
    guard._look([small, large], frozenset())
    assert ended.tokens == ["large"] and "scratch room" in ended.reasons[0]


def test_with_room_nothing_is_given_up_until_libvirt_paused_the_guest(make, tmp_path):
    ended = Ended()
    guard = make(ended, reserve=0)
    files = capture(tmp_path, "one", 4096)
    guard.watch(files)
    guard.io_error(TEST_DOMAIN, "eio")
    guard.io_error("another", "enospc")
    assert ended.tokens == []
    guard.io_error(TEST_DOMAIN, "enospc")
    ended.wait_for(1)
    assert "paused" in ended.reasons[0]


def test_what_could_not_be_ended_is_tried_again(make, tmp_path):
    ended = Ended(refusals=1)
    guard = make(ended, reserve=1 << 60)
    guard.watch(capture(tmp_path, "one", 4096))
    ended.wait_for(2)
    assert ended.tokens[:2] == ["one", "one"]


def test_a_capture_that_takes_no_room_is_left_alone(make, tmp_path):
    ended = Ended()
    guard = make(ended, reserve=1 << 60)
    idle, taking = capture(tmp_path, "idle"), capture(tmp_path, "taking", 4096)
    guard.watch(idle)
    guard.watch(taking)
    ended.wait_for(1)
    guard.forget(idle)
    assert ended.tokens[0] == "taking" and free_bytes(tmp_path) > 0
