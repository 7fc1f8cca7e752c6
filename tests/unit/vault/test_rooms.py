# SPDX-License-Identifier: Apache-2.0
"""Is memory for what is read lent to so many at once, used again, and let go when nobody wants it?"""

import threading

import pytest

from karbor.model import errors
from karbor.vault.rooms import Rooms, Share
from tests.support.vaults import nothing

COUNT, SIZE = 2, 4096


def wanted():
    """It always is."""


def test_what_came_back_is_lent_again_and_let_go_at_the_end():
    rooms = Rooms(COUNT, SIZE)
    with rooms.lend(wanted) as first:
        with rooms.lend(wanted) as second:
            second[:4] = b"mine"
        assert rooms.kept == SIZE
        with rooms.lend(wanted) as third:
            assert third is second and third is not first and bytes(third[:4]) == b"mine"
    assert rooms.kept == 0


def test_who_comes_later_waits_for_one_that_comes_back():
    rooms, got = Rooms(COUNT, SIZE), []

    def take():
        with rooms.lend(wanted) as room:
            got.append(len(room))

    with rooms.lend(wanted):
        with rooms.lend(wanted):
            waiting = threading.Thread(target=take)
            waiting.start()
            waiting.join(0.05)
            assert got == []
        waiting.join()
        assert got == [SIZE]


def test_work_that_is_not_wanted_any_more_does_not_wait():
    rooms = Rooms(1, SIZE)

    def check():
        raise errors.Cancelled()

    with rooms.lend(wanted):
        with pytest.raises(errors.Cancelled), rooms.lend(check):
            nothing(0)
    with rooms.lend(check):
        assert rooms.kept == 0, "whoever need not wait is not asked"


def test_a_fault_gives_back_what_was_lent():
    rooms = Rooms(1, SIZE)
    for _ in range(3):
        with pytest.raises(ValueError, match="inside"), rooms.lend(wanted):
            raise ValueError("inside")


def test_who_has_a_share_need_not_wait_for_those_who_give_nothing_back():
    rooms, share = Rooms(1, SIZE), Share()

    def check():
        raise errors.Cancelled()

    with rooms.lend(wanted, Share()), rooms.lend(wanted):
        for _ in range(2):
            with rooms.lend(check, share), pytest.raises(errors.Cancelled), rooms.lend(check, share):
                nothing(0)
