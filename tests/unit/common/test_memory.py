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
