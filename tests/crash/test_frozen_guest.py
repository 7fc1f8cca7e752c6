# SPDX-License-Identifier: Apache-2.0
"""Is a guest thawed when the process that froze it is killed with -9 before it could?"""

import signal
import subprocess
import sys
import time

import pytest

from tests.support.cycle import Story
from tests.support.qemu_writer import Host
from tests.support.rest import PAUSE

pytestmark = [pytest.mark.libvirt, pytest.mark.system]
FREEZER = """
import sys, time
from pathlib import Path
from karbor.virt.libvirt_connection import Connection
from karbor.virt.libvirt_freeze import FreezePolicy, frozen

uri, domain_id, marker = sys.argv[1:]
connection = Connection(uri)
with frozen(connection.domain(domain_id), FreezePolicy("required", 60, uri, Path(marker))):
    print("frozen", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def host():
    host = Host()
    yield host
    host.stop()


def test_a_guest_is_thawed_when_its_freezer_is_killed(host, guest_dir, tmp_path):
    story = Story(host.uri, guest_dir, tmp_path / "disks")
    try:
        arguments = [sys.executable, "-c", FREEZER, host.uri, story.guest.id, str(tmp_path / "marker")]
        with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as freezer:
            assert freezer.stdout.readline() == "frozen\n"
            assert story.guest.agent("guest-fsfreeze-status") == "frozen"
            freezer.send_signal(signal.SIGKILL)
        deadline = time.monotonic() + 30  # half of what the freezer itself would have allowed
        while story.guest.agent("guest-fsfreeze-status") != "thawed":
            assert time.monotonic() < deadline
            PAUSE.wait(0.1)
        story.write("after", 1)
    finally:
        story.close()
