# SPDX-License-Identifier: Apache-2.0
"""How are streams of the vault offered over NBD, read-only, to whatever speaks it?

Lost bytes are an error (EIO) for the requests that touch them, and for no other.
"""

import contextlib
import os
import socket
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self

from karbor.model import errors
from karbor.virt.nbdanswers import Readable
from karbor.virt.nbdsession import NbdSession

_CONNECTIONS = 64
_THREADS = 8  # more than cores, because they wait for the bank
_SOCKET_PATH_LIMIT = 107


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
        self._connections: set[NbdSession] = set()  # guarded by _lock
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
                connection = NbdSession(peer, self._exports, self._pool, gone=self._gone)
                self._connections.add(connection)
                connection.start()

    def _gone(self, connection: NbdSession) -> None:
        with self._lock:
            self._connections.discard(connection)


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
