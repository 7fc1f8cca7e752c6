# SPDX-License-Identifier: Apache-2.0
"""How are streams of the vault offered over NBD, read-only, to whatever speaks it?

A request is answered at once where no other one waits behind it; else threads answer several together. Who reads on
where it left off is read ahead for. Lost bytes are an error (EIO) for the requests that touch them, and for no other.
"""

import contextlib
import logging
import os
import socket
import struct
import threading
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol, Self

from karbor.model import errors
from karbor.sdk.streams import Extent
from karbor.virt.nbd_handshake import Handshake, Hangup
from karbor.virt.nbdanswers import Answers, Request

LOG = logging.getLogger(__name__)

_CONNECTIONS = 64
_THREADS = 8  # more than cores, because they wait for the bank
_TOGETHER = 16  # requests of one connection that are answered at a time
_HANDSHAKE_SECONDS = 30.0
_STALLED_SECONDS = 60  # a client that takes nothing for so long holds up others
_AHEAD_FIRST, _AHEAD_MOST = 1 << 20, 8 << 20
_SOCKET_PATH_LIMIT = 107


class Readable(Protocol):
    """A stream, any range of which can be told of and read. Thread-safe; raises as a StreamReader does."""

    size: int

    def extents(self, start: int = 0, stop: int | None = None) -> Iterable[Extent]: ...

    def parts(self, start: int, stop: int) -> Sequence[tuple[int, memoryview]]:
        """(offset, bytes) of what is not zero, ascending."""
        ...


class NbdExport:
    """A server for some streams by their names, on a unix socket or on the loopback. Use as a context manager.

    ``listen`` is the path of the socket, where nobody may listen yet and which only our user may use, or a port of
    127.0.0.1 (0: any), which every user of this host may use. Raises ConfigurationError where that cannot be had.
    """

    def __init__(self, exports: Mapping[str, Readable], listen: Path | int) -> None:
        self._exports = dict(exports)
        self._path = listen if isinstance(listen, Path) else None
        self._listener = _listen(listen)
        self.port: int | None = None if self._path else self._listener.getsockname()[1]
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="nbd")
        self._lock = threading.Lock()
        self._connections: set[_Connection] = set()  # guarded by _lock
        self._closed = False  # guarded by _lock
        self._thread = threading.Thread(target=self._accept, name="nbd-listen", daemon=True)
        self._thread.start()

    @property
    def connections(self) -> int:
        """How many clients there are now."""
        with self._lock:
            return len(self._connections)

    def close(self) -> None:
        """Let all clients go and stop listening. May be called again."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            left = list(self._connections)
        with contextlib.suppress(OSError):  # wakes accept
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in left:
            connection.close()
        self._thread.join()
        for connection in left:
            connection.join()
        self._pool.shutdown(cancel_futures=True)
        if self._path:
            self._path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _accept(self) -> None:
        while True:
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return  # closed
            with self._lock:
                if self._closed or len(self._connections) >= _CONNECTIONS:
                    peer.close()
                    continue
                connection = _Connection(self, peer)
                self._connections.add(connection)
                connection.start()

    def _gone(self, connection: "_Connection") -> None:
        with self._lock:
            self._connections.discard(connection)


class _Connection:
    """One client."""

    def __init__(self, server: NbdExport, peer: socket.socket) -> None:
        self._server = server
        self._peer = peer
        self._sending = threading.Lock()
        self._together = threading.Semaphore(_TOGETHER)
        self._ahead = _Ahead()
        self._thread = threading.Thread(target=self._run, name="nbd-client", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def join(self) -> None:
        self._thread.join()

    def close(self) -> None:
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
            self._server._gone(self)

    def _serve(self) -> None:
        if self._peer.family == socket.AF_INET:
            self._peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._peer.settimeout(_HANDSHAKE_SECONDS)
        sizes = {name: stream.size for name, stream in self._server._exports.items()}
        agreed = Handshake(self._receive, self._peer.sendall, sizes).run()
        self._peer.settimeout(None)
        self._peer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("@ll", _STALLED_SECONDS, 0))
        LOG.debug("client of an export name=%s", agreed.name)
        stream = self._server._exports[agreed.name]
        answers = Answers(stream, agreed)
        while True:
            request = Request.parse(self._receive(Request.SIZE))
            if request.payload:
                self._swallow(request.payload)
            ahead = self._ahead.after(request, stream.size) if request.reads else None
            if self._more_waits():
                self._together.acquire()
                self._server._pool.submit(self._answer_in_pool, answers, request)
                continue
            if ahead:
                self._server._pool.submit(_read_ahead, stream, *ahead)
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


class _Ahead:
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


def _listen(listen: Path | int) -> socket.socket:
    if isinstance(listen, Path) and len(os.fsencode(listen)) > _SOCKET_PATH_LIMIT:
        raise errors.ConfigurationError(f"The path {listen} is too long for a socket.")
    listener = socket.socket(socket.AF_UNIX if isinstance(listen, Path) else socket.AF_INET)
    try:
        if isinstance(listen, Path):
            _remove_left_over(listen)
            os.fchmod(listener.fileno(), 0o600)  # before it has a name: it is private from the first moment on
            listener.bind(str(listen))
        else:
            listener.bind(("127.0.0.1", listen))
        listener.listen(_CONNECTIONS)
    except (OSError, OverflowError) as fault:
        listener.close()
        raise errors.ConfigurationError(f"Cannot listen at {listen}.", detail=str(fault)) from fault
    return listener


def _remove_left_over(path: Path) -> None:
    """Make room where the socket of a killed process lies: a socket that nobody listens at."""
    if path.is_socket():
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(path))
            except ConnectionRefusedError:
                path.unlink(missing_ok=True)
