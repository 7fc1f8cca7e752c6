#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What does a plan of many resources cost, whatever its shape?

    tools/bench/plans.py [--resources 1 100 1000] [--shapes flat chain tree star diamond] [--kill]

For each shape and size, in a process of its own: a real worker, job table and flow store (SQLite), a directory bank and
the noop protection make one checkpoint. Shapes: ``flat`` (no edges), ``chain`` (each below the one before), ``tree``
(two below each), ``star`` (all below one), ``diamond`` (40 layers; everything of a layer above everything of the next).
Prints CPU seconds (all threads), CPU milliseconds for each resource, steps of the flow, seconds of the clock and the
peak resident set (VmHWM).

With ``--kill``, also: a worker in another process is killed with -9 in the middle, and a second one goes on; prints the
seconds from the kill to the takeover and to the end, and the CPU seconds of the second worker.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from karbor.common.clock import Clock
from karbor.db.database import Database
from karbor.model.checkpoint import Checkpoint
from karbor.model.operation import Job, OperationLog
from karbor.model.provider import ProviderInfo
from karbor.model.resource import Resource
from karbor.plugins.banks.filesystem import FilesystemBank
from karbor.plugins.resources.noop import NoopProtection
from karbor.protection.attempt import JobSettings
from karbor.protection.operation import Parts
from karbor.protection.protectables import ProtectableRegistry
from karbor.protection.providers import Provider
from karbor.protection.worker import Worker
from karbor.sdk.environment import Environment
from karbor.sdk.options import Options
from karbor.sdk.protectable import Protectable
from karbor.sdk.protection import Protected, Work
from karbor.vault.keys import MasterKey
from karbor.vault.vault import Vault

PROJECT, PROVIDER = "a" * 32, "22222222-2222-4222-8222-222222222222"
TYPE = "OS::Nova::Server"
LAYERS = 40
SHAPES = ("flat", "chain", "tree", "star", "diamond")
ENDED = ("available", "error")


def edges(shape: str, count: int) -> dict[int, list[int]]:
    """Number of a resource -> numbers of those below it."""
    if shape == "chain":
        return {place: [place + 1] for place in range(count - 1)}
    if shape == "tree":
        return {place: [below for below in (2 * place + 1, 2 * place + 2) if below < count] for place in range(count)}
    if shape == "star":
        return {0: list(range(1, count))}
    if shape == "diamond":
        width = max(1, count // LAYERS)
        layers = [list(range(at, min(at + width, count))) for at in range(0, count, width)]
        return {upper: below for above, below in zip(layers, layers[1:], strict=False) for upper in above}
    return {}


class ShapedProtectable(Protectable):
    """Resources that lie below each other as ``shape`` says."""

    resource_type = TYPE
    parent_types = (TYPE,)

    def __init__(self, shape: str, count: int, environment: Environment) -> None:
        super().__init__(Options(), environment)
        self._below = edges(shape, count)
        self._count = count

    def roots(self) -> list[Resource]:
        """Those that are below no other."""
        inner = {below for children in self._below.values() for below in children}
        return [resource(place) for place in range(self._count) if place not in inner]

    def list(
        self, project_id: str, *, after: str = "", limit: int = 1000, parameters: Mapping[str, Any] | None = None
    ) -> Sequence[Resource]:
        return [found for found in map(resource, range(self._count)) if found.id > after][:limit]

    def get(self, project_id: str, resource_id: str, *, parameters: Mapping[str, Any] | None = None) -> Resource:
        return resource(int(resource_id[-12:]))

    def children(self, project_id: str, parents: Sequence[Resource]) -> Mapping[str, Sequence[Resource]]:
        return {parent.id: [resource(n) for n in self._below.get(int(parent.id[-12:]), ())] for parent in parents}


def resource(place: int) -> Resource:
    """The resource with that number."""
    return Resource(TYPE, f"00000000-0000-4000-8000-{place:012d}", f"server-{place}")


class SlowNoop(NoopProtection):
    """The noop protection, slow enough to be killed in the middle."""

    def protect(self, work: Work) -> Protected:
        """Save nothing, in 5 ms."""
        time.sleep(0.005)
        return Protected()


class _OneProvider:
    ids = (PROVIDER,)

    def __init__(self, provider: Provider) -> None:
        self._provider = provider

    def get(self, _provider_id: str) -> Provider:
        return self._provider


class Case:
    """One worker over a directory."""

    def __init__(self, root: Path, shape: str, count: int, *, slow: bool, lease: float) -> None:
        clock = Clock()
        environment = Environment(host="here", state_dir=str(root))
        self.protectable = ShapedProtectable(shape, count, environment)
        bank = FilesystemBank(FilesystemBank.Settings(file_system_bank_path=str(root / "bank")))
        (root / "bank").mkdir(exist_ok=True)
        bank.initialise()
        self._vault = Vault(bank, master_key=MasterKey(b"k" * 32), cache_dir=root / "cache", clock=clock)
        plugin = (SlowNoop if slow else NoopProtection)(Options(), environment)
        provider = Provider(
            ProviderInfo(PROVIDER, "bench"), bank, {TYPE: plugin}, {TYPE: "noop"}, open_vault=lambda _bank: self._vault
        )
        self.database = Database(f"sqlite:///{root}/karbor.sqlite", clock=clock)
        self.database.upgrade()
        parts = Parts(self.database, _OneProvider(provider), ProtectableRegistry([self.protectable]), clock)  # type: ignore[arg-type]
        settings = JobSettings(lease=lease, poll=0.2, retry_delay=0)
        owner = f"bench:{os.getpid()}"
        self.worker = Worker(parts, ThreadPoolExecutor(2), settings, owner=owner, host="here")

    def ask(self) -> str:
        """Write the rows of one protect; returns the checkpoint's id."""
        roots = [found.to_dict() for found in self.protectable.roots()]
        checkpoint_id, job_id = str(uuid.uuid4()), str(uuid.uuid4())
        plan = {"id": str(uuid.uuid4()), "name": "p", "provider_id": PROVIDER, "resources": roots, "parameters": {}}
        with self.database.write() as rows:
            rows.checkpoints.create(Checkpoint(checkpoint_id, PROJECT, PROVIDER, plan["id"], plan))
            rows.operation_logs.create(OperationLog(job_id, PROJECT, "protect"))
            rows.jobs.create(Job(job_id, "protect", PROJECT, PROVIDER, checkpoint_id=checkpoint_id))
        return checkpoint_id

    def wait(self, checkpoint_id: str, seconds: float = 1800) -> None:
        """Until the checkpoint has ended."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            with self.database.read() as rows:
                found = rows.checkpoints.get(checkpoint_id)
                if found.status in ENDED and not rows.jobs.live_for(checkpoint_id=checkpoint_id):
                    if found.status != "available":
                        raise SystemExit(f"the checkpoint failed: {found.reason}")
                    return
            threading.Event().wait(0.2)
        raise SystemExit("the checkpoint did not end")

    def steps(self) -> int:
        """How many steps a flow of this graph has."""
        from karbor.protection import flows

        parts = ProtectableRegistry([self.protectable])
        graph = parts.graph(PROJECT, self.protectable.roots())
        plugin = NoopProtection(Options(), self.protectable.environment)
        return len(flows.protect_steps(graph, lambda _key, phase: plugin.has(phase)))


def peak_mib() -> float:
    """The peak resident set of this process, MiB."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def run_case(root: Path, shape: str, count: int) -> dict[str, Any]:
    """One checkpoint in this process."""
    case = Case(root, shape, count, slow=False, lease=20)
    steps = case.steps()
    before = time.process_time(), time.monotonic()
    checkpoint_id = case.ask()
    case.worker.start()
    case.worker.wake()
    case.wait(checkpoint_id)
    cpu, wall = time.process_time() - before[0], time.monotonic() - before[1]
    case.worker.stop(5)
    return {"cpu": cpu, "wall": wall, "rss": peak_mib(), "steps": steps}


def run_victim(root: Path, shape: str, count: int) -> None:
    """A worker that says when it is in the middle, and waits to be killed."""
    case = Case(root, shape, count, slow=True, lease=5)
    checkpoint_id = case.ask()
    case.worker.start()
    case.worker.wake()
    while True:
        with case.database.read() as rows:
            job = rows.jobs.live_for(checkpoint_id=checkpoint_id)
            done = rows.connection.exec_driver_sql("SELECT count(*) FROM atomdetails WHERE state='SUCCESS'").scalar()
        if job and done and done >= count // 2:
            print(checkpoint_id, flush=True)
            threading.Event().wait()
        threading.Event().wait(0.02)


def run_takeover(root: Path, shape: str, count: int, checkpoint_id: str, killed: float) -> dict[str, Any]:
    """Go on with what the victim left."""
    case = Case(root, shape, count, slow=True, lease=5)
    before = time.process_time()
    case.worker.start()
    while True:
        with case.database.read() as rows:
            jobs = rows.jobs.live_for(checkpoint_id=checkpoint_id)
        if not jobs or jobs[0].fence > 1:
            break
        threading.Event().wait(0.05)
    taken = time.time()
    case.wait(checkpoint_id)
    ended = time.time()
    case.worker.stop(5)
    return {"takeover": taken - killed, "end": ended - killed, "cpu": time.process_time() - before, "rss": peak_mib()}


def _child(*arguments: object) -> list[str]:
    return [sys.executable, __file__, "--child", *map(str, arguments)]


def measure_kill(shape: str, count: int) -> dict[str, Any]:
    """Kill a worker with -9 in the middle and let another one go on."""
    with tempfile.TemporaryDirectory(prefix="bench-plans-") as root:
        with subprocess.Popen(_child("victim", root, shape, count), stdout=subprocess.PIPE, text=True) as victim:
            assert victim.stdout is not None
            checkpoint_id = victim.stdout.readline().strip()
            victim.send_signal(signal.SIGKILL)
        found = subprocess.check_output(_child("takeover", root, shape, count, checkpoint_id, time.time()), text=True)
    result: dict[str, Any] = json.loads(found)
    return result


def measure(shape: str, count: int) -> dict[str, Any]:
    """One case in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="bench-plans-") as root:
        result: dict[str, Any] = json.loads(subprocess.check_output(_child("case", root, shape, count), text=True))
    return result


def child(arguments: Sequence[str]) -> None:
    """The part of a child process."""
    what, root, shape, count = arguments[0], Path(arguments[1]), arguments[2], int(arguments[3])
    if what == "case":
        print(json.dumps(run_case(root, shape, count)))
    elif what == "victim":
        run_victim(root, shape, count)
    else:
        print(json.dumps(run_takeover(root, shape, count, arguments[4], float(arguments[5]))))


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--resources", type=int, nargs="+", default=[1, 100, 1000])
    parser.add_argument("--shapes", nargs="+", default=list(SHAPES), choices=SHAPES)
    parser.add_argument("--kill", action="store_true")
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        child(given.child)
        return 0
    print(f"{'shape':8} {'resources':>9} {'steps':>6} {'CPU s':>8} {'ms/res':>8} {'wall s':>8} {'RSS MiB':>8}")
    for shape in given.shapes:
        for count in given.resources:
            got = measure(shape, count)
            each = got["cpu"] * 1000 / count
            cost = f"{got['cpu']:8.2f} {each:8.1f} {got['wall']:8.2f} {got['rss']:8.1f}"
            print(f"{shape:8} {count:9} {got['steps']:6} {cost}", flush=True)
    if given.kill:
        print(f"\n{'resources':>9} {'takeover s':>11} {'end s':>8} {'CPU s':>8}   (lease 5 s)")
        for count in given.resources:
            got = measure_kill("flat", count)
            print(f"{count:9} {got['takeover']:11.2f} {got['end']:8.2f} {got['cpu']:8.2f}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
