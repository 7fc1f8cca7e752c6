# SPDX-License-Identifier: Apache-2.0
"""How does a process give up everything but its memory and the files that it has open?

Bounds of memory and time; a root directory in which nothing is; no new privileges; and, where the kernel's tables are
known (x86-64, arm64), a filter of system calls that lets it read and write what is open, and nothing else.
"""

import ctypes
import os
import platform
import resource
import struct

_NO_NEW_PRIVS, _SET_SECCOMP, _SECCOMP_FILTER, _SET_DUMPABLE, _CAPBSET_DROP = 38, 22, 2, 4, 24
_LOAD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _REFUSE, _KILL = 0x7FFF0000, 0x00050000 | 1, 0x80000000  # refused: EPERM
_LAST_CAPABILITY = 40
#: Machine: (number of its audit architecture, system calls that are allowed). In words: read, write, lseek, close,
#: fstat, mmap, mprotect, munmap, mremap, brk, madvise, futex, signals, recvfrom, recvmsg, sendto, sendmsg, poll,
#: clocks, getrandom, getpid, gettid, sched_yield, restart_syscall, exit, exit_group.
_CALLS = {
    "x86_64": (
        0xC000003E,
        (
            *(0, 1, 8, 3, 5, 262, 9, 10, 11, 25, 12, 28, 202, 13, 14, 15, 131, 45, 47, 44, 46, 7, 271, 228, 230, 96),
            *(318, 39, 186, 24, 219, 60, 231, 19, 20, 32, 334, 273, 35),
        ),
    ),
    "aarch64": (
        0xC00000B7,
        (
            *(
                63,
                64,
                62,
                57,
                80,
                79,
                222,
                226,
                215,
                216,
                214,
                233,
                98,
                134,
                135,
                139,
                132,
                207,
                212,
                206,
                211,
                73,
                113,
            ),
            *(115, 169, 278, 172, 178, 124, 128, 93, 94, 65, 66, 99, 101),
        ),
    ),
}


def lock_down(empty: str, *, memory: int, cpu_seconds: int) -> bool:
    """Give up everything. ``empty`` is a directory with nothing in it. True where system calls are filtered, too.

    Raises OSError where anything but the filter cannot be had.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    for kind, bound in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CPU, cpu_seconds),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 16),
    ):
        resource.setrlimit(kind, (bound, bound))
    os.chroot(empty)
    os.chdir("/")
    for capability in range(_LAST_CAPABILITY + 1):
        libc.prctl(_CAPBSET_DROP, capability, 0, 0, 0)
    _drop_capabilities(libc)
    if libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "no_new_privs")
    return _filter_calls(libc)


def _drop_capabilities(libc: ctypes.CDLL) -> None:
    """All of them: capset with the third version of its structure."""
    header, nothing = struct.pack("=Ii", 0x20080522, 0), bytes(24)
    if libc.capset(header, nothing):
        raise OSError(ctypes.get_errno(), "capset")


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_void_p))


def _filter_calls(libc: ctypes.CDLL) -> bool:
    known = _CALLS.get(platform.machine())
    if known is None:
        return False
    architecture, calls = known
    code = [(_LOAD, 0, 0, 4), (_JUMP_IF_EQUAL, 1, 0, architecture), (_RETURN, 0, 0, _KILL), (_LOAD, 0, 0, 0)]
    code += [(_JUMP_IF_EQUAL, len(calls) - index, 0, call) for index, call in enumerate(calls)]
    code += [(_RETURN, 0, 0, _REFUSE), (_RETURN, 0, 0, _ALLOW)]
    packed = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *line) for line in code))
    program = _Program(len(code), ctypes.addressof(packed))
    return libc.prctl(_SET_SECCOMP, _SECCOMP_FILTER, ctypes.byref(program), 0, 0) == 0
