# SPDX-License-Identifier: Apache-2.0
"""Does a worker keep its exports by real processes: begun, found again, begun anew, and ended?"""

import os
import random
import signal
import time

import pytest

from karbor.common.clock import Clock
from karbor.protection.exports import Exports, Place
from karbor.virt.nbd import NbdConnection
from tests.support import rows as make
from tests.support import servers
from tests.support.readinghouse import CHECKPOINT, PROVIDER, ReadingHouse

KEYS = ("OS::Libvirt::Disk#vda@guest", "OS::Libvirt::Disk#vdb@guest")
MIB = 1 << 20
DATA = {key: random.Random(key).randbytes(MIB) + bytes(MIB) for key in KEYS}
PATIENCE = 120
HOST = "kvm1"


@pytest.fixture(scope="module")
def house():
    with servers.directory() as root:
        made = ReadingHouse(root, DATA.items())
        yield made
        made.close()


class Worker:
    """What a worker's thread does, look by look. Several of them follow each other on one host."""

    def __init__(self, house):
        self.house = house
        self.place = Place(HOST, house.root / "exports", ("--config-file", str(house.settings)))
        self.begin()

    def begin(self):
        self.exports = Exports(self.house.database, self.place, [PROVIDER], Clock(), poll=1)

    def wish(self, id, seconds=3600, **more):
        given = {"provider_id": PROVIDER, "checkpoint_id": CHECKPOINT, **more}
        moment = Clock().now().timestamp() + seconds
        given["expires_at"] = Clock().now().fromtimestamp(moment, Clock().now().tzinfo)
        with self.house.database.write() as rows:
            rows.exports.create(make.export(id, **given))

    def row(self, id):
        with self.house.database.read() as rows:
            return rows.exports.get(id)

    def until(self, id, status):
        """Look until the export has come to a status."""
        return self.wait(lambda: (row := self.row(id)).status == status and row)

    def wait(self, done):
        deadline = time.monotonic() + PATIENCE
        while True:
            self.exports.look()
            found = done()
            if found:
                return found
            assert time.monotonic() < deadline, "not in time"
            time.sleep(0.02)

    def pid(self, id):
        return int((self.place.directory / id / "pid").read_text())

    def close(self, id):
        with self.house.database.write() as rows:
            rows.exports.transition(id, "closing")
        self.until(id, "closed")


@pytest.fixture
def worker(house):
    made = Worker(house)
    yield made
    with house.database.write() as rows:
        for export in rows.exports.on(HOST):
            rows.exports.transition(export.id, "closing")
    made.wait(lambda: not any(made.place.directory.glob("*")))


def first_bytes(worker, id):
    socket = worker.place.process(id).socket
    with NbdConnection(str(socket), "") as client:
        return client.read(0, 4096)


def test_an_export_lives_without_its_worker_and_is_begun_anew_where_it_dies(worker):
    worker.wish("one", resource=KEYS[0])
    row = worker.until("one", "active")
    [stream] = row.streams
    assert (row.host, stream["resource"], stream["stream"], stream["size"]) == (HOST, KEYS[0], "disk", 2 * MIB)
    socket = worker.place.process("one").socket
    assert stream["uri"].endswith(f"?socket={socket}")
    assert socket.stat().st_mode & 0o777 == 0o600 and socket.parent.stat().st_mode & 0o777 == 0o700
    assert first_bytes(worker, "one") == DATA[KEYS[0]][:4096]
    before = worker.pid("one")
    worker.begin()  # the service was restarted
    worker.exports.look()
    assert worker.pid("one") == before
    os.kill(before, signal.SIGKILL)
    worker.wait(lambda: worker.pid("one") != before and worker.place.process("one").answer())
    assert first_bytes(worker, "one") == DATA[KEYS[0]][:4096]
    assert worker.row("one").status == "active"
    worker.close("one")
    assert not socket.parent.exists()
    assert worker.row("one").finished_at


def test_all_streams_are_offered_under_their_names_until_the_time_is_over(worker):
    worker.wish("all", seconds=4)
    names = [(stream["resource"], stream["stream"]) for stream in worker.until("all", "active").streams]
    assert names == [(key, "disk") for key in KEYS]
    with NbdConnection(str(worker.place.process("all").socket), f"{KEYS[1]}/disk") as client:
        assert client.read(0, MIB) == DATA[KEYS[1]][:MIB]
    assert worker.until("all", "closed").reason == "Its time was over."


def test_what_cannot_be_offered_says_why(worker):
    worker.wish("none", checkpoint_id="99999999-2222-4333-8444-555555555555")
    row = worker.until("none", "error")
    assert row.reason and row.finished_at
    assert not (worker.place.directory / "none").exists()


def test_one_of_another_host_is_left_alone(worker):
    worker.wish("there", host="kvm2")
    worker.exports.look()
    assert worker.row("there").status == "starting"
    with worker.house.database.write() as rows:
        rows.exports.transition("there", "closed")
