# SPDX-License-Identifier: Apache-2.0
"""How does a crash test ask for runs, deaths and looks, and what must be true after every one of them?"""

import hashlib
import json
import os
import subprocess
import sys
import time
import uuid

from tests.support.crashhouse import content

SHARE = os.environ.get("KARBOR_CRASH_POINTS", "2")
#: operation -> states the things it works on end in
ENDS = {
    "protect": "available",
    "restore": "available",
    "verify": "available",
    "lock": "available",
    "copy": "available",
    "delete": "deleted",
}
PACK = 3 << 19


class Lab:
    """A process that does cases; see tests.support.crashhouse."""

    def __init__(self):
        arguments = [sys.executable, "-W", "ignore", "-m", "tests.support.crashhouse"]
        self._process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def begin(self, what, **case):
        """Let a case be done; ``end`` waits for its answer."""
        self._process.stdin.write(json.dumps({"do": what, **case}) + "\n")
        self._process.stdin.flush()

    def end(self):
        found = json.loads(self._process.stdout.readline())
        assert "failed" not in found, found
        return found

    def do(self, what, **case):
        self.begin(what, **case)
        return self.end()

    def close(self):
        self._process.stdin.close()
        self._process.wait(60)
        self._process.stdout.close()


class Site:
    """A clone of the prepared site, and one operation on it."""

    def __init__(self, lab, template, operation, **more):
        self._lab = lab
        kept, self.root, self.first = template
        self.operation, first = operation, self.first
        lab.do("clone", **{"from": str(kept), "root": str(self.root)})
        self._more = more
        self.target = str(uuid.uuid4()) if operation in ("protect", "copy") else first
        ids = {"job": str(uuid.uuid4()), "checkpoint": self.target, "row": str(uuid.uuid4()), "source": first}
        self.case = {"root": str(self.root), "operation": operation, **ids, **more}

    def again(self):
        """Another job of the same kind, on this site as it is now."""
        self.case |= {"job": str(uuid.uuid4()), "row": str(uuid.uuid4())}
        if self.operation in ("protect", "copy"):
            self.target = self.case["checkpoint"] = str(uuid.uuid4())

    def run(self, at=None, **more):
        """Run the job; ``at`` is the point (name, number) to die at."""
        return self._lab.do("run", **{**self.case, "at": at, **more})

    def begin(self, at, **more):
        """Run the job, and return when it is at the point, where it does what ``how`` says."""
        mark = self.root / "reached"
        mark.unlink(missing_ok=True)
        self._lab.begin("run", **{**self.case, "at": at, **more})
        wait(lambda: mark.exists() and mark.read_text(), f"{at} was not reached")
        return mark

    def end(self):
        return self._lab.end()

    def look(self):
        return self._lab.do("look", root=str(self.root), **self._more)

    def clean(self, **more):
        """A clean-up; what is left that nobody needs."""
        return self._lab.do("clean", root=str(self.root), **self._more, **more)

    def stored(self):
        """Bytes of packs in both banks."""
        return sum(path.stat().st_size for path in self.root.glob("bank-*/**/pack/*/*"))

    def put(self):
        """Bytes of packs that were put since the site was cloned, over and over or not."""
        notes = self.root / "packs-put"
        return sum(int(line.split()[1]) for line in notes.read_text().splitlines()) if notes.exists() else 0


def wait(holds, what, seconds=120):
    """Wait for a condition; fails with ``what`` at the deadline."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def make_template(lab, top, **more):
    """A site with one checkpoint, made once: (where it is kept, where it must lie to be used, the checkpoint's id)."""
    root, first = top / "site", str(uuid.uuid4())
    root.mkdir()
    lab.do("prepare", root=str(root), first=first, **more)
    (root / "packs-put").unlink()
    root.rename(top / "kept")
    return top / "kept", root, first


def numbered(reached):
    """[(name, number)] in the order they were reached; the number tells equal names apart."""
    return [(name, reached[: place + 1].count(name)) for place, name in enumerate(reached)]


def share(points, count=SHARE):
    """Some of the points, evenly spread, or all."""
    if count == "all" or len(points) <= int(count):
        return points
    count = int(count)
    return [points[(2 * number + 1) * len(points) // (2 * count)] for number in range(count)]


def _hash(number):
    return hashlib.sha256(content(number)).hexdigest()


OLD, NEW = {"one": _hash(1), "two": _hash(2)}, {"one": _hash(3), "two": _hash(2)}


def check(site, reference):
    """What must be true at the end, whatever happened before; ``reference`` is what the site stores after a run that
    nobody disturbed. Cleans the bank up."""
    operation, target, found = site.operation, site.target, site.look()
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
    assert site.clean()["orphans"] == []
    return found
