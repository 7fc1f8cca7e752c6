# SPDX-License-Identifier: Apache-2.0
"""Whatever happens to a guest and to the worker: is every capture equal to what its disks held when it began?

Random episodes against a real libvirt and QEMU. Each episode has a guest with a few disks of different kinds and two
providers that back it up at random moments: while it runs, is paused or off; through bitmaps and through external
snapshots; with writes, trims, resets, growth, stops, starts and kills in between; with captures that end well, fail,
are begun twice or lose their worker. A plain model of the disks is the oracle. In the end the guest holds what it
wrote, on its own images, and nothing is left behind.

``KARBOR_CAPTURE_SEED``, ``_FIRST`` and ``_EPISODES`` choose other walks; a failure prints the seed of its episode and
all its steps.
"""

import collections
import os
import random
import shutil
import threading

import pytest

from karbor.model import errors
from karbor.sdk.hypervisor import Capture, CaptureRequest, Hypervisor
from karbor.sdk.streams import Kind
from tests.support.capture_walk import SCOPES, Episode, new_driver
from tests.support.content import CLUSTER, Content
from tests.support.qemu_writer import BASED, LARGE, MIB, OLD, QCOW2, RAW, DiskKind, Guest, Host

pytestmark = [pytest.mark.libvirt, pytest.mark.slow]

SEED = int(os.environ.get("KARBOR_CAPTURE_SEED", "2026"))
EPISODES = int(os.environ.get("KARBOR_CAPTURE_EPISODES", "10"))
FIRST = int(os.environ.get("KARBOR_CAPTURE_FIRST", "0"))
STEPS = 40
#: The disks of the episodes, in turn: every kind meets every other.
GUESTS: tuple[tuple[DiskKind, ...], ...] = (
    (QCOW2, BASED),
    (QCOW2, RAW, OLD),
    (BASED, RAW),
    (LARGE, QCOW2),
    (QCOW2, BASED, RAW),
)


@pytest.fixture(scope="module")
def host():
    found = Host()
    yield found
    found.stop()


@pytest.fixture(scope="module")
def totals():
    """What all walks of this run met."""
    return collections.Counter()


@pytest.fixture
def directory(host):
    path = host.root / "t"
    path.mkdir()
    yield path
    shutil.rmtree(path)


@pytest.mark.timeout(170)
@pytest.mark.parametrize("number", range(FIRST, FIRST + EPISODES))
def test_every_capture_equals_the_disks_at_its_begin(number, host, directory, totals):
    seed = SEED * 1000 + number
    episode = Episode(seed, GUESTS[number % len(GUESTS)], host, directory)
    try:
        for _ in range(STEPS):
            episode.step()
        episode.close()
    except BaseException as fault:
        cause = fault.operator_text() if isinstance(fault, errors.KarborError) else ""
        fault.add_note("\n".join([f"seed of this episode: {seed}", *episode.log, cause]))
        raise
    finally:
        if episode.guest.active:
            episode.guest.stop()
        episode.guest.remove()
        totals.update(episode.counts)


def test_the_walks_met_everything_they_are_there_for(totals):
    if EPISODES < 10 or not totals:
        pytest.skip("few walks need not meet everything")
    print(dict(sorted(totals.items())))
    methods = {"bitmap full", "bitmap increment", "snapshot full", "offline full", "offline increment"}
    events = {"kill", "stop", "lost", "grow", "new_worker", "new_daemon", "begin_again", "worker_forgets", "fail"}
    events |= {"killed_in_begin", "killed_at_the_end"}
    assert (methods | events) <= set(totals)
    assert totals["checkpoints"] >= EPISODES


@pytest.mark.parametrize("method", ["bitmap", "snapshot"])
def test_all_disks_show_one_instant_while_the_guest_writes(host, directory, method):
    """The guest writes 1, 2, 3 ... to its disks in turn: each view is the state after one of these writes."""
    scratch = directory / "s"
    scratch.mkdir()
    guest = Guest(host, directory, {"vda": QCOW2, "vdb": RAW, "vdc": BASED})
    driver = new_driver(host, scratch)
    guest.start()
    stop = threading.Event()
    written: list[tuple[str, int, int]] = []

    def keep_writing() -> None:
        rng = random.Random(7)
        while not stop.is_set():
            place = (rng.choice(sorted(guest.kinds)), rng.randrange(20) * 4096, rng.randrange(1, 256))
            guest.write(place[0], place[1], 4096, place[2])
            written.append(place)

    writer = threading.Thread(target=keep_writing)
    writer.start()
    try:
        state = {target: Content(kind.size) for target, kind in guest.kinds.items()}
        state["vdc"] = _base_content()
        for number in range(4):
            request = CaptureRequest(guest.id, SCOPES[0], f"t{number}", ("vda", "vdb", "vdc"), {}, "no", method)
            capture = driver.begin(request)
            views = {target: _whole(driver, capture, target) for target in request.targets}
            driver.end(capture)
            driver.keep(guest.id, SCOPES[0], request.token)
            _is_a_prefix(views, state, list(written))
    finally:
        stop.set()
        writer.join()
        guest.stop()
        guest.remove()


def _base_content() -> Content:
    base = Content(BASED.size)
    for at in range(0, BASED.size, 3 * MIB):
        base.put(at, b"\xb1" * MIB)
    return base


def _whole(driver: Hypervisor, capture: Capture, target: str) -> Content:
    with driver.source(capture, target, full=True) as source:
        found = Content(source.size)
        for extent in source.extents():
            if extent.kind is Kind.DATA:
                for offset in range(extent.offset, extent.offset + extent.length, MIB):
                    found.put(offset, source.read(offset, min(MIB, extent.offset + extent.length - offset)))
        return found


def _is_a_prefix(views: dict[str, Content], start: dict[str, Content], written: list[tuple[str, int, int]]) -> None:
    state = {target: content.copy() for target, content in start.items()}
    if all(views[target].first_difference(state[target]) is None for target in views):
        return
    for target, offset, byte in written:
        state[target].put(offset, bytes([byte]) * 4096)
        if all(not views[name].clusters_unlike(state[name]) for name in views):
            return
    raise AssertionError("the view is no state that the disks ever had together")


def test_an_increment_is_taken_wherever_nothing_stands_against_it(host, directory):
    """The random walk would also pass with a driver that always reads in full: this would not."""
    scratch = directory / "s"
    scratch.mkdir()
    guest = Guest(host, directory, {"vda": QCOW2, "vdb": RAW, "vdc": BASED})
    driver = new_driver(host, scratch)
    driver.recover(lambda scope, token: False)
    tracked = {"vda", "vdc"}
    try:
        guest.start()
        last = ""
        for number, between in enumerate(
            ["nothing", "writes", "reset", "stop", "stay off", "start", "new worker", "grow"]
        ):
            match between:
                case "writes":
                    guest.write("vda", MIB, CLUSTER, 7)
                case "reset":
                    guest.reset()
                case "stop":
                    guest.stop()
                case "start":
                    guest.start()
                case "new worker":
                    driver = new_driver(host, scratch)
                    driver.recover(lambda scope, token: False)
                case "grow":
                    guest.grow("vda", QCOW2.size + MIB)
            since = dict.fromkeys(guest.kinds, last) if last else {}
            capture = driver.begin(
                CaptureRequest(guest.id, SCOPES[0], f"t{number}", ("vda", "vdb", "vdc"), since, "no", "auto")
            )
            increments = {disk.target for disk in capture.disks if disk.since}
            assert increments == (tracked if last else set()), f"after {between}: {capture.disks}"
            driver.end(capture)
            driver.keep(guest.id, SCOPES[0], f"t{number}")
            last = f"t{number}"
    finally:
        if guest.active:
            guest.stop()
        guest.remove()


@pytest.mark.parametrize("stopped", [False, True])
def test_a_tracker_that_a_kill_broke_does_not_keep_the_guest_off_its_own_disks(host, directory, stopped):
    """A broken bitmap keeps its disk from growing; an overlay that grew must get into it all the same."""
    scratch = directory / "s"
    scratch.mkdir()
    guest = Guest(host, directory, {"vda": QCOW2})
    driver = new_driver(host, scratch)
    try:
        guest.start()
        first = driver.begin(CaptureRequest(guest.id, SCOPES[0], "t1", ("vda",), {}, "no", "bitmap"))
        driver.end(first)
        driver.keep(guest.id, SCOPES[0], "t1")
        guest.stop()  # the bitmap is stored in the image
        guest.start()
        guest.kill()
        guest.start()
        second = driver.begin(CaptureRequest(guest.id, SCOPES[0], "t2", ("vda",), {"vda": "t1"}, "no", "snapshot"))
        assert guest.grow("vda", QCOW2.size + MIB)
        guest.write("vda", QCOW2.size, 4096, 5)
        if stopped:
            guest.stop()
        driver.end(second)
        driver.keep(guest.id, SCOPES[0], "t2")
        if not stopped:
            assert guest.grow("vda", QCOW2.size + 2 * MIB)
            guest.stop()
        assert guest.defined_paths() == guest.paths
        assert guest.actual("vda").first_difference(guest.content["vda"]) is None
    finally:
        if guest.active:
            guest.stop()
        guest.remove()
