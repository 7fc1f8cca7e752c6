# SPDX-License-Identifier: Apache-2.0
"""Does a program end when it is told to, whichever of its threads the signal hits?"""

import os
import signal
import subprocess
import sys
import threading

import pytest

from karbor.common import stopping

WAITS = """
import signal, sys, threading
from karbor.common import stopping
with stopping.told_to_end() as wait:
    idle = threading.Thread(target=threading.Event().wait, daemon=True)
    idle.start()
    hit = threading.Timer(0.3, signal.pthread_kill, (idle.ident, signal.SIGTERM))
    hit.start()
    sys.exit(0 if wait(None) else 1)
"""


def test_a_signal_that_another_thread_got_is_heard():
    assert subprocess.run([sys.executable, "-c", WAITS], timeout=60, check=False).returncode == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_before_the_wait_counts_and_is_not_forgotten(number):
    with stopping.told_to_end() as wait:
        os.kill(os.getpid(), number)
        assert wait(None)
        assert wait(0)


def test_the_time_may_pass_without_one():
    with stopping.told_to_end() as wait:
        assert not wait(0)
        assert not wait(0.01)


def test_other_signals_do_not_end_anything():
    before = signal.signal(signal.SIGUSR1, lambda *_: None)
    try:
        with stopping.told_to_end() as wait:
            os.kill(os.getpid(), signal.SIGUSR1)
            assert not wait(0.01)
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_afterwards_signals_do_what_they_did_before():
    before = signal.getsignal(signal.SIGINT)
    with stopping.told_to_end() as wait:
        threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()
        assert wait(30)
    assert signal.getsignal(signal.SIGINT) is before
    assert signal.set_wakeup_fd(-1) == -1
