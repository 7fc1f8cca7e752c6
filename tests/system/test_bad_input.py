# SPDX-License-Identifier: Apache-2.0
"""Does whatever is wrong with a guest, a disk or a bank end in a clear error, with nothing left behind?

The embedded service over a libvirt of the test's own; guests without an operating system, written to through QEMU.
"""

import base64
import subprocess
import tempfile
import time
import uuid
from contextlib import contextmanager
from pathlib import Path

import libvirt
import pytest

from tests.support.qemu_writer import BASED, MIB, QCOW2, Guest, Host
from tests.support.rest import PAUSE
from tests.support.service import Embedded

pytestmark = [pytest.mark.system, pytest.mark.libvirt]
SETTINGS = "[DEFAULT]\nreport_interval = 1\n[jobs]\nlease = 2\npoll = 0.2\nattempts = 1\ngrace = 2\n"
OWNER = "https://docs.openstack.org/karbor/xmlns/owner/1.0"


@pytest.fixture(scope="module")
def host():
    host = Host()
    yield host
    host.stop()


@pytest.fixture
def machine(host, tmp_path):
    machine = Guest(host, tmp_path, {"vda": QCOW2, "vdb": BASED})
    machine.start()
    machine.write("vda", 0, 4 * MIB, 7)
    yield machine
    machine.remove()


def _service(short, host, settings=""):
    return Embedded(short / "karbor", libvirt_uri=host.uri, settings=SETTINGS + settings)


@pytest.fixture
def short():
    """A directory with a short path: sockets lie in the service's own."""
    with tempfile.TemporaryDirectory(prefix="kb-", dir="/tmp") as path:
        yield Path(path)


@pytest.fixture
def service(short, host):
    with _service(short, host) as running:
        yield running


def _resource(machine):
    return {"id": machine.id, "type": "Libvirt::Domain", "name": machine.name}


def _plan(service, machine, **options):
    provider = service.rest.provider("Libvirt::Domain")
    return service.rest.plan(provider, [_resource(machine)], {"Libvirt::Domain": options} if options else {})


def _failed(service, plan):
    """Make a checkpoint that must fail; returns its reason."""
    found = service.rest.checkpoint(plan, service.rest.start_checkpoint(plan))
    assert found["status"] == "error", found
    assert found["reason"]["cause"]
    return found["reason"]


def _nothing_left(machine):
    """No checkpoint of libvirt, no job, no pause."""
    assert machine.domain.listAllCheckpoints(0) == []
    assert machine.domain.jobInfo()[0] == 0
    assert machine.active


def _one_tracker_remains(machine):
    """The clean-up comes right after the commit; there is a deadline for it."""
    deadline = time.monotonic() + 30
    while len(machine.domain.listAllCheckpoints(0)) != 1:
        assert time.monotonic() < deadline
        PAUSE.wait(0.1)


@pytest.fixture
def small(tmp_path):
    """A file system of 64 MiB."""
    place = tmp_path / "small"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m,mode=0700", "tmpfs", str(place)], check=True)
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@contextmanager
def _bank_on(service, place):
    """Restart the service with its bank on another file system; it is killed in the end. Gives the bank's path."""
    service.stop()
    bank = service.state_dir / "bank" / "libvirt"
    subprocess.run(["cp", "-a", f"{bank}/.", str(place)], check=True)
    subprocess.run(["mount", "--bind", str(place), str(bank)], check=True)
    try:
        service.start()
        yield bank
    finally:
        service.kill()
        subprocess.run(["umount", "-l", str(bank)], check=True)


def test_a_foreign_guest_is_as_unknown_as_one_that_does_not_exist(service, machine):
    element = libvirt.VIR_DOMAIN_METADATA_ELEMENT
    live_and_kept = libvirt.VIR_DOMAIN_AFFECT_LIVE | libvirt.VIR_DOMAIN_AFFECT_CONFIG
    machine.domain.setMetadata(element, f"<owner project='{'f' * 32}'/>", "karbor", OWNER, live_and_kept)
    provider = service.rest.provider("Libvirt::Domain")
    body = {"plan": {"name": "p", "provider_id": provider, "resources": [_resource(machine)], "parameters": {}}}
    status, foreign = service.rest.send("POST", "/plans", body)
    assert status == 400
    body["plan"]["resources"][0]["id"] = str(uuid.uuid4())
    status, unknown = service.rest.send("POST", "/plans", body)
    assert status == 400
    texts = [answer["badRequest"]["message"].split(" ", 1)[0] for answer in (foreign, unknown)]
    assert texts[0] == texts[1]
    assert service.rest.get("/protectables/Libvirt::Domain/instances")["instances"] == []
    assert service.rest.send("GET", f"/protectables/Libvirt::Domain/instances/{machine.id}")[0] == 404
    assert service.rest.get("/plans")["plans"] == []


def test_a_disk_cannot_be_planned_by_itself(service, machine):
    found = service.rest.get(f"/protectables/Libvirt::Domain/instances/{machine.id}")["instance"]
    disk = found["dependent_resources"][0]
    resource = {"id": disk["id"], "type": disk["type"], "name": disk["name"]}
    provider = service.rest.provider("Libvirt::Domain")
    body = {"plan": {"name": "p", "provider_id": provider, "resources": [resource], "parameters": {}}}
    status, answer = service.rest.send("POST", "/plans", body)
    assert status == 400 and "Libvirt::Domain" in answer["badRequest"]["message"]


def test_a_guest_that_vanished_gives_an_error_with_its_reason(service, host, tmp_path):
    gone = Guest(host, tmp_path, {"vda": QCOW2})
    plan = _plan(service, gone)
    gone.remove()
    assert "does not exist" in _failed(service, plan)["cause"]


def test_a_required_freeze_that_is_not_possible_fails_and_leaves_nothing(service, machine):
    reason = _failed(service, _plan(service, machine, quiesce="required"))
    assert "frozen" in reason["cause"] and reason["next_action"]
    _nothing_left(machine)


def test_no_room_for_scratch_is_said_before_the_guest_is_touched(short, host, machine, small):
    settings = f"[libvirt]\nscratch_dir = {small}\nscratch_reserve_mib = 100\n"
    with _service(short, host, settings) as service:
        reason = _failed(service, _plan(service, machine))
        assert "room" in reason["cause"] and reason["next_action"]
        _nothing_left(machine)
        assert [path for path in small.iterdir() if not path.is_dir()] == []


def test_a_bank_that_is_full_in_mid_backup_gives_an_error_and_its_space_back(short, host, machine, small):
    with _service(short, host) as service:
        plan = _plan(service, machine)
        with _bank_on(service, small):
            assert service.rest.protect(plan)["mode"] == "full"
            filler = small / "filler"
            subprocess.run(["dd", "if=/dev/zero", f"of={filler}", "bs=1M"], capture_output=True, check=False)
            machine.write("vda", 5 * MIB, 4 * MIB, 9)
            assert "room" in _failed(service, plan)["cause"]
            filler.unlink()
            found = service.rest.protect(plan)
            assert found["mode"] == "incremental"
            _one_tracker_remains(machine)


def test_a_bank_that_became_read_only_gives_an_error(short, host, machine, small):
    with _service(short, host) as service:
        plan = _plan(service, machine)
        with _bank_on(service, small) as bank:
            assert service.rest.protect(plan)["mode"] == "full"
            subprocess.run(["mount", "-o", "remount,ro,bind", str(bank)], check=True)
            machine.write("vda", 5 * MIB, MIB, 9)
            assert _failed(service, plan)["cause"]
            subprocess.run(["mount", "-o", "remount,rw,bind", str(bank)], check=True)
            assert service.rest.protect(plan)["mode"] == "incremental"


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"directory": "/nowhere"}, "does not exist"),
        ({"restore_name": "SAME"}, "There is a domain named"),
        ({"pool": "nowhere"}, "pool"),
    ],
    ids=["no-directory", "name-taken", "no-pool"],
)
def test_a_restore_that_cannot_work_fails_with_its_reason_and_leaves_nothing(service, machine, tmp_path, options, text):
    checkpoint = service.rest.protect(_plan(service, machine))
    target = tmp_path / "target"
    target.mkdir()
    options = {"restore_name": f"new-{machine.name}", "directory": str(target), **options}
    if options["restore_name"] == "SAME":
        options["restore_name"] = machine.name
    if "pool" in options:
        del options["directory"]
    found = service.rest.restore(checkpoint, {"Libvirt::Domain": options})
    assert found["status"] == "fail"
    assert text in " ".join(found["resources_reason"].values())
    assert list(target.iterdir()) == []
    assert [domain.name() for domain in machine.host.connection().listAllDomains()].count(machine.name) == 1


def test_a_wrong_restore_option_is_refused_before_a_row_exists(service, machine):
    checkpoint = service.rest.protect(_plan(service, machine))
    body = {
        "provider_id": checkpoint["protection_plan"]["provider_id"],
        "checkpoint_id": checkpoint["id"],
        "parameters": {"Libvirt::Domain": {"colour": "red"}},
    }
    assert service.rest.send("POST", "/restores", {"restore": body})[0] == 400
    body["parameters"], body["restore_target"] = {}, "http://elsewhere/v3"
    assert service.rest.send("POST", "/restores", {"restore": body})[0] == 400
    assert service.rest.get("/restores")["restores"] == []


def test_a_wrong_password_is_refused_and_the_right_one_is_not(short, tmp_path, host):
    bcrypt = pytest.importorskip("bcrypt")
    digest = bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()
    users = tmp_path / "users"
    project = "a" * 32
    users.write_text(f"anna:{digest}:{project}:member\n")
    users.chmod(0o600)
    settings = f"[DEFAULT]\nauth_strategy = http_basic\nhttp_basic_auth_user_file = {users}\n"
    with _service(short, host, settings) as service:
        base = service.rest.url.rsplit("/", 1)[0]
        service.rest.url = f"{base}/{project}"
        for name, password, status in (("anna", "wrong", 401), ("nobody", "secret", 401), ("anna", "secret", 200)):
            service.rest.headers["Authorization"] = _basic(name, password)
            got, answer = service.rest.send("GET", "/plans")
            assert got == status, answer
            assert status == 200 or answer["unauthorized"]["code"] == 401
        assert "secret" not in service.log()


def _basic(name, password):
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()
