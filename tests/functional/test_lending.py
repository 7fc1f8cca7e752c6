# SPDX-License-Identifier: Apache-2.0
"""Are streams lent by a process that others find again, that is begun anew where it died, and that leaves nothing?"""

import contextlib
import os
import signal
import threading

import pytest

from karbor.common.clock import Clock
from karbor.common.waiting import wait_for
from karbor.model import errors
from karbor.model.resource import ResourceKey
from karbor.protection.lending import Lender, Loan
from karbor.virt.nbd import NbdConnection
from tests.support import servers
from tests.support.readinghouse import CHECKPOINT, PROVIDER, ReadingHouse
from tests.support.rows import PROJECT

KEYS = tuple(ResourceKey("Libvirt::Disk", name, "guest") for name in ("vda", "vdb"))
DOMAIN = ResourceKey("Libvirt::Domain", "guest")
CONTENT = {KEYS[0]: b"a" * 65536, KEYS[1]: b"b" * 65536}


@pytest.fixture(scope="module")
def house():
    with servers.directory() as root:
        made = ReadingHouse(root, [(key.text, data) for key, data in CONTENT.items()])
        yield made
        made.close()


def lend(house, keys=KEYS, *, check=lambda: None, **changes):
    lender = Lender("here", house.root / "lent", ["--config-file", str(house.settings)], Clock())
    loan = Loan(**{"project_id": PROJECT, "provider_id": PROVIDER, "checkpoint_id": CHECKPOINT, **changes},
                resources=keys, stream="disk")  # fmt: skip
    return lender.lend("job", DOMAIN, loan, check)


def read(lent, key):
    with NbdConnection(lent.socket, lent.names[key]) as connection:
        return connection.read(0, connection.size)


def test_streams_are_read_as_they_are_by_whoever_finds_the_socket(house):
    first = lend(house)
    try:
        first.keep_up()
        first.keep_up()
        again = lend(house)
        again.keep_up()
        assert {key: read(again, key) for key in KEYS} == CONTENT
        pid = int(next((house.root / "lent").glob("job-*/pid")).read_text())
        os.kill(pid, signal.SIGKILL)
        wait_for(
            lambda: None if _lives(pid) else True, clock=Clock(), seconds=60, check=lambda: None, first=0.02,
            longest=0.2,
        )  # fmt: skip
        again.keep_up()
        assert read(again, KEYS[1]) == CONTENT[KEYS[1]]
    finally:
        first.end()
    first.end()
    assert list((house.root / "lent").iterdir()) == []


def test_what_is_lent_for_a_job_that_has_ended_is_swept_away(house):
    lent = lend(house)
    lent.keep_up()
    lender = Lender("here", house.root / "lent", [], Clock())
    lender.sweep(lambda job_id: job_id == "job")
    assert read(lent, KEYS[0]) == CONTENT[KEYS[0]]
    lender.sweep(lambda _job_id: False)
    assert list((house.root / "lent").iterdir()) == []


def test_one_alone_has_the_empty_name(house):
    lent = lend(house, KEYS[:1])
    with contextlib.closing(_Ended(lent)):
        lent.keep_up()
        assert lent.names == {KEYS[0]: ""} and read(lent, KEYS[0]) == CONTENT[KEYS[0]]


def test_what_is_not_there_is_told_as_it_is(house):
    lent = lend(house, checkpoint_id="99999999-2222-4333-8444-555555555555")
    with contextlib.closing(_Ended(lent)), pytest.raises(errors.KarborError) as caught:
        lent.keep_up()
    assert not isinstance(caught.value, errors.Unavailable)


def test_whoever_is_cancelled_waits_no_longer(house):
    stop = threading.Event()

    def check():
        if stop.is_set():
            raise errors.Cancelled()
        stop.set()

    lent = lend(house, check=check)
    with contextlib.closing(_Ended(lent)), pytest.raises(errors.Cancelled):
        lent.keep_up()


class _Ended:
    def __init__(self, lent):
        self.close = lent.end


def _lives(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
