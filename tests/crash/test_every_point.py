# SPDX-License-Identifier: Apache-2.0
"""Does every operation end right when its worker is killed with -9 at any of its fault points, once or twice in a row?

The points come from a recorded run of each operation, so a new step, write or turn is among them by itself. By default
a share, evenly spread; KARBOR_CRASH_POINTS=all takes every one (about 20 minutes), KARBOR_CRASH_POINTS=N takes N
of each operation.
"""

import hashlib
import json
import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from karbor.model.operation import OPERATIONS
from tests.support.crashhouse import _content

SHARE = os.environ.get("KARBOR_CRASH_POINTS", "4")
#: operation -> states the things it works on end in
ENDS = {"protect": "available", "restore": "available", "verify": "available", "copy": "available", "delete": "deleted"}
PACK = 3 << 19

pytestmark = pytest.mark.timeout(7200 if SHARE == "all" else 600)


class Lab:
    """A process that does cases; see tests.support.crashhouse."""

    def __init__(self):
        arguments = [sys.executable, "-W", "ignore", "-m", "tests.support.crashhouse"]
        self._process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def do(self, what, **case):
        self._process.stdin.write(json.dumps({"do": what, **case}) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        found = json.loads(answer)
        assert "failed" not in found, (what, case)
        return found

    def close(self):
        self._process.stdin.close()
        self._process.wait(60)
        self._process.stdout.close()


class Site:
    """A clone of the prepared site, and one operation on it."""

    def __init__(self, lab, template, operation):
        self._lab = lab
        kept, self.root, self.first = template
        self.operation, first = operation, self.first
        target = str(uuid.uuid4()) if operation in ("protect", "copy") else first
        ids = {"job": str(uuid.uuid4()), "checkpoint": target, "row": str(uuid.uuid4()), "source": first}
        self.case = {"root": str(self.root), "operation": operation, **ids}
        lab.do("clone", **{"from": str(kept), "root": str(self.root)})

    def run(self, at=None):
        """Run the job; ``at`` is the point (name, number) to die at."""
        return self._lab.do("run", **self.case, at=at)

    def look(self):
        return self._lab.do("look", root=str(self.root), checkpoints=sorted({self.first, self.case["checkpoint"]}))

    def stored(self):
        """Bytes of packs in both banks."""
        return sum(path.stat().st_size for path in self.root.glob("bank-*/**/pack/*/*"))


@pytest.fixture(scope="module")
def lab():
    lab = Lab()
    yield lab
    lab.close()


@pytest.fixture(scope="module")
def template(lab, tmp_path_factory):
    """A site with one checkpoint, made once: (where it is kept, where it must lie to be used, the checkpoint's id)."""
    top = tmp_path_factory.mktemp("site")
    root, first = top / "site", str(uuid.uuid4())
    root.mkdir()
    lab.do("prepare", root=str(root), first=first)
    root.rename(top / "kept")
    return top / "kept", root, first


def _points(reached):
    """[(name, number)] in the order they were reached; the number tells equal names apart."""
    return [(name, reached[: place + 1].count(name)) for place, name in enumerate(reached)]


def _share(points):
    if SHARE == "all" or len(points) <= int(SHARE):
        return points
    count = int(SHARE)
    return [points[(2 * number + 1) * len(points) // (2 * count)] for number in range(count)]


def _hash(number):
    return hashlib.sha256(_content(number)).hexdigest()


OLD, NEW = {"one": _hash(1), "two": _hash(2)}, {"one": _hash(3), "two": _hash(2)}


def _check(site, reference):
    """What must be true at the end, whatever happened before."""
    operation, target, found = site.operation, site.case["checkpoint"], site.look()
    assert found["checkpoints"][target] == ENDS[operation]
    assert set(found["jobs"]) == {"done"} and "None" not in found["logs"]
    assert found["outside"] == [] and found["flows"] == 0
    if operation == "delete":
        assert found["content"] == {}
    else:
        assert found["content"][site.first] == OLD
        assert found["content"][target] == (NEW if operation == "protect" else OLD)
    restored = {f"{name}.restored": text for name, text in OLD.items()} if operation == "restore" else {}
    assert found["restored"] == restored
    assert len(found["files"]) == 2 + len(restored), "something half-made is left"
    assert site.stored() <= reference + 2 * PACK + (1 << 20), "finished uploads were made again"


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_worker_killed_at_any_point_is_gone_on_after(lab, template, operation):
    whole = Site(lab, template, operation)
    recorded = whole.run()
    assert recorded["state"] == "done"
    stored = whole.stored()
    _check(whole, stored)
    points = _points(recorded["reached"])
    assert len(points) > 5
    for number, point in enumerate(_share(points)):
        site = Site(lab, template, operation)
        died = site.run(at=point)
        assert died.get("died") or point not in _points(died["reached"]), point
        if number % 2:  # the second one dies as well, at the same place or at the first that is left
            again = site.run(at=point)
            assert again.get("died") or again["state"] == "done", point
        ended = site.run()
        assert ended["state"] == "done", (point, ended)
        _check(site, stored)
    print(f"{operation}: {len(_share(points))} of {len(points)} points")


def test_the_points_name_every_step_and_every_write(lab, template):
    reached = Site(lab, template, "protect").run()["reached"]
    for phase in ("prepare_begin", "prepare_finish", "protect", "complete", "committed"):
        assert f"step:protect.{phase}@Sample::File:before" in reached
        assert f"step:protect.{phase}@Sample::File:after" in reached
    for point in ("step:protect.read_back:after", "step:protect.commit:before", "job:protect.end:after"):
        assert point in reached
    for kind in ("pack", "index", "stream", "record-checkpoint"):
        assert f"bank:put-{kind}:before" in reached and f"bank:put-{kind}:after" in reached


def test_the_samples_of_this_test_are_what_it_says(template):
    files = Path(template[0]) / "files"
    assert {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files.iterdir()} == NEW
