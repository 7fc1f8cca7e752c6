# SPDX-License-Identifier: Apache-2.0
"""Does everything work where QEMU runs as a user of its own, as on every ordinary host?"""

import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.support.qemu_writer import BASED, MIB, QCOW2, RAW, Guest, Host
from tests.support.service import Embedded

pytestmark = [pytest.mark.system, pytest.mark.libvirt]
SETTINGS = "[DEFAULT]\nreport_interval = 1\n[jobs]\npoll = 0.2\nattempts = 1\ngrace = 2\n"


@pytest.fixture
def host():
    host = Host("nobody")
    yield host
    host.stop()


@pytest.fixture
def open_dir():
    """A directory that every user may pass through."""
    with tempfile.TemporaryDirectory(prefix="kq-", dir="/tmp") as path:
        Path(path).chmod(0o711)
        yield Path(path)


def test_a_guest_is_protected_and_restored(host, open_dir):
    machine = Guest(host, open_dir, {"vda": QCOW2, "vdb": BASED, "vdc": RAW})
    for path in machine.paths.values():
        Path(path).chmod(0o600)
    machine.start()
    owner = subprocess.run(
        ["ps", "-o", "user=", "-p", str(host.qemu(machine.name))], capture_output=True, text=True, check=True
    )
    assert owner.stdout.strip() == "nobody"
    machine.write("vda", 0, 2 * MIB, 7)
    with Embedded(open_dir / "karbor", libvirt_uri=host.uri, settings=SETTINGS) as service:
        resource = {"id": machine.id, "type": "Libvirt::Domain", "name": machine.name}
        provider = service.rest.provider("Libvirt::Domain")
        plan = service.rest.plan(provider, [resource])
        assert service.rest.protect(plan)["mode"] == "full"
        machine.write("vda", 4 * MIB, MIB, 9)
        second = service.rest.protect(plan)
        assert second["mode"] == "incremental"
        target = open_dir / "restored"
        target.mkdir()
        options = {"restore_name": f"{machine.name}-2", "directory": str(target), "start": True}
        restore = service.rest.restore(second, {"Libvirt::Domain": options})
        assert restore["status"] == "success", restore["resources_reason"]
        assert host.qemu(f"{machine.name}-2")
    again = host.connection().lookupByName(f"{machine.name}-2")
    again.destroy()
    again.undefine()
    machine.remove()
