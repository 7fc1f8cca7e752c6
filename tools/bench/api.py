#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What does a request cost, and does it stay so when the tables grow?

    tools/bench/api.py DIR [--plans 100000] [--checkpoints 1000 1000000] [--requests 200]
                           [--server mariadb | --server postgresql | --database URL]

Fills a database below DIR (SQLite; or a server started for this; or an empty database at URL) with rows in bulk, serves
it by karbor-api in a process of its own (cheroot, noauth, responses not validated, as in production), and asks as one
client over one connection. For each line it prints

    p50 p99     latency at this one client, in ms
    CPU         CPU ms of a request, of the service and of the database server together (from /proc)
    trivial     CPU ms of a pecan controller behind the same layers that only serialises the same page
    ratio       the one over the other
    dumps       CPU ms of json.dumps of the page alone

The table at the end is divided by a fixed loop, so that figures of different machines can be compared.
"""

import argparse
import http.client
import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from karbor.common.clock import Clock
from karbor.db.database import Database
from tests.support import servers
from tools.bench import api_rows

PROJECT = api_rows.PROJECT
BASE = f"/v1/{PROJECT}"
PLAN = {
    "name": "web shop",
    "provider_id": api_rows.PROVIDER,
    "resources": [{"id": api_rows.SERVER, "type": "OS::Nova::Server", "name": "web1"}],
    "parameters": {},
}


@dataclass(frozen=True)
class Cost:
    """Of one request: milliseconds."""

    p50: float
    p99: float
    cpu: float
    body: bytes


class Service:
    """A process that serves, asked over one connection. ``tree`` is the pids whose CPU counts with it."""

    def __init__(self, arguments: list[str], tree: Callable[[], set[int]]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tools.bench.api_server", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).resolve().parents[2],
        )
        assert self.process.stdout is not None
        port = self.process.stdout.readline().strip()
        if not port:
            sys.exit("the service did not start")
        self._connection = http.client.HTTPConnection("127.0.0.1", int(port))
        self._tree = tree

    def ask(self, path: str, body: Any = None) -> bytes:
        """The body of an answer, which must be good."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        self._connection.request("GET" if body is None else "POST", path, body=data, headers=headers)
        answer = self._connection.getresponse()
        found = answer.read()
        if answer.status >= 300:
            sys.exit(f"{path}: {answer.status} {found[:300]!r}")
        return found

    def cost(self, path: str, requests: int, body: Any = None) -> Cost:
        """What a request costs: the middle and the worst of many, after some that warm up."""
        for _ in range(10):
            found = self.ask(path, body)
        taken = []
        before = self._cpu()
        for _ in range(requests):
            began = time.perf_counter()
            found = self.ask(path, body)
            taken.append(time.perf_counter() - began)
        cpu = (self._cpu() - before) / requests
        taken.sort()
        return Cost(taken[len(taken) // 2] * 1e3, taken[int(len(taken) * 0.99)] * 1e3, cpu, found)

    def _cpu(self) -> float:
        """CPU ms of the service and what works for it, so far."""
        return sum(_cpu_of(pid) for pid in {self.process.pid} | self._tree())

    def stop(self) -> None:
        self._connection.close()
        self.process.terminate()
        self.process.wait(30)


def _cpu_of(pid: int) -> float:
    """CPU ms of a process, all its threads; nanoseconds in schedstat."""
    total = 0
    for task in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        try:
            total += int(task.read_text().split()[0])
        except OSError:
            continue  # the thread has ended
    return total / 1e6


def descendants(pid: int) -> set[int]:
    """The processes below ``pid``, except for this benchmark's own services."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            parents.setdefault(int(fields[1]), []).append(int(entry.name))
    found: set[int] = set()
    todo = [pid]
    while todo:
        below = parents.get(todo.pop(), [])
        found.update(below)
        todo += below
    return found


@contextmanager
def database_server(given: argparse.Namespace) -> Iterator[tuple[str, Callable[[], set[int]]]]:
    """The URL of an empty database and the pids that work for it."""
    if given.database:
        yield given.database, set
        return
    if not given.server:
        path = given.directory / "api-bench.sqlite"
        path.unlink(missing_ok=True)
        yield f"sqlite:///{path}", set
        return
    with getattr(servers, given.server)() as url:
        yield url, lambda: {pid for pid in descendants(os.getpid()) if _is_server(pid)}


def _is_server(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip() in ("mariadbd", "postgres")
    except OSError:
        return False


def own_loop() -> float:
    """Seconds of a fixed piece of work, the best of three: what this machine can do just now."""
    best = float("inf")
    for _ in range(3):
        began = time.process_time()
        total = 0
        for number in range(2_000_000):
            total += number * number % 7
        best = min(best, time.process_time() - began)
    return best


def dumps(body: bytes) -> float:
    """CPU ms of writing a page as JSON, the best of many."""
    value = json.loads(body)
    best = float("inf")
    for _ in range(30):
        began = time.process_time()
        json.dumps(value, separators=(",", ":"))
        best = min(best, time.process_time() - began)
    return best * 1e3


class Report:
    """Asks both services and prints a line for each question."""

    def __init__(self, directory: Path, real: Service, trivial: Service, requests: int) -> None:
        self._pages = directory / "pages"
        shutil.rmtree(self._pages, ignore_errors=True)
        self._pages.mkdir()
        self._real = real
        self._trivial = trivial
        self._requests = requests
        print(f"{'':<44}{'p50':>7}{'p99':>7}{'CPU':>8}{'trivial':>9}{'ratio':>7}{'dumps':>8}{'bytes':>9}", flush=True)

    def line(self, label: str, path: str, body: Any = None, requests: int | None = None) -> Cost:
        """One line. The page that was answered is what the trivial controller serialises."""
        requests = requests or self._requests
        cost = self._real.cost(BASE + path, requests, body)
        name = str(len(list(self._pages.iterdir())))
        (self._pages / name).write_bytes(cost.body)
        plain = self._trivial.cost(f"{BASE}/{name}", requests)
        print(
            f"{label:<44}{cost.p50:>7.2f}{cost.p99:>7.2f}{cost.cpu:>8.2f}{plain.cpu:>9.2f}{cost.cpu / plain.cpu:>7.2f}"
            f"{dumps(cost.body):>8.2f}{len(cost.body):>9}",
            flush=True,
        )
        return cost


def checkpoint_lists() -> dict[str, str]:
    """What lists of checkpoints are asked for: label to path."""
    plan, provider = api_rows.plan_id(7), f"/providers/{api_rows.PROVIDER}/checkpoints?limit=100"
    return {
        "newest": provider,
        "by plan": f"{provider}&plan_id={plan}",
        "by date (a day)": f"{provider}&start_date=2025-06-01&end_date=2025-06-01",
        "by date (since a year ago)": f"{provider}&start_date=2025-01-01",
        "by date (before everything)": f"{provider}&end_date=1999-01-01",
        "by status, common": f"{provider}&status=available",
        "by status, rare": f"{provider}&status=error",
        "by status, none": f"{provider}&status=deleting",
        "by plan and status": f"{provider}&plan_id={plan}&status=error",
        "by plan and date": f"{provider}&plan_id={plan}&start_date=2025-06-01",
        "sorted by status": f"{provider}&sort=status:asc",
        "sorted by id": f"{provider}&sort=id:asc",
    }


def measure(given: argparse.Namespace, url: str, tree: Callable[[], set[int]]) -> None:
    """Everything, in the order of the issue: plans, checkpoints at each size, and the table of CPU."""
    database = Database(url, clock=Clock())
    database.upgrade()
    loop = own_loop()
    rows = api_rows.Rows(database, random.Random(1))
    rows.provider()
    with ExitStack() as stack:
        real = Service([url, str(given.directory / "pages")], tree)
        stack.callback(real.stop)
        trivial = Service([url, str(given.directory / "pages"), "--trivial"], set)
        stack.callback(trivial.stop)
        report = Report(given.directory, real, trivial, given.requests)
        rows.plans(given.plans)
        found = {
            "GET one plan": report.line(f"one plan of {given.plans}", f"/plans/{api_rows.plan_id(7)}"),
            "list of 10 plans": report.line(f"10 plans of {given.plans}", "/plans?limit=10"),
            "list of 100 plans": report.line(f"100 plans of {given.plans}", "/plans?limit=100"),
            "list of 1000 plans": report.line(f"1000 plans of {given.plans}", "/plans?limit=1000", requests=30),
            "POST plan": report.line("POST plan", "/plans", {"plan": PLAN}),
        }
        for number in given.checkpoints:
            rows.checkpoints(number)
            report.line(f"one checkpoint of {number}", f"/providers/{api_rows.PROVIDER}/checkpoints/{rows.some}")
            for label, path in checkpoint_lists().items():
                report.line(f"100 of {number} checkpoints {label}", path)
    print(f"\nfixed loop: {loop:.3f} s of CPU")
    old = {"GET one plan": 12, "list of 10 plans": 14, "POST plan": 31, "list of 1000 plans": 600}
    print(f"{'CPU ms of a request':<24}{'here':>8}{'at a loop of 0.20 s':>22}{'old service':>14}{'part':>8}")
    for name, before in old.items():
        here = found[name].cpu
        print(f"{name:<24}{here:>8.2f}{here * 0.2 / loop:>22.2f}{before:>14}{here / before:>8.1%}")
    database.dispose()


def main() -> None:
    """See the module text."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--plans", type=int, default=100_000)
    parser.add_argument("--checkpoints", type=int, nargs="*", default=[1000, 1_000_000], help="growing numbers")
    parser.add_argument("--requests", type=int, default=200, help="for each line")
    parser.add_argument("--server", choices=["mariadb", "postgresql"], help="start one, and use it")
    parser.add_argument("--database", help="URL of an empty database")
    given = parser.parse_args()
    given.directory = given.directory.resolve()
    given.directory.mkdir(parents=True, exist_ok=True)
    with database_server(given) as (url, tree):
        measure(given, url, tree)


if __name__ == "__main__":
    main()
