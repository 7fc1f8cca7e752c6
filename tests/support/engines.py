# SPDX-License-Identifier: Apache-2.0
"""An engine as a process of its own, which tests kill and stop: ``python -m tests.support.engines URL OWNER SKEW``.

SKEW is how many seconds its clock goes wrong. The API is a twin (northbound.py) in the same database. The triggers are
of a kind that fires every few seconds, time triggers in a time that runs fast, or time triggers.
"""

import itertools
import os
import signal
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta

from karbor.common.clock import Clock
from karbor.db.database import Database
from karbor.operationengine.engine import Engine, EngineSettings
from karbor.operationengine.steps import Steps, StepSettings
from karbor.sdk.trigger import Limits, TriggerType, load_types
from tests.support.northbound import NorthTwin

LEASE_MS = 2000


class Beat(TriggerType):
    """Fires ``count`` times, every ``every`` seconds after the trigger was made; each may begin for ``window``
    seconds."""

    def accept(self, given, *, stored, created_at, now):
        return {**stored, **given}

    def fires(self, properties, *, created_at, after, seed):
        for number in range(1, properties["count"] + 1):
            fire = created_at + number * timedelta(seconds=properties["every"])
            if fire > after:
                yield fire

    def window(self, properties):
        return properties["window"]


class Fast(TriggerType):
    """A time trigger in a time that runs ``pace`` times as fast, for ``days`` of it; it began when the trigger was
    made. Its window is in real seconds."""

    def accept(self, given, *, stored, created_at, now):
        return {**stored, **given}

    def fires(self, properties, *, created_at, after, seed):
        pace, begin = properties["pace"], SIMULATED
        seen = begin + (max(after, created_at) - created_at) * pace
        rule = {name: properties[name] for name in ("format", "pattern", "timezone", "jitter") if name in properties}
        for fire in _TIME.fires(rule, created_at=begin, after=seen - timedelta(seconds=pace), seed=seed):
            if fire > begin + timedelta(days=properties["days"]):
                return
            at = created_at + (fire - begin) / pace
            if at > after:
                yield at.replace(microsecond=at.microsecond // 1000 * 1000)

    def window(self, properties):
        return properties["window"]


def times(trigger):
    """Every time of such a trigger."""
    kind, long_ago = KINDS[trigger.type], datetime(2000, 1, 1, tzinfo=trigger.created_at.tzinfo)
    return list(kind.fires(trigger.properties, created_at=trigger.created_at, after=long_ago, seed=trigger.id))


_LIMITS = Limits(3600, 900, 1800)
_TIME = load_types(_LIMITS)["time"]
#: When a time that runs fast begins: some days before the clocks of Berlin change.
SIMULATED = datetime(2026, 3, 25, tzinfo=UTC)
KINDS = {"beat": Beat(_LIMITS), "fast": Fast(_LIMITS), "time": load_types(Limits(60, 10, 30))["time"]}


class _Wrong(Clock):
    """A clock that goes wrong."""

    def __init__(self, skew):
        self._skew = skew

    def now(self):
        return super().now() + timedelta(seconds=self._skew)

    def milliseconds(self):
        return super().milliseconds() + self._skew * 1000


def make_engine(database, clock, owner):
    """An engine that is quick to take over and to look."""
    steps = Steps(database, NorthTwin(database), StepSettings(lease=LEASE_MS, watch=100, retry=200))
    settings = EngineSettings(lease_ms=LEASE_MS, poll=0.1, threads=4, project_runs=0, provider_runs=0)
    return Engine(database, steps, KINDS, settings, clock=clock, owner=owner, host=owner)


class Herd:
    """``count`` such processes; some of them are killed, stopped and started anew all the time."""

    def __init__(self, url, count, *, skews=(0,)):
        self._url, self._skews = url, itertools.cycle(skews)
        self._names = itertools.count()
        self._stopped = []
        self.running = [self._start() for _ in range(count)]

    def _start(self):
        arguments = [self._url, f"engine-{next(self._names)}", str(next(self._skews))]
        environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
        command = [sys.executable, "-m", "tests.support.engines", *arguments]
        return subprocess.Popen(command, stdin=subprocess.PIPE, env=environment)

    def disturb(self, dice):
        """Kill one with -9 and start another, or let one sleep; a sleeper of before wakes up."""
        while self._stopped:
            self._stopped.pop().send_signal(signal.SIGCONT)
        victim = dice.choice(self.running)
        if dice.random() < 0.5:
            victim.send_signal(signal.SIGSTOP)
            self._stopped.append(victim)
        else:
            self._end(victim)
            self.running[self.running.index(victim)] = self._start()

    def wake(self):
        """Nobody sleeps any more."""
        for process in self._stopped:
            process.send_signal(signal.SIGCONT)

    @staticmethod
    def _end(process):
        process.kill()
        process.wait(30)
        process.stdin.close()

    def stop(self):
        for process in self.running:
            self._end(process)


def main():
    url, owner, skew = sys.argv[1:]
    clock = _Wrong(int(skew)) if int(skew) else Clock()
    engine = make_engine(Database(url, clock=clock), clock, owner)
    engine.start()
    threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()  # the test is gone
    threading.Event().wait()


if __name__ == "__main__":
    main()
