# SPDX-License-Identifier: Apache-2.0
"""How does a test run a worker that dies at a named point, and another one that goes on?

    python -m tests.support.crashhouse        reads one case (JSON) a line from standard input, answers one line each

A case is done by children of this process, forked after everything is imported: that makes a death cost no start-up.
``prepare`` makes the rows and data a case begins with; ``run`` does a job to its end or to its death; ``look`` tells
what is there; ``clean`` does what ``karbor-manage bank clean`` does, much later, and tells what is left for nobody.
"""

import hashlib
import json
import os
import random
import shutil
import signal
import sys
import threading
import time
import traceback
import uuid
from dataclasses import replace
from pathlib import Path

import webob

from karbor.api.app import make_app
from karbor.common import faultpoints
from karbor.model import errors
from karbor.protection.cleaner import clean_bank
from karbor.vault.cleanup import Settings
from tests.samples.sample_file import TYPE
from tests.support.api import WorkersTwin, make_conf, provider_info
from tests.support.crashsite import HERE, PROJECT, THERE, House, ShiftedClock

LATE = 3 * 86400  # seconds after which nobody waits for anything


def prepare(case):
    """An empty site with two files and one available checkpoint of them; the files change afterwards."""
    root = Path(case["root"])
    size = case.get("size", 3 << 19)
    house = House(root, database_url=case.get("database"))
    for name, number in (("one", 1), ("two", 2)):
        (root / "files" / name).write_bytes(content(number))
    house.initialise()
    first = {"operation": "protect", "job": str(uuid.uuid4()), "checkpoint": case["first"]}
    house.ask(first)
    assert house.work(first["job"], 300) == "done"
    (root / "files" / "one").write_bytes(content(3, size))
    return {}


def content(number, size=3 << 19):
    """1.5 MiB, or ``size`` bytes, that cannot be compressed, the same for the same number."""
    return random.Random(number).randbytes(size)


class Trap:
    """Notes every fault point, and does at one of them what the case asks for: ``at`` is (name, number), or ("*", n)
    for the n-th point of all; ``how`` one of the methods that are words."""

    def __init__(self, case, house):
        self.reached = []
        self._case, self._house = case, house
        self._mark = house.root / "reached"
        self._lock = threading.Lock()

    def __call__(self, name):
        with self._lock:
            self.reached.append(name)
            places = [name, self.reached.count(name)], ["*", len(self.reached)]
        if self._case.get("at") in places:
            getattr(self, self._case.get("how", "kill"))()

    def kill(self):
        """kill -9."""
        self._mark.write_text(str(os.getpid()))
        os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(60)

    def stop(self):
        """SIGSTOP, until the mark is gone and somebody sends SIGCONT."""
        self._mark.write_text(str(os.getpid()))
        while self._mark.exists():
            os.kill(os.getpid(), signal.SIGSTOP)
            time.sleep(0.05)

    def pause(self):
        """Wait until the mark is gone: the test does something meanwhile."""
        self._mark.write_text(str(os.getpid()))
        while self._mark.exists():
            time.sleep(0.02)

    def jump(self):
        """The wall clock jumps by ``by`` seconds."""
        self._house.clock.shift += self._case["by"]

    def vanish(self):
        """The directory of the bank is gone, as when its file system is unmounted."""
        (self._house.root / "bank-here").rename(self._house.root / "bank-away")


def run(case):
    """Do the job of a case, up to its end or to the point where it dies. Answers what was reached, and how many claims
    on the job there were.

    ``bank``: what the bank of the first provider shall do: [[method of FaultyBank, {arguments}], ...].
    """
    house = House(case["root"], database_url=case.get("database"), clock=ShiftedClock(case.get("shift", 0)))
    house.ask(case)
    for what, arguments in case.get("bank", ()):
        given = {**arguments, "error": getattr(errors, arguments["error"])} if "error" in arguments else arguments
        getattr(house.banks["here"], what)(**given)
    trap = Trap(case, house)
    faultpoints.arm(trap)
    state = house.work(case["job"], case.get("seconds", 300))
    with house.database.read() as rows:
        return {"state": state, "reached": trap.reached, "fence": rows.jobs.get(case["job"]).fence}


def request(case):
    """A request to an API process of its own: ``method``, ``path`` below the project, ``body``, ``key``."""
    house = House(case["root"], database_url=case.get("database"))
    with house.database.write() as rows:
        for id_, name in ((HERE, "here"), (THERE, "there")):
            info = provider_info(id=id_, name=name, types=(TYPE,))
            rows.providers.put(replace(info, schemas={**info.schemas, "copy_schema": {TYPE: {"type": "object"}}}))
    app = make_app(make_conf(), database=house.database, protection=WorkersTwin(), clock=house.clock)
    asked = webob.Request.blank(f"/v1/{PROJECT}{case['path']}", method=case["method"])
    asked.headers["Idempotency-Key"] = case["key"]
    if case.get("body"):
        asked.body, asked.content_type = json.dumps(case["body"]).encode(), "application/json"
    faultpoints.arm(Trap(case, house))
    answer = asked.get_response(app)
    return {"status": answer.status_int, "body": answer.json_body if answer.body else None}


def go_on(case):
    """Do every job that waits. Answers how each ended."""
    house = House(case["root"], database_url=case.get("database"))
    with house.database.read() as rows:
        jobs = [job.id for job in rows.jobs.live_for()]
    return {"states": [house.work(job, 300) for job in jobs]}


def look(case):
    """What the world looks like now: statuses, what a restore of each available checkpoint gives, what is left over."""
    house = House(case["root"], database_url=case.get("database"))
    with house.database.read() as rows:
        ids = rows.connection.exec_driver_sql("SELECT id FROM checkpoints").scalars().all()
        found = {id_: rows.checkpoints.get(id_) for id_ in ids}
        logs = rows.connection.exec_driver_sql("SELECT status FROM operation_logs").scalars().all()
        jobs = rows.connection.exec_driver_sql("SELECT state FROM jobs").scalars().all()
        fences = rows.connection.exec_driver_sql("SELECT max(fence) FROM jobs").scalar()
        flows = rows.connection.exec_driver_sql("SELECT count(*) FROM atomdetails").scalar()
    return {
        "checkpoints": {id_: one.status for id_, one in found.items()},
        "reasons": {id_: one.reason.to_dict() for id_, one in found.items() if one.reason},
        "content": {id_: _hashes(house, id_) for id_, one in found.items() if one.status == "available"},
        "logs": sorted(map(str, logs)),
        "jobs": sorted(jobs),
        "fence": fences,
        "flows": flows,
        "outside": sorted(path.name for path in (house.root / "outside").iterdir()),
        "restored": {
            path.name: _hash(path.read_bytes()) for path in (house.root / "files").iterdir() if ".restored" in path.name
        },
        "files": sorted(path.name for path in (house.root / "files").iterdir() if not path.name.startswith(".tmp-")),
    }


def _hashes(house, checkpoint_id):
    """Hash of each file, read from the bank as a restore would."""
    with house.database.read() as rows:
        provider = rows.checkpoints.get(checkpoint_id).provider_id
    domain = house.get(provider).vault.domain(PROJECT)
    record = domain.get_record("checkpoint", checkpoint_id)
    found = {}
    for entry in record["resources"]:
        reader = domain.open_stream(entry["streams"]["content"])
        found[Path(entry["saved"]["path"]).name] = _hash(reader.read(0, reader.size))
    return found


def _hash(data):
    return hashlib.sha256(data).hexdigest()


def clean(case):
    """One clean-up of each bank, without grace, when every lease has run out long ago; ``only_look``: none."""
    more = {"cache": case.get("cache", "cache"), "clock": ShiftedClock(LATE)}
    cleaner = House(case["root"], database_url=case.get("database"), **more)
    counts, orphans = {}, []
    for id_ in cleaner.ids:
        settings = Settings(grace=0, tombstones=0)
        done = clean_bank(cleaner.get(id_), settings, pause=lambda _seconds: None, dry_run=case.get("only_look", False))
        assert done["entries"] == [], done
        counts[id_] = done["counts"]
        # An index of its own, and no memory of any pack: what it reads it gets from the bank.
        orphans += _orphans(House(case["root"], database_url=case.get("database"), cache=str(uuid.uuid4())), id_)
    return {"counts": counts, "orphans": orphans}


def _orphans(house, provider_id):
    """Names of objects that no available checkpoint needs and that are not the vault's own: found by reading
    everything of every available checkpoint, and looking at what else there is."""
    with house.database.read() as rows:
        every = rows.connection.exec_driver_sql("SELECT id, status, provider_id FROM checkpoints")
        alive = [id_ for id_, status, owner in every if (status, owner) == ("available", provider_id)]
    bank = house.get(provider_id).bank
    before = {info.name for info in bank.list()}
    domain = house.get(provider_id).vault.domain(PROJECT)
    needed = set()
    for id_ in alive:
        _hashes(house, id_)
        needed.add(f"record/checkpoint/{id_}")
        needed |= {name.split("/", 2)[2] for name in before if f"/hold/checkpoint.{id_}." in name}
        for entry in domain.get_record("checkpoint", id_)["resources"]:
            needed |= {f"stream/{stream_id}" for stream_id in entry["streams"].values()}
    needed |= {name.split("/", 2)[2] for name in house.gets if "/pack/" in name}
    indexes = {name.rpartition("/")[2] for name in before if "/index/" in name}
    left = []
    for name in before:
        kind, _, rest = name.split("/", 2)[2].partition("/") if name.startswith("d/") else ("own", "", "")
        own = kind in ("own", "key", "index") or (kind == "gc" and rest.startswith("claim/"))
        if not (own or f"{kind}/{rest}" in needed or (kind == "proven" and rest in indexes)):
            left.append(name)
    return sorted(left) + sorted(str(path) for path in house.root.glob("bank-*/**/.tmp-*"))


ACTIONS = {"prepare": prepare, "run": run, "request": request, "go_on": go_on, "look": look, "clean": clean}


def _in_child(case):
    """The answer of a case done by a child; None where it died."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read_end)
        code = 1
        try:
            answer = json.dumps(ACTIONS[case["do"]](case))
            with os.fdopen(write_end, "w") as pipe:
                pipe.write(answer)
            code = 0
        except BaseException:  # the edge of the child: its parent shows the text
            traceback.print_exc()
        finally:
            os._exit(code)
    os.close(write_end)
    with os.fdopen(read_end) as pipe:
        text = pipe.read()
    _pid, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
        return {"died": True}
    if status:
        return {"failed": "see above"}
    return json.loads(text)


def main():
    """See the module text."""
    for line in sys.stdin:
        case = json.loads(line)
        if case["do"] == "clone":
            shutil.rmtree(case["root"], ignore_errors=True)
            shutil.copytree(case["from"], case["root"])
            answer = {}
        else:
            answer = _in_child(case)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
