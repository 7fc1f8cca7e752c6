# SPDX-License-Identifier: Apache-2.0
"""Who thaws a frozen guest when the process that froze it is killed?

A small process of its own: ``python -m karbor.virt.thaw_watchdog URI UUID SECONDS``. It connects to libvirt before it
says ``ready``, then waits on its standard input. A line: the guest is thawed already, nothing to do. End of file (we
died) or no word in time: it says ``fired``, thaws the guest and ends.
"""

import contextlib
import os
import select
import signal
import subprocess
import sys
import threading
from typing import Self

import libvirt

from karbor.common import command
from karbor.common.clock import Clock
from karbor.model import errors

_THAW_ATTEMPTS, _THAW_PAUSE = 10, 2.0
#: A guest agent answers at once or not at all; the thaw must not hang on it.
_AGENT_SECONDS = 10
_END_SECONDS = _THAW_ATTEMPTS * (_THAW_PAUSE + _AGENT_SECONDS) + 10


class ThawWatchdog:
    """Thaws the guest when we die, or when ``seconds`` have passed since ``arm``.

    ``arm`` before the freeze, ``disarm`` after the thaw; as a context manager it does both. ``fired`` says whether it
    thawed the guest by itself: then what was captured is not a frozen view. Ask after ``disarm`` for the final answer.

    An embedded libvirt (qemu:///embed) lives in one process only; there a thread of ours takes the place, which covers
    a hanging step but not our death. The start-up recovery of the driver thaws then.
    """

    def __init__(self, uri: str, domain_uuid: str, seconds: float) -> None:
        self._arguments = (uri, domain_uuid, seconds)
        self._process: subprocess.Popen[bytes] | None = None
        self._timer: threading.Timer | None = None
        self._fired = threading.Event()

    def arm(self, *, timeout: float = 20) -> None:
        """Start it and wait until it is connected to libvirt. Raises Unavailable where it is not ready in time."""
        uri, uuid, seconds = self._arguments
        if "///embed" in uri:
            self._timer = threading.Timer(seconds, self._thaw_here)
            self._timer.daemon = True
            self._timer.start()
            return
        self._process = command.start(
            [sys.executable, "-P", "-m", __spec__.name, uri, uuid, str(seconds)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            close_fds=True,
            start_new_session=True,  # what kills our process group must not kill the watchdog
        )
        if self._said(b"ready", timeout):
            return
        self._process.kill()
        self._process.wait()
        self._close()
        raise errors.Unavailable(
            "The guest cannot be frozen safely.",
            detail=f"the thaw watchdog could not reach domain {uuid} at {uri} within {timeout} seconds",
        )

    def disarm(self) -> None:
        """The guest is thawed: end the watchdog. May be called again, and when it was never armed."""
        if self._timer:
            self._timer.cancel()
            self._timer.join(timeout=_END_SECONDS)
            self._timer = None
        if self._process:
            with contextlib.suppress(BrokenPipeError):  # it fired and ended before
                os.write(self._stdin(), b"thawed\n")
            if self._said(b"fired", _END_SECONDS):
                self._fired.set()
            try:
                self._process.wait(timeout=_END_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._close()

    @property
    def fired(self) -> bool:
        """Whether the guest was thawed by the watchdog, as far as is known now."""
        if self._process and self._said(b"fired", 0):
            self._fired.set()
        return self._fired.is_set()

    def __enter__(self) -> Self:
        self.arm()
        return self

    def __exit__(self, *_: object) -> None:
        self.disarm()

    def _stdin(self) -> int:
        assert self._process and self._process.stdin
        return self._process.stdin.fileno()

    def _said(self, word: bytes, timeout: float) -> bool:
        """Whether the next thing it says within ``timeout`` is ``word``; at its end it says nothing."""
        assert self._process and self._process.stdout
        handle = self._process.stdout.fileno()
        return bool(select.select([handle], [], [], timeout)[0]) and os.read(handle, 100).startswith(word)

    def _close(self) -> None:
        if self._process:
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe:
                    pipe.close()
        self._process = None

    def _thaw_here(self) -> None:
        self._fired.set()
        uri, uuid, _ = self._arguments
        thaw(uri, uuid)


def thaw(uri: str, domain_uuid: str, first: "libvirt.virDomain | None" = None) -> bool:
    """Thaw a guest, with some patience; a guest that is not frozen is left as it is. Whether libvirt said yes."""
    pause = threading.Event()
    domain = first
    for _ in range(_THAW_ATTEMPTS):
        try:
            domain = domain or _domain(uri, domain_uuid)
            domain.fsThaw()
        except libvirt.libvirtError as fault:
            if fault.get_error_code() in (libvirt.VIR_ERR_NO_DOMAIN, libvirt.VIR_ERR_OPERATION_INVALID):
                return False  # gone, or not running: nothing is frozen
            domain = None  # the connection may be the trouble: open a new one
            pause.wait(_THAW_PAUSE)
        else:
            return True
    return False


def _domain(uri: str, domain_uuid: str) -> "libvirt.virDomain":
    domain = libvirt.open(uri).lookupByUUIDString(domain_uuid)
    with contextlib.suppress(libvirt.libvirtError):  # not every driver can set it
        domain.agentSetResponseTimeout(_AGENT_SECONDS)
    return domain


def main(arguments: list[str]) -> int:
    """The watchdog process."""
    uri, uuid, seconds = arguments
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # a service that is stopped stops us too; our work is not done then
    libvirt.registerErrorHandler(lambda *_: None, None)
    domain = _domain(uri, uuid)
    clock = Clock()
    deadline = clock.monotonic() + float(seconds)
    os.write(1, b"ready\n")
    heard = select.select([0], [], [], max(0.0, deadline - clock.monotonic()))[0]
    if heard and os.read(0, 100):
        return 0
    with contextlib.suppress(BrokenPipeError):
        os.write(1, b"fired\n")
    return 0 if thaw(uri, uuid, domain) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
