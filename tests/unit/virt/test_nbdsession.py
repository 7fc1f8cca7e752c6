# SPDX-License-Identifier: Apache-2.0
"""Is read ahead where a client reads on, more and more, never twice and never behind the end?"""

import socket
import threading
from concurrent.futures import ThreadPoolExecutor

from karbor.virt import nbd_wire as wire
from karbor.virt.nbdanswers import Request
from karbor.virt.nbdsession import Ahead, NbdSession

MIB = 1 << 20
SIZE = 100 * MIB
PATIENCE = 60


def read(offset, length):
    return Request(0, wire.READ, 1, offset, length)


def test_a_client_that_jumps_about_is_not_read_ahead_for():
    ahead = Ahead()
    assert [ahead.after(read(offset, 4096), SIZE) for offset in (0, MIB, 512, 90 * MIB)] == [None] * 4


def test_what_follows_is_read_ahead_once_and_up_to_the_end():
    ahead = Ahead()
    ranges = [found for at in range(0, SIZE, MIB // 4) if (found := ahead.after(read(at, MIB // 4), SIZE))]
    assert ranges[0] == (MIB // 2, MIB // 2 + MIB)
    assert all(before[1] == after[0] for before, after in zip(ranges, ranges[1:], strict=False))
    assert ranges[-1][1] == SIZE
    assert max(stop - start for start, stop in ranges) <= 8 * MIB


def test_after_a_jump_it_begins_anew():
    ahead = Ahead()
    for at in range(0, 20 * MIB, MIB):
        ahead.after(read(at, MIB), SIZE)
    assert ahead.after(read(0, MIB), SIZE) is None
    assert ahead.after(read(MIB, MIB), SIZE) == (2 * MIB, 3 * MIB)


def test_whoever_is_let_go_is_reported_once():
    ours, theirs = socket.socketpair()
    gone, told = threading.Event(), []

    def tell(session):
        told.append(session)
        gone.set()

    with ThreadPoolExecutor(1) as pool, theirs:
        session = NbdSession(ours, {}, pool, gone=tell)
        session.start()
        session.close()
        assert gone.wait(PATIENCE)
        session.join()
    assert told == [session]
