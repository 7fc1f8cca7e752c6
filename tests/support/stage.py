# SPDX-License-Identifier: Apache-2.0
"""In which order do the calls of several actors reach a bank? In the order that a seed says, one call at a time.

Each actor runs the real code in threads of its own, over a bank that stops at every call until the stage lets it go on.
While one actor computes, nobody else does; so a schedule depends on the seed, and on nothing else that matters.
"""

import _thread
import queue
import threading

from karbor.model import errors
from karbor.sdk.bank import Bank


class Actor:
    """One process on the stage. ``play`` is a function of its bank."""

    def __init__(self, name, play):
        self.name = name
        self.play = play
        self.waiting = []  # calls that wait for their turn: (gate, text)
        self.dead = False  # killed: no call of it takes effect any more
        self.ended = False
        self.outcome = None
        self.calls = 0
        self.frozen_at = None  # the number of the call before which it is stopped


class StagedBank(Bank):
    """What one actor sees of the bank."""

    def __init__(self, inner, stage, actor):
        super().__init__(inner.settings)
        self.capabilities = inner.capabilities
        self._inner, self._stage, self._actor = inner, stage, actor

    def initialise(self):
        return self._inner.initialise()

    def identity(self):
        return self._inner.identity()

    def put_if_absent(self, name, data):
        return self._call("put", name, lambda: self._inner.put_if_absent(name, data))

    def get(self, name, offset=0, length=None):
        return self._call("get", name, lambda: self._inner.get(name, offset, length))

    def stat(self, name):
        return self._call("stat", name, lambda: self._inner.stat(name))

    def list(self, prefix="", after="", limit=1000):
        # Pages are small, so that what happens between two of them is tried too. A page shorter than the limit is the
        # end, so the pages are put together here.
        found = []
        while len(found) < limit:
            size = min(self._stage.page, limit - len(found))
            last = found[-1].name if found else after
            page = self._call("list", prefix, lambda last=last, size=size: self._inner.list(prefix, last, size))
            found += page
            if len(page) < size:
                break
        return found

    def delete(self, name):
        return self._call("delete", name, lambda: self._inner.delete(name))

    def retain(self, name, until):
        return self._call("retain", name, lambda: self._inner.retain(name, until))

    def retained(self, name):
        return self._call("retained", name, lambda: self._inner.retained(name))

    def now(self):
        return self._inner.now()

    def _call(self, method, name, act):
        actor = self._actor
        gate = _thread.allocate_lock()
        gate.acquire()
        self._stage.arrivals.put((actor, gate, f"{method} {name}"))
        gate.acquire()
        if actor.dead:
            raise errors.BankUnavailable(detail="killed")
        answer = act()
        actor.calls += 1
        if self._stage.dies_after(actor):
            actor.dead = True
            raise errors.BankUnavailable(detail="killed")
        return answer


class Stage:
    """Runs actors to their end. ``random`` decides; ``page`` is how many names a list gives at once."""

    def __init__(self, random, *, page=3, on_step=lambda: None):
        self.random = random
        self.page = page
        self.on_step = on_step
        self.arrivals = queue.SimpleQueue()
        self.steps = 0
        self.trace = []
        self._deaths = {}

    def kill(self, actor, at, *, after):
        """``actor`` dies at its call number ``at``, before or after that takes effect."""
        self._deaths[actor] = (at, after)

    def dies_after(self, actor):
        return self._deaths.get(actor) == (actor.calls, True)

    def run(self, actors, *, thaw_after=lambda: 0):
        """Let all of them play. Who is frozen goes on when the others ended, or ``thaw_after()`` steps later."""
        for actor in actors:
            threading.Thread(target=self._play, args=(actor,), daemon=True).start()
            self._settle(actor)
        frozen = {}
        last = None
        while alive := [actor for actor in actors if not actor.ended]:
            for actor in alive:
                if actor.frozen_at is not None and actor.calls >= actor.frozen_at:
                    actor.frozen_at = None
                    frozen[actor] = self.steps + thaw_after()
            able = [actor for actor in alive if frozen.get(actor, 0) <= self.steps]
            if not able:
                able = alive
                frozen.clear()
            # Mostly one goes on for a while: what matters are few switches at the right places, not many.
            if last not in able or self.random.random() < 0.2:
                last = self.random.choice(able)
            self._step(last)

    def _step(self, actor):
        gate, text = actor.waiting.pop(0)
        if self._deaths.get(actor) == (actor.calls + 1, False):
            actor.dead = True
        self.trace.append(f"{actor.name}{' (killed)' if actor.dead else ''}: {text}")
        self.steps += 1
        self.on_step()
        gate.release()
        self._settle(actor)

    def _settle(self, actor):
        while not actor.ended and not actor.waiting:
            other, gate, text = self.arrivals.get(timeout=120)
            if gate is None:
                other.ended = True
            else:
                other.waiting.append((gate, text))

    def _play(self, actor):
        try:
            actor.outcome = ("done", actor.play())
        except errors.KarborError as fault:
            actor.outcome = ("failed", fault)
        except BaseException as fault:  # noqa: BLE001 - the edge of the thread: shown by whoever looks at the outcome
            actor.outcome = ("broken", fault)
        self.arrivals.put((actor, None, ""))
