# SPDX-License-Identifier: Apache-2.0
"""How do several processes run in an order that a seed says, with deaths, stops and clocks that jump?

Each actor is a thread that runs only while it holds the baton. It hands it over at every *point*: before each call to a
bank, before each transaction begins, and at every fault point. There the scheduler chooses who goes on, and may end an
actor (``Killed``, which nothing takes for a fault) or stop it for a while. Threads that no actor is, such as those of
the vault, work while their actor waits for them.
"""

import threading
from concurrent.futures import Executor, Future


class Killed(BaseException):
    """The process of this thread is dead. No ``except Exception`` sees it."""


class Actor:
    """One thread on the stage. ``outcome`` is (done | failed | killed, what)."""

    def __init__(self, name, play, process=None):
        self.name, self.play, self.process = name, play, process
        self.gate = threading.Semaphore(0)
        self.dead = self.ended = False
        self.stopped_until = 0.0
        self.outcome = None
        self.place = "start"
        self.brink = False  # dies before its next commit


class Inline(Executor):
    """Runs at once what is handed to it, in the same thread."""

    def submit(self, call, /, *arguments, **named):
        future = Future()
        try:
            future.set_result(call(*arguments, **named))
        except Exception as fault:  # noqa: BLE001 - as every executor does
            future.set_exception(fault)
        return future


class Baton:
    """Who has it runs. ``go`` and the rest are called by the scheduler, ``point`` and ``brink`` by actors."""

    def __init__(self):
        self._back = threading.Semaphore(0)
        self._actors = {}  # thread -> actor
        self.points = 0
        self.trace = []

    def begin(self, name, play, process=None):
        """A new actor, that waits for its first turn."""
        actor = Actor(name, play, process)
        threading.Thread(target=self._play, args=(actor,), daemon=True).start()
        return actor

    def go(self, actor):
        """Let it run to its next point, or to its end."""
        self.points += 1
        self.trace.append(f"{actor.name}{' dies' if actor.dead else ''} at {actor.place}")
        actor.gate.release()
        if not self._back.acquire(timeout=300):
            raise TimeoutError(f"{actor.name} neither ended nor came to a point after {actor.place}")

    def current(self):
        """The actor of this thread, or None."""
        return self._actors.get(threading.get_ident())

    def point(self, name):
        """Hand the baton over; come back when it is our turn again."""
        actor = self.current()
        if actor is None:
            return
        if actor.dead:
            raise Killed
        actor.place = name
        self._back.release()
        actor.gate.acquire()
        if actor.dead:
            raise Killed

    def at_commit(self):
        """A transaction is about to be committed: nobody else can run here, but we can die."""
        actor = self.current()
        if actor is not None and (actor.dead or actor.brink):
            actor.dead = True
            raise Killed

    def _play(self, actor):
        self._actors[threading.get_ident()] = actor
        actor.gate.acquire()
        try:
            if actor.dead:
                raise Killed
            actor.outcome = ("done", actor.play())
        except Killed:
            actor.outcome = ("killed", None)
        except Exception as fault:  # noqa: BLE001 - whoever began the actor looks at its outcome
            actor.outcome = ("killed", None) if actor.dead else ("failed", fault)
        finally:
            del self._actors[threading.get_ident()]
            actor.ended = True
            self._back.release()
