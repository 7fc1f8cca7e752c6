# SPDX-License-Identifier: Apache-2.0
"""How is one client of an export served?

A request is answered at once where no other one waits behind it; else threads answer several together. Who reads on
where it left off is read ahead for.
"""

import contextlib
import logging
import socket
import struct
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from karbor.model import errors
from karbor.virt.nbd_handshake import Handshake, Hangup
from karbor.virt.nbdanswers import Answers, Readable, Request

LOG = logging.getLogger(__name__)

_TOGETHER = 16  # requests of one connection that are answered at a time
_HANDSHAKE_SECONDS = 30.0
_STALLED_SECONDS = 60  # a client that takes nothing for so long holds up others
_AHEAD_FIRST, _AHEAD_MOST = 1 << 20, 8 << 20


class NbdSession:
    """One client, with a thread of its own until it is gone; ``gone`` is called then."""

    def __init__(
        self,
        peer: socket.socket,
        exports: Mapping[str, Readable],
        pool: ThreadPoolExecutor,
        *,
        gone: Callable[["NbdSession"], None],
    ) -> None:
        self._peer = peer
        self._exports = exports
        self._pool = pool
        self._gone = gone
        self._sending = threading.Lock()
        self._together = threading.Semaphore(_TOGETHER)
        self._ahead = Ahead()
        self._thread = threading.Thread(target=self._run, name="nbd-client", daemon=True)

    def start(self) -> None:
        """Begin to serve it."""
        self._thread.start()

    def join(self) -> None:
        """Wait until it is gone."""
        self._thread.join()

    def close(self) -> None:
        """Let it go; whatever waits for it ends."""
        with contextlib.suppress(OSError):
            self._peer.shutdown(socket.SHUT_RDWR)

    def _run(self) -> None:
        try:
            self._serve()
        except (Hangup, OSError):
            pass  # clients may go as they like
        finally:
            # Threads of the pool may still answer: nobody else may get this number of a socket before they are done.
            for _ in range(_TOGETHER):
                self._together.acquire()
            self._peer.close()
            self._gone(self)

    def _serve(self) -> None:
        if self._peer.family == socket.AF_INET:
            self._peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._peer.settimeout(_HANDSHAKE_SECONDS)
        sizes = {name: stream.size for name, stream in self._exports.items()}
        agreed = Handshake(self._receive, self._peer.sendall, sizes).run()
        self._peer.settimeout(None)
        self._peer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("@ll", _STALLED_SECONDS, 0))
        LOG.debug("client of an export name=%s", agreed.name)
        stream = self._exports[agreed.name]
        answers = Answers(stream, agreed)
        while True:
            request = Request.parse(self._receive(Request.SIZE))
            if request.payload:
                self._swallow(request.payload)
            ahead = self._ahead.after(request, stream.size) if request.reads else None
            if self._more_waits():
                self._together.acquire()
                self._pool.submit(self._answer_in_pool, answers, request)
                continue
            if ahead:
                self._pool.submit(_read_ahead, stream, *ahead)
            self._answer(answers, request)

    def _answer_in_pool(self, answers: Answers, request: Request) -> None:
        try:
            self._answer(answers, request)
        except OSError:
            self.close()  # the thread that receives finds out
        finally:
            self._together.release()

    def _answer(self, answers: Answers, request: Request) -> None:
        """Bytes are gathered without the lock, and sent under it, so that the parts of one answer stay together."""
        for buffers in answers.to(request):
            with self._sending:
                _send(self._peer, buffers)

    def _more_waits(self) -> bool:
        try:
            return bool(self._peer.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
        except BlockingIOError:
            return False

    def _swallow(self, length: int) -> None:
        while length:
            length -= len(self._receive(min(length, 1 << 16)))

    def _receive(self, length: int) -> bytes:
        buffer = bytearray(length)
        view = memoryview(buffer)
        while view:
            count = self._peer.recv_into(view)
            if not count:
                raise Hangup
            view = view[count:]
        return bytes(buffer)


class Ahead:
    """What one client will ask for next: where it reads on, more and more of what follows."""

    def __init__(self) -> None:
        self._next = -1
        self._reached = 0
        self._length = _AHEAD_FIRST

    def after(self, request: Request, size: int) -> tuple[int, int] | None:
        """From where to where to read ahead when this request is made."""
        end = request.offset + request.length
        follows = request.offset == self._next
        self._next = end
        if not follows:
            self._length, self._reached = _AHEAD_FIRST, end
            return None
        if self._reached - end > self._length // 2:
            return None  # enough is under way
        start = max(self._reached, end)
        self._reached = min(end + self._length, size)
        self._length = min(self._length * 2, _AHEAD_MOST)
        return (start, self._reached) if start < self._reached else None


def _read_ahead(stream: Readable, start: int, stop: int) -> None:
    """Have a range at hand. Whatever is wrong with it is told to whoever asks for it."""
    for at in range(start, stop, _AHEAD_FIRST):
        try:
            stream.parts(at, min(at + _AHEAD_FIRST, stop))
        except errors.KarborError as fault:
            LOG.debug("read ahead failed offset=%d cause=%s", at, fault.operator_text())


def _send(peer: socket.socket, buffers: Sequence[bytes | memoryview]) -> None:
    """All of these in one or more calls. Raises OSError."""
    left = [memoryview(buffer) for buffer in buffers if len(buffer)]
    while left:
        count = peer.sendmsg(left[:512])
        while left and count >= len(left[0]):
            count -= len(left.pop(0))
        if count:
            left[0] = left[0][count:]
