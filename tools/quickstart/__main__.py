# SPDX-License-Identifier: Apache-2.0
"""Which parts does the quickstart put together, and how does it end? Run by tools/quickstart.sh."""

import argparse
import contextlib
import subprocess
import sys
import time
from pathlib import Path

import libvirt

from tools.lab import acceleration, libvirtd
from tools.lab import guest as lab_guest
from tools.quickstart import show
from tools.quickstart.client import Client, RestError
from tools.quickstart.service import Service, ServiceError
from tools.quickstart.story import DOMAIN, Story, StoryError

FAULTS = (
    StoryError, ServiceError, RestError, libvirtd.LabError, lab_guest.GuestError, libvirt.libvirtError, OSError,
    subprocess.SubprocessError,
)  # fmt: skip


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="quickstart.sh")
    parser.add_argument("--dir", type=Path, required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--no-kvm", action="store_true")
    parser.add_argument("--stop", action="store_true")
    given = parser.parse_args()
    directory = given.dir.resolve()
    service = Service(directory)
    if given.stop:
        return _stop(service, directory)
    begun = time.monotonic()
    try:
        verdict, story = _run(service, directory, given)
    except FAULTS as error:
        _stop(service, directory)
        print(f"quickstart failed: {error}\n(logs: {directory}/log, {directory}/karbor/karbor.log)", file=sys.stderr)
        return 1
    except BaseException:  # Ctrl-C and what nobody foresaw: leave nothing running
        _stop(service, directory)
        raise
    if given.keep:
        _next_commands(story, directory)
    else:
        _stop(service, directory)
    show.note(f"{time.monotonic() - begun:.0f} s in all; everything lies in {directory}")
    print(verdict)
    return 0


def _run(service: Service, directory: Path, given: argparse.Namespace) -> tuple[str, Story]:
    service.stop()  # what an earlier run with --keep left
    domain_type = acceleration.domain_type(directory / "guest", no_kvm=given.no_kvm)
    show.step(
        "guests run with KVM"
        if domain_type == "kvm"
        else "guests run with TCG: KVM does not work here, or is not wanted"
    )
    show.step("starting a libvirt of our own, and karbor-all-in-one")
    uri = libvirtd.start(directory / "libvirt")
    connection = lab_guest.connect(uri)
    client = Client(service.start(port=given.port, libvirt_uri=uri))
    show.note(f"the service answers at {client.base}")
    story = Story(directory=directory, client=client, connection=connection, domain_type=domain_type)
    try:
        story.tell()
        print()
        story.report()
        verdict = story.verdict()
    except BaseException:
        with contextlib.suppress(libvirt.libvirtError, OSError):  # the first reason is the one to tell
            story.clean()
        raise
    if not given.keep:
        story.clean()
    return verdict, story


def _stop(service: Service, directory: Path) -> int:
    service.stop()
    libvirtd.stop(directory / "libvirt")
    return 0


def _next_commands(story: Story, directory: Path) -> None:
    base, plan_id = story.client.base, story.plan_for_the_restored()
    checkpoints = f"{base}/providers/{story.provider_id}/checkpoints"
    script = directory / "source" / "tools" / "quickstart.sh"
    print(f"""
The service, its libvirt and the restored guests are still there. Try:

  curl -s {base}/protectables/{DOMAIN}/instances
  curl -s {checkpoints} -H 'Content-Type: application/json' -d '{{"checkpoint": {{"plan_id": "{plan_id}"}}}}'
  curl -s '{checkpoints}?plan_id={plan_id}'
  curl -s {base}/operation_logs
  tail -f {directory}/karbor/karbor.log
  {script} --stop --dir {directory}
""")


if __name__ == "__main__":
    sys.exit(main())
