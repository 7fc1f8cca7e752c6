# SPDX-License-Identifier: Apache-2.0
"""Is large freed memory given back at once, and what stays for good left alone?"""

import gc
import subprocess
import sys

from karbor.common import memory

SCRIPT = """
import threading
from karbor.common import memory

def resident():
    pages = int(open('/proc/self/statm').read().split()[1])
    return pages * 4096

assert memory.give_back_early() and memory.give_back_early()
def work():
    blocks = [bytearray(b'x') * (400 << 10) for _ in range(50)]
for _ in range(4):
    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
assert resident() < 60 << 20, resident()
"""


HOLES = """
import time
from karbor.common import memory

memory.give_back_early()
with memory.kept_small(seconds=0.05):
    idle = memory.resident()
    blocks = [b"x" * 100_000 for _ in range(1000)]
    assert memory.resident() > idle + (90 << 20)
    blocks = blocks[::20]  # those that live on lie between the free ones
    deadline = time.monotonic() + 50
    while memory.resident() > idle + (20 << 20):
        blocks.append(b"x" * (9 << 20))  # a process that does not grow is left alone
        assert time.monotonic() < deadline, memory.resident() - idle
        time.sleep(0.2)
        blocks.pop()
"""


def test_what_is_free_between_blocks_that_live_on_is_given_back():
    subprocess.run([sys.executable, "-c", HOLES], check=True, timeout=60)


def test_large_blocks_do_not_stay_in_the_arenas_of_threads():
    subprocess.run([sys.executable, "-c", SCRIPT], check=True, timeout=60)


def test_what_has_settled_is_not_looked_at_again():
    before = gc.get_freeze_count()
    try:
        memory.settle()
        assert gc.get_freeze_count() > before
        assert len(gc.get_objects()) < gc.get_freeze_count()
    finally:
        gc.unfreeze()
