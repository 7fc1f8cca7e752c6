# SPDX-License-Identifier: Apache-2.0
"""How is freed memory given back to the system, and what stays left alone, in a process with many threads?

glibc keeps an arena for each thread, and large freed blocks in them. A worker that moves disks through several threads
then holds twice what it uses (measured on the same code: a peak of 354 MiB instead of 166). Other C libraries need no
such advice.
"""

import ctypes
import gc
import logging

LOG = logging.getLogger(__name__)

# From glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_ADVICE = ((_M_ARENA_MAX, 2), (_M_MMAP_THRESHOLD, 256 << 10), (_M_TRIM_THRESHOLD, 1 << 20))


def give_back_early() -> bool:
    """Advise the C library; may be called again. False where it is not glibc, and nothing was changed."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        LOG.debug("this C library has no mallopt")
        return False
    taken = [mallopt(option, value) for option, value in _ADVICE]
    return all(answer == 1 for answer in taken)


def settle() -> None:
    """What there is now stays for good, so the garbage collector need not look at it again.

    Called when a daemon has started. A long list makes many values; without this each of them made the collector walk
    through all modules and tables, which took a fifth of the time of the request.
    """
    gc.collect()
    gc.freeze()
