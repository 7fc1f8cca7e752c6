# SPDX-License-Identifier: Apache-2.0
"""How does a driver wait for something that libvirt reports only when asked, without waiting for ever?"""

import threading
from collections.abc import Callable

from karbor.model import errors


def wait_until(done: Callable[[], bool], what: str, *, seconds: float, step: float = 0.05) -> None:
    """Ask ``done`` every ``step`` seconds until it says True. Raises Unavailable, naming ``what``, when time is up."""
    pause = threading.Event()
    for _ in range(max(1, int(seconds / step))):
        if done():
            return
        pause.wait(step)
    if not done():
        raise errors.Unavailable("The hypervisor takes too long.", detail=f"{what}: not done after {seconds} s")
