# SPDX-License-Identifier: Apache-2.0
"""What may happen to a guest, to its backups and to the worker that makes them, as steps of a random walk?

Each step is done for real and checked against what the disks must hold.
"""

import collections
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from karbor.common.loading import plugin_class
from karbor.model import errors
from karbor.sdk.hypervisor import Capture, CaptureRequest, Hypervisor
from karbor.sdk.streams import Kind
from tests.support.content import CLUSTER, Content
from tests.support.qemu_writer import MIB, DiskKind, Guest, Host

#: Two providers.
SCOPES = ("11111111-aaaa-4000-8000-000000000001", "22222222-bbbb-4000-8000-000000000002")


def new_driver(host: Host, scratch: Path) -> Hypervisor:
    cls = plugin_class("karbor.hypervisors", "libvirt")
    values = {"uri": host.uri, "scratch_dir": str(scratch), "scratch_reserve_mib": 16}
    return cls(cls.Settings.parse(values), state_dir=str(scratch.parent))


@dataclass
class Attempt:
    """One capture that was begun, and what it must show. ``disturbed``: it may be lost by now."""

    request: CaptureRequest
    capture: Capture
    truth: dict[str, Content]
    disturbed: str = ""
    copies: dict[str, Content] = field(default_factory=dict)

    @property
    def key(self) -> tuple[str, str]:
        return self.request.scope, self.request.token


class Episode:
    """One guest and its backups. Each step is written down; the same seed gives the same steps."""

    def __init__(self, seed: int, kinds: tuple[DiskKind, ...], host: Host, directory: Path) -> None:
        self.rng = random.Random(seed)
        self.log: list[str] = []
        self.counts: collections.Counter[str] = collections.Counter()
        self.scratch = directory / "s"
        self.scratch.mkdir()
        self.guest = Guest(host, directory, {f"vd{letter}": kind for letter, kind in zip("abcd", kinds, strict=False)})
        self.jobs: set[tuple[str, str]] = set()
        self.committed: dict[str, dict[str, dict[str, Content]]] = {scope: {} for scope in SCOPES}
        self.attempt: Attempt | None = None
        self.tokens = 0
        self.driver = new_driver(self.guest.host, self.scratch)
        self.driver.recover(self.is_wanted)
        self.start()

    def is_wanted(self, scope: str, token: str) -> bool:
        return (scope, token) in self.jobs

    def say(self, text: str) -> None:
        self.log.append(f"{len(self.log):3} {text}")

    def step(self) -> None:
        choices = {self.write: 5, self.power: 1.8, self.grow: 0.4, self.new_worker: 0.5, self.new_daemon: 0.25}
        if self.attempt is None:
            choices |= {self.begin: 8, self.killed_in_begin: 1.5 if self.guest.active else 0}
        else:
            choices |= {
                self.finish: 5,
                self.read_one: 1.5,
                self.fail: 0.5,
                self.begin_again: 0.5,
                self.begin_second: 0.4,
            }
            choices |= {self.worker_forgets: 0.3, self.killed_at_the_end: 0.3 if self.guest.active else 0}
        chosen = self.rng.choices(list(choices), list(choices.values()))[0]
        self.counts[chosen.__name__] += 1
        chosen()

    # What the guest does

    def write(self, *, most: int = 6) -> None:
        for _ in range(self.rng.randint(1, most)):
            self._write_once()

    def _write_once(self) -> None:
        target = self.rng.choice(sorted(self.guest.kinds))
        size = self.guest.content[target].size
        window = self.rng.choice([size, 4 * MIB])  # often the same places again
        offset = self.rng.randrange(window // 512) * 512
        length = min(self.rng.choice([512, 4096, CLUSTER, self.rng.randrange(1, 400) * 512]), size - offset)
        match self.rng.randrange(6):
            case 0:
                unmap = self.rng.random() < 0.5
                done = self.guest.zero(target, offset, length, unmap=unmap)
                self.say(f"zero {target} {offset:#x} {length:#x} unmap={unmap} done={done}")
            case 1:
                done = self.guest.trim(target, offset, length)
                self.say(f"trim {target} {offset:#x} {length:#x} done={done}")
            case _:
                byte = self.rng.randrange(256)
                done = self.guest.write(target, offset, length, byte)
                self.say(f"write {target} {offset:#x} {length:#x} {byte:#04x} done={done}")
        if not self.guest.active:
            self._disturb("an image was written")

    def grow(self) -> None:
        target = self.rng.choice(sorted(self.guest.kinds))
        size = self.guest.content[target].size + self.rng.choice([4096, CLUSTER, 5 * CLUSTER + 512, MIB])
        done = self.guest.grow(target, size)
        self.say(f"grow {target} to {size:#x} done={done}")
        if done or not self.guest.active:  # a tool that tried has opened the image for writing
            self._disturb("a disk grew")

    def power(self) -> None:
        if not self.guest.active:
            self._disturb("the guest was started")
            self.start()
            return
        chosen = self.rng.choice(["reset", "stop", "stop", "kill", "pause"])
        self.say(chosen)
        if chosen == "pause":
            self.guest.toggle_pause()
        elif chosen == "reset":
            self.guest.reset()
        else:
            if chosen == "kill" and self.rng.random() < 0.5:
                self.say("flushed before")
                self.guest.flush()
            self._disturb(chosen)
            getattr(self.guest, chosen)()
            self.counts[chosen] += 1

    def start(self) -> None:
        paused = self.rng.random() < 0.7
        self.say(f"start paused={paused}")
        self.guest.start(paused=paused)

    def _disturb(self, why: str) -> None:
        if self.attempt is not None:
            self.attempt.disturbed = why

    # What the providers do

    def begin(self) -> None:
        scope = self._scope()
        request = self._request(scope)
        self.say(f"begin {scope[:1]}/{request.token} {request.method} since={dict(request.since)} {request.targets}")
        self.jobs.add((scope, request.token))
        self.attempt = self._begun(request)

    def _scope(self) -> str:
        """Mostly the first one, so that chains of increments grow."""
        return self.rng.choices(SCOPES, [5, 1])[0]

    def _request(self, scope: str) -> CaptureRequest:
        self.tokens += 1
        every = sorted(self.guest.kinds)
        targets = every if self.rng.random() < 0.8 else self.rng.sample(every, self.rng.randint(1, len(every)))
        since = {}
        for target in targets:
            known = [token for token, copies in self.committed[scope].items() if target in copies]
            if known and self.rng.random() < 0.95:
                since[target] = known[-1] if self.rng.random() < 0.9 else self.rng.choice(known)
        if self.rng.random() < 0.03:
            since[targets[0]] = "t999"  # a token that nobody knows
        method = self.rng.choices(["auto", "bitmap", "snapshot"], [6, 2, 1])[0]
        return CaptureRequest(
            self.guest.id, scope, f"t{self.tokens}", tuple(targets), since, self.rng.choice(["no", "try"]), method
        )

    def _begun(self, request: CaptureRequest) -> Attempt:
        return self._checked(Attempt(request, self.driver.begin(request), self.guest.snapshot()))

    def _checked(self, attempt: Attempt) -> Attempt:
        """Whether the answer fits what was asked; the bytes are looked at later."""
        capture, request = attempt.capture, attempt.request
        for disk in capture.disks:
            self.say(f"  {capture.method} {disk.target} size={disk.size:#x} since={disk.since} {disk.why_full}")
            assert disk.size == attempt.truth[disk.target].size
            assert disk.since in (None, request.since.get(disk.target)), "an increment against what nobody asked for"
            assert (disk.since is None) == bool(disk.why_full)
            assert disk.since is None or self.guest.kinds[disk.target].tracked
            self.counts[f"{capture.method} {'full' if disk.since is None else 'increment'}"] += 1
        assert {disk.target for disk in capture.disks} == set(request.targets)
        return attempt

    def begin_again(self) -> None:
        """As after a resume: the same view where it stands, else a new one."""
        old = self.attempt
        self.say(f"begin again {old.request.token} disturbed={old.disturbed}")
        new = Attempt(old.request, self.driver.begin(old.request), self.guest.snapshot())
        if new.capture != old.capture:
            assert old.disturbed, "a standing view was not found again"
        elif not old.disturbed or self._is_old(old, new):
            return
        self.attempt = self._checked(new)

    def _is_old(self, old: Attempt, new: Attempt) -> bool:
        """An equal answer after a disturbance may be the old view or a new one: a disk that changed tells which."""
        for target in old.request.targets:
            if old.truth[target].first_difference(new.truth[target]) is not None:
                found = self._read(old, target)
                return found is None or found.first_difference(old.truth[target]) is None
        return True

    def begin_second(self) -> None:
        """Another provider comes while a view stands: it is told to wait. A lost view may be gone."""
        scope = next(scope for scope in SCOPES if scope != self.attempt.request.scope)
        request = self._request(scope)
        self.say(f"begin meanwhile {scope[:1]}/{request.token}")
        try:
            self.driver.begin(request)
        except errors.Conflict:
            return
        assert self.attempt.disturbed, "two captures of a domain at one time"
        self.driver.discard(self.guest.id, scope, request.token)

    def killed_in_begin(self) -> None:
        """QEMU dies somewhere in ``begin``: there is a view of what the disks hold, or an error and no trace."""
        request = self._request(self._scope())
        key = (request.scope, request.token)
        self.say(f"begin {key[0][:1]}/{request.token} {request.method} since={dict(request.since)} {request.targets}")
        self.jobs.add(key)
        with self._killed_meanwhile():
            try:
                self.attempt = self._begun(request)
                self.attempt.disturbed = "a kill in begin"
            except errors.KarborError as fault:
                self.say(f"  {fault.operator_text()}")
        if self.attempt is None:
            self.driver.discard(self.guest.id, *key)
            self.jobs.discard(key)

    def killed_at_the_end(self) -> None:
        """QEMU dies somewhere in ``end`` or ``discard``: called again they end well."""
        self.say("end and discard")
        self.attempt.disturbed = "a kill"
        for action in (self.driver.end, self._discard):
            if self.guest.active:
                with self._killed_meanwhile():
                    try:
                        action(self.attempt.capture)
                    except errors.KarborError as fault:
                        self.say(f"  {fault.operator_text()}")
            action(self.attempt.capture)
            if not self.guest.active:
                self.start()
        self.jobs.discard(self.attempt.key)
        self.attempt = None

    def _discard(self, capture: Capture) -> None:
        self.driver.discard(capture.domain_id, capture.scope, capture.token)

    @contextmanager
    def _killed_meanwhile(self) -> Iterator[None]:
        seconds = self.rng.random() ** 2
        self.say(f"  killed after {seconds:.2f} s")
        self.counts["kill"] += 1
        with self.guest.killed_after(seconds):
            yield

    def read_one(self) -> None:
        left = [target for target in self.attempt.request.targets if target not in self.attempt.copies]
        if left:
            self._copy(self.rng.choice(left))

    def finish(self) -> None:
        """Read what is left, end, keep: or fail where the view was lost."""
        attempt = self.attempt
        scope, token = attempt.key
        for target in self.rng.sample(attempt.request.targets, len(attempt.request.targets)):
            if target not in attempt.copies and not self._copy(target):
                self.fail()
                return
        self.say(f"end {token}")
        for _ in range(self.rng.choice([1, 1, 1, 2])):
            self.driver.end(attempt.capture)
        if self.rng.random() < 0.3:
            self.write()
        if self.rng.random() < 0.1:
            self.new_worker()
        self.say(f"keep {token}")
        for _ in range(self.rng.choice([1, 1, 1, 2])):
            self.driver.keep(self.guest.id, scope, token)
        self.committed[scope][token] = attempt.copies
        self.jobs.discard(attempt.key)
        self.counts["checkpoints"] += 1
        self.attempt = None

    def fail(self) -> None:
        scope, token = self.attempt.key
        self.say(f"discard {token}")
        if self.rng.random() < 0.3:
            self.driver.end(self.attempt.capture)
        for _ in range(self.rng.choice([1, 1, 2])):
            self.driver.discard(self.guest.id, scope, token)
        self.jobs.discard(self.attempt.key)
        self.attempt = None

    def new_worker(self) -> None:
        """The worker was killed; its job comes back."""
        self.say("new worker")
        self.driver = new_driver(self.guest.host, self.scratch)
        for line in self.driver.recover(self.is_wanted):
            self.say(f"  mended: {line}")

    def new_daemon(self) -> None:
        self.say("libvirtd killed and started")
        was_active = self.guest.active
        self.guest.host.restart_daemon()
        if was_active and not self.guest.settle():
            self.say("  and gave the guest up")
            self._disturb("libvirtd gave the guest up")

    def worker_forgets(self) -> None:
        """The worker was killed and nobody comes back for its job."""
        self.say("forget the job")
        self.jobs.discard(self.attempt.key)
        self.attempt = None
        self.new_worker()

    def _copy(self, target: str) -> bool:
        """Read a disk of the view and hold it against the oracle; False where the view was lost."""
        found = self._read(self.attempt, target)
        if found is None:
            return False
        difference = found.first_difference(self.attempt.truth[target])
        assert difference is None, f"{target} of {self.attempt.request.token} differs: {difference}"
        self.attempt.copies[target] = found
        self.counts["disks read"] += 1
        return True

    def _read(self, attempt: Attempt, target: str) -> Content | None:
        since = attempt.capture.disk(target).since
        full = self.rng.random() < 0.1
        base = self.committed[attempt.request.scope][since][target] if since and not full else None
        self.say(f"read {target} of {attempt.request.token} against {since if base else None}")
        try:
            return self._restored(attempt.capture, target, base, full=full)
        except errors.CaptureLost as fault:
            assert attempt.disturbed, f"the view was lost though nothing happened: {fault.operator_text()}"
            self.say(f"  lost after {attempt.disturbed}: {fault.detail}")
            self.counts["lost"] += 1
            return None

    def _restored(self, capture: Capture, target: str, base: Content | None, *, full: bool) -> Content:
        with self.driver.source(capture, target, full=full) as source:
            found, at = Content(source.size), 0
            for extent in source.extents():
                assert extent.offset == at
                assert extent.length > 0
                at, known = at + extent.length, at
                if extent.kind is Kind.ZERO:
                    continue
                if extent.kind is Kind.SAME:
                    assert base is not None, "SAME in a full read"
                    known = min(max(base.size, extent.offset), at)  # what lies behind the end of the base is read
                    found.take(base, extent.offset, known - extent.offset)
                for offset in range(known, at, MIB):
                    if self.rng.random() < 0.1 and self.guest.active:
                        self.write(most=3)
                    data = source.read(offset, min(MIB, at - offset))
                    self.counts["bytes read"] += len(data)
                    found.put(offset, data)
            assert at == source.size
            return found

    # In the end

    def close(self) -> None:
        """Everything is let go; the guest has its own images with all it wrote, and nothing is left behind."""
        self.say("close")
        if self.attempt is not None:
            self.jobs.discard(self.attempt.key)
        self.new_worker()
        assert sorted(self.scratch.iterdir()) == []
        if self.guest.active:
            self.guest.stop()
        assert self.guest.defined_paths() == self.guest.paths
        for target in self.guest.kinds:
            difference = self.guest.actual(target).first_difference(self.guest.content[target])
            assert difference is None, f"the guest lost data on {target}: {difference}"
        for scope in SCOPES:
            self.driver.keep(self.guest.id, scope, "none")
        assert self.guest.domain.listAllCheckpoints(0) == []
        assert self.guest.bitmaps() == []
