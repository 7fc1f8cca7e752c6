# SPDX-License-Identifier: Apache-2.0
"""Does a guest ever notice that the bank hangs, crawls or goes away while its disks are read?

The embedded service over a libvirt of the test's own and a bank that obeys the test. What the guest writes meanwhile
must be done before the bank is well again: that, and no number of seconds, says that it was not held.
"""

import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import libvirt
import pytest

from tests.support import commandedbank
from tests.support.qemu_writer import BASED, MIB, QCOW2, RAW, Guest, Host
from tests.support.rest import PAUSE
from tests.support.service import BIN, Embedded

pytestmark = [pytest.mark.system, pytest.mark.libvirt, pytest.mark.timeout(1800)]
SETTINGS = "[DEFAULT]\nreport_interval = 1\n[jobs]\nlease = 4\npoll = 0.2\nattempts = 1\ngrace = 2\n"
LONG = os.environ.get("KARBOR_CRASH_POINTS") == "all"


@pytest.fixture(scope="module")
def host():
    host = Host()
    yield host
    host.stop()


@pytest.fixture(scope="module")
def service(host):
    with tempfile.TemporaryDirectory(prefix="kb-", dir="/tmp") as short:
        place = Path(short)
        (place / "packages").mkdir()
        with Embedded(place / "karbor", libvirt_uri=host.uri, settings=SETTINGS) as running:
            running.stop()
            commandedbank.give_to(running.state_dir / "providers.d" / "libvirt.conf")
            running.environment = commandedbank.install(place / "packages")
            yield running.start()


@pytest.fixture
def machine(host, tmp_path):
    machine = Guest(host, tmp_path, {"vda": QCOW2, "vdb": BASED, "vdc": RAW})
    machine.start()
    for target in machine.kinds:
        _scribble(machine, target, 1)
    yield machine
    machine.remove()


class Bank:
    """The commands of the bank."""

    def __init__(self, service):
        self._place = service.state_dir / "bank"

    def tell(self, word, text=""):
        (self._place / word).write_text(text)

    def heal(self):
        for word in ("hang", "slow", "gone", "waiting"):
            (self._place / word).unlink(missing_ok=True)

    def is_waiting(self):
        return (self._place / "waiting").exists()


@pytest.fixture
def bank(service):
    bank = Bank(service)
    yield bank
    bank.heal()


def _scribble(machine, target, seed):
    """3 MiB that cannot be told from each other by the vault: every page has a byte of its own."""
    for number in range(12):
        machine.write(target, number * 262144, 262144, (seed * 17 + number * 7) % 255 + 1)


def _plan(service, machine):
    resource = {"id": machine.id, "type": "Libvirt::Domain", "name": machine.name}
    return service.rest.plan(service.rest.provider("Libvirt::Domain"), [resource])


def _until(holds, what, seconds=120):
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, what
        PAUSE.wait(0.05)


def _write_times(machine, rounds, seed):
    """Seconds of each of a few flushed writes over all of each disk."""
    times = []
    for number in range(rounds):
        for target in machine.kinds:
            begun = time.monotonic()
            machine.write(target, (number * 7 % 90) * 65536 // 2, 65536, (seed + number) % 255 + 1)
            times.append(time.monotonic() - begun)
    machine.flush()
    return times


def _tell(what, times):
    print(f"{what}: {len(times)} writes, median {statistics.median(times):.3f} s, longest {max(times):.3f} s")


def _unharmed(machine):
    """It is as its user left it (paused, and not for an error of a disk), and no job hangs above its disks."""
    assert machine.domain.state() == [libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_USER]
    _until(lambda: not _is_captured(machine), "the capture is still there")


def _is_captured(machine):
    try:
        return machine.domain.jobInfo()[0] != 0
    except libvirt.libvirtError:  # the job of a backup begins before libvirt has its data
        return False


def test_a_guest_writes_on_while_the_bank_hangs(service, machine, bank):
    plan = _plan(service, machine)
    _tell("nothing at work", _write_times(machine, 5, 3))
    bank.tell("hang")
    asked = service.rest.start_checkpoint(plan)
    _until(bank.is_waiting, "the bank was never asked to store a pack")
    _tell("bank hangs", _write_times(machine, 12 if not LONG else 200, 5))
    _until(bank.is_waiting, "the bank did not hang")  # all the writes were done, and it hangs still
    bank.heal()
    found = service.rest.checkpoint(plan, asked)
    assert found["status"] == "available", found
    _unharmed(machine)


def test_a_slow_bank_makes_a_slow_checkpoint_and_a_guest_as_ever(service, machine, bank):
    plan = _plan(service, machine)
    bank.tell("slow", "10" if LONG else "0.1")
    asked = service.rest.start_checkpoint(plan)
    path = f"/providers/{plan['provider_id']}/checkpoints/{asked}"
    _until(
        lambda: _is_captured(machine) or service.rest.get(path)["checkpoint"]["status"] != "protecting",
        "the capture did not begin", 600,
    )  # fmt: skip
    _tell("bank is slow", _write_times(machine, 12 if not LONG else 200, 5))
    found = service.rest.checkpoint(plan, asked, seconds=1500)
    assert found["status"] == "available", found
    _unharmed(machine)


def test_a_bank_that_goes_away_in_mid_flight_is_an_error_with_a_reason_and_the_guest_is_let_go(service, machine, bank):
    plan = _plan(service, machine)
    first = service.rest.protect(plan)
    before = _stored(service)
    _scribble(machine, "vda", 9)
    bank.tell("hang")
    asked = service.rest.start_checkpoint(plan)
    _until(bank.is_waiting, "the bank was never asked to store a pack")
    bank.tell("gone")
    (service.state_dir / "bank" / "hang").unlink()
    found = service.rest.checkpoint(plan, asked)
    assert found["status"] == "error"
    reason = found["reason"]
    assert machine.id in reason["resource"] or machine.name in reason["resource"] or reason["step"], reason
    assert reason["cause"] and reason["next_action"], reason
    print(reason)
    _unharmed(machine)
    _tell("bank is gone", _write_times(machine, 5, 7))
    bank.heal()
    again = _protect_when_it_is_back(service, plan)
    assert again["mode"] == "incremental" and again["id"] != first["id"]
    _clean(service)
    assert _stored(service) <= before + 8 * MIB
    assert service.rest.verify(again, {})["status"] == "success"


def _protect_when_it_is_back(service, plan):
    """The next checkpoint: it is refused (503) until the service has noticed that the bank is well again."""
    path, body = f"/providers/{plan['provider_id']}/checkpoints", {"checkpoint": {"plan_id": plan["id"]}}
    answers = []
    _until(lambda: answers.append(service.rest.send("POST", path, body)) or answers[-1][0] != 503, "still refused")
    assert {status for status, _ in answers[:-1]} <= {503} and answers[-1][0] == 200, answers[-1]
    found = service.rest.checkpoint(plan, answers[-1][1]["checkpoint"]["id"])
    assert found["status"] == "available", found
    return found


def _stored(service):
    return sum(path.stat().st_size for path in (service.state_dir / "bank").glob("libvirt/**/pack/*/*"))


def _clean(service):
    command = [str(BIN / "karbor-manage"), "--config-file", str(service.state_dir / "karbor.conf")]
    provider = service.rest.provider("Libvirt::Domain")
    done = subprocess.run(
        [*command, "bank", "clean", "--provider", provider, "--grace", "0"],
        env={**os.environ, **service.environment}, check=False, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
