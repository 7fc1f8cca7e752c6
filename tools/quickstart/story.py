# SPDX-License-Identifier: Apache-2.0
"""In which order does the quickstart do what, and what must be true at its end?

Full, change 5 %, incremental, change while the backup runs, third point; destroy; restore the second and the third
point as new guests; every file's hash inside them must be what it was at that point.
"""

import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tools.lab import guest as lab_guest
from tools.lab.guest import Guest, Machine
from tools.quickstart import disks, files, show
from tools.quickstart.client import Client

DOMAIN = "Libvirt::Domain"
NAME = "karbor-quickstart"
OPERATION_SECONDS = 600


class StoryError(Exception):
    """What was not as it should be, in one sentence."""


@dataclass
class Point:
    """One checkpoint: what the service says of it, and what the guest held."""

    checkpoint: dict[str, Any]
    hashes: dict[str, str]
    seconds: float
    verified: bool = False
    differences: list[str] = field(default_factory=list)

    @property
    def id(self) -> str:
        return str(self.checkpoint["id"])


class Story:
    """The parts of the story; each may be read by itself."""

    def __init__(self, *, directory: Path, client: Client, connection: Any, domain_type: str) -> None:
        self.directory = directory
        self.client = client
        self.connection = connection
        self.domain_type = domain_type
        self.provider_id = ""
        self.plan_id = ""
        self.points: list[Point] = []

    def tell(self) -> None:
        """All of it. Raises StoryError, GuestError or RestError."""
        self.clean()
        self.provider_id = self._provider()
        guest = self._boot()
        self._protect_three_times(guest)
        self._destroy(guest)
        for number in (2, 3):
            self._restore(number)

    def clean(self) -> None:
        """Remove the guests that this or an earlier run made, with their disks."""
        for name in (NAME, *(_restored_name(number) for number in (2, 3))):
            found = lab_guest.find(self.connection, name)
            if found is not None:
                found.destroy()
                found.undefine()
        shutil.rmtree(self.directory / "disks", ignore_errors=True)
        shutil.rmtree(self.directory / "restored", ignore_errors=True)

    def report(self) -> None:
        """The table."""
        head = ("checkpoint", "mode", "consistency", "disk", "read", "stored", "seconds", "verified")
        rows = [head]
        for point in self.points:
            sizes = point.checkpoint.get("sizes") or {}
            bytes_ = [show.size(int(sizes.get(key) or 0)) for key in ("logical", "read", "stored")]
            mode, consistency = (str(point.checkpoint.get(key)) for key in ("mode", "consistency"))
            verified = "yes" if point.verified else "no"
            rows.append((point.id, mode, consistency, *bytes_, f"{point.seconds:.1f}", verified))
        show.table(rows)

    def verdict(self) -> str:
        """The last line. Raises StoryError where a file differs."""
        proven = [point for point in self.points if point.verified]
        count = sum(len(point.hashes) for point in proven)
        wrong = [line for point in self.points for line in point.differences]
        if wrong or len(proven) != 2:
            raise StoryError(f"{len(wrong)} differences after the restore, the first: {wrong[0] if wrong else 'none'}")
        return f"restored and verified: {len(proven)} checkpoints, {count} files, 0 differences"

    def plan_for_the_restored(self) -> str:
        """A plan for the guest that was restored last, so that a person can go on from here; its id."""
        restored = lab_guest.find(self.connection, _restored_name(3))
        if restored is None:
            raise StoryError("the restored guest is gone")
        return self._plan(restored)

    def _plan(self, guest: Guest) -> str:
        resource = {"id": guest.id, "type": DOMAIN, "name": guest.name}
        plan = {"name": guest.name, "provider_id": self.provider_id, "resources": [resource], "parameters": {}}
        return str(self.client.post("/plans", {"plan": plan})["plan"]["id"])

    def _provider(self) -> str:
        providers = self.client.get("/providers")["providers"]
        for provider in providers:  # the noop provider takes guests too, but has no options for them
            schemas = (provider.get("extended_info_schema") or {}).get("options_schema") or {}
            if (schemas.get(DOMAIN) or {}).get("properties"):
                return str(provider["id"])
        raise StoryError("the service has no provider for libvirt guests; see its log")

    def _boot(self) -> Guest:
        show.step("booting a guest with three disks: qcow2 on a base image, qcow2, raw")
        images = disks.make(self.directory / "disks")
        machine = Machine(NAME, str(self.directory / "guest"), images, domain_type=self.domain_type)
        guest = lab_guest.define(self.connection, machine)
        guest.start()
        guest.wait_ready()
        show.step("writing known files in the guest")
        files.write(guest)
        self.plan_id = self._plan(guest)
        return guest

    def _protect_three_times(self, guest: Guest) -> None:
        show.step("protecting the running guest, for the first time")
        self._protect(guest)
        show.step("changing 5 % of the files and protecting again")
        files.change(guest, 1)
        self._protect(guest)
        show.step("changing files again, and going on to change them while the third backup runs")
        files.change(guest, 2)
        self._protect(guest, change_meanwhile=True)

    def _protect(self, guest: Guest, *, change_meanwhile: bool = False) -> None:
        """Make one checkpoint. With ``change_meanwhile``, a writer runs all the time, and known files change as soon as
        the service has begun to read; the checkpoint must hold them as they were before."""
        hashes = files.hashes(guest)
        if change_meanwhile:
            files.begin_busy(guest)
        before = time.monotonic()
        path = f"/providers/{self.provider_id}/checkpoints"
        made = self.client.post(path, {"checkpoint": {"plan_id": self.plan_id}})["checkpoint"]
        path += f"/{made['id']}"
        if change_meanwhile:
            self._wait(path, "checkpoint", done=_is_reading)
            files.change(guest, 3)
        made = self._wait(path, "checkpoint", done=_is_settled)
        seconds = time.monotonic() - before
        if change_meanwhile:
            files.end_busy(guest)
        if made["status"] != "available":
            raise StoryError(f"the checkpoint is {made['status']}: {_reason(made)}")
        self.points.append(Point(made, hashes, seconds))
        sizes = made.get("sizes") or {}
        read, stored = (show.size(int(sizes.get(key) or 0)) for key in ("read", "stored"))
        show.note(f"{made.get('mode')}, {made.get('consistency')} consistent: read {read}, stored {stored}, "
                  f"{seconds:.1f} s, {len(hashes)} files recorded")  # fmt: skip

    def _destroy(self, guest: Guest) -> None:
        show.step("destroying the guest and deleting its disks and its base image")
        guest.destroy()
        guest.undefine()
        shutil.rmtree(self.directory / "disks")

    def _restore(self, number: int) -> None:
        point, name = self.points[number - 1], _restored_name(number)
        show.step(f"restoring checkpoint {number} as the new guest {name}")
        target = self.directory / "restored" / name
        target.mkdir(parents=True)
        parameters = {"restore_name": name, "directory": str(target), "start": True}
        body = {
            "provider_id": self.provider_id,
            "checkpoint_id": point.id,
            "parameters": {DOMAIN: parameters},
            "restore_target": None,
            "restore_auth": None,
        }
        before = time.monotonic()
        made = self.client.post("/restores", {"restore": body})["restore"]
        made = self._wait(f"/restores/{made['id']}", "restore", done=_is_settled)
        if made["status"] != "success":
            raise StoryError(f"the restore of checkpoint {number} failed: {_reason(made)}")
        show.note(f"restored in {time.monotonic() - before:.1f} s")
        guest = lab_guest.find(self.connection, name)
        if guest is None:
            raise StoryError(f"the restore ended with success, but there is no guest {name}")
        guest.start()
        guest.wait_ready()
        found = files.hashes(guest)
        point.differences = files.differences(point.hashes, found)
        point.verified = not point.differences
        show.note(f"booted; {len(found)} files compared, {len(point.differences)} differences")
        if number == 2:  # the newest point stays for --keep; two guests at a time would only slow each other
            guest.destroy()

    def _wait(self, path: str, noun: str, *, done: Any) -> dict[str, Any]:
        """Poll until ``done``, showing progress. Raises StoryError after ten minutes."""
        meter, deadline = show.Meter(), time.monotonic() + OPERATION_SECONDS
        while True:
            found: dict[str, Any] = self.client.get(path)[noun]
            if done(found):
                meter.end()
                return found
            if time.monotonic() > deadline:
                raise StoryError(f"the {noun} is {found['status']} after {OPERATION_SECONDS} s")
            meter.show(found["status"], found.get("progress") or {})
            time.sleep(0.2)


def _restored_name(number: int) -> str:
    return f"{NAME}-restored-{number}"


def _is_settled(found: dict[str, Any]) -> bool:
    return found["status"] not in ("protecting", "in_progress")


def _is_reading(found: dict[str, Any]) -> bool:
    """The view of the disks is frozen once bytes have been read."""
    return _is_settled(found) or bool((found.get("progress") or {}).get("bytes_done"))


def _reason(found: dict[str, Any]) -> str:
    reason = found.get("reason") or found.get("resources_reason") or "no reason was given"
    if isinstance(reason, dict) and "cause" in reason:
        text = f"{reason.get('resource')} in {reason.get('step')}: {reason['cause']}"
        return f"{text}; {reason['next_action']}" if reason.get("next_action") else text
    if isinstance(reason, dict):
        return "; ".join(f"{key}: {value}" for key, value in reason.items())
    return str(reason)
