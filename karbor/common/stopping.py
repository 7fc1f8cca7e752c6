# SPDX-License-Identifier: Apache-2.0
"""How does a program wait to be told to end, so that no signal is lost?

The system may hand a signal to any thread of a process. Python runs handlers in the main thread alone, and does not
wake it from waiting for a lock when another thread was hit: a daemon that waits for a ``threading.Event`` would
sometimes never end. Python's C handler does write to a descriptor at once, in whichever thread
(signal.set_wakeup_fd), so that is what is waited for here.
"""

import contextlib
import signal
import socket
import time
from collections.abc import Callable, Iterator

#: What asks a program to end.
SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextlib.contextmanager
def told_to_end() -> Iterator[Callable[[float | None], bool]]:
    """From now on SIGTERM and SIGINT are noted. In the main thread only.

    Gives ``wait(seconds)``: True as soon as one came (also before the call, and again at each later call), False where
    the seconds passed without; None waits without end.
    """
    hears, tells = socket.socketpair()
    tells.setblocking(False)
    noted: list[int] = []

    def wait(seconds: float | None) -> bool:
        end = None if seconds is None else time.monotonic() + seconds
        while not noted:
            left = None if end is None else end - time.monotonic()
            if left is not None and left <= 0:
                return False
            hears.settimeout(left)
            with contextlib.suppress(TimeoutError):
                noted.extend(number for number in hears.recv(64) if number in SIGNALS)
        return True

    before = [(number, signal.signal(number, lambda *_: None)) for number in SIGNALS]
    earlier = signal.set_wakeup_fd(tells.fileno(), warn_on_full_buffer=False)
    try:
        yield wait
    finally:
        signal.set_wakeup_fd(earlier)
        for number, handler in before:
            signal.signal(number, handler)
        hears.close()
        tells.close()
