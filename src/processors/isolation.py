"""Takes from a process what parsing never needs: sockets, and the calls that reach into other processes (Linux).

A seccomp filter needs no privilege and works inside containers, where new namespaces are mostly refused. It holds for
every thread and program that the process starts, and cannot be taken off again.
"""

import ctypes
import errno
import platform
import sys
from typing import Any, Final

_PR_SET_NO_NEW_PRIVS: Final = 38
_PR_SET_SECCOMP: Final = 22
_SECCOMP_MODE_FILTER: Final = 2
_ALLOW: Final = 0x7FFF0000
_REFUSE: Final = 0x00050000 | errno.EACCES
_LOAD_WORD: Final = 0x20
_JUMP_EQUAL: Final = 0x15
_JUMP_GREATER_OR_EQUAL: Final = 0x35
_RETURN: Final = 0x06
_NUMBER_OFFSET: Final = 0
_ARCHITECTURE_OFFSET: Final = 4
_X32_BIT: Final = 0x40000000
"""Numbers of the x32 interface start here; under them the refused calls would have a second name."""

_ARCHITECTURES: Final = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_REFUSED_CALLS: Final = {
    # In this order: socket connect bind listen ptrace process_vm_readv process_vm_writev mount unshare setns bpf
    # userfaultfd perf_event_open add_key keyctl io_uring_setup pidfd_getfd. socketpair stays: event loops wake by it.
    "x86_64": (41, 42, 49, 50, 101, 310, 311, 165, 272, 308, 321, 323, 298, 248, 250, 425, 438),
    "aarch64": (198, 203, 200, 201, 117, 270, 271, 40, 97, 268, 280, 282, 241, 217, 219, 425, 438),
}
"""<asm/unistd.h> of each architecture."""


class _Instruction(ctypes.Structure):
    """struct sock_filter of <linux/filter.h>."""

    _fields_ = (("code", ctypes.c_uint16), ("jt", ctypes.c_uint8), ("jf", ctypes.c_uint8), ("k", ctypes.c_uint32))


class _Program(ctypes.Structure):
    """struct sock_fprog."""

    _fields_ = (("length", ctypes.c_uint16), ("instructions", ctypes.POINTER(_Instruction)))


def isolate() -> str | None:
    """None once the process can reach nobody; else why it still can. Call it before the first thread."""
    machine = platform.machine()
    if sys.platform != "linux" or machine not in _ARCHITECTURES:
        return f"no way is known on {sys.platform} ({machine})"
    libc: Any = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        return f"no_new_privs: {errno.errorcode.get(ctypes.get_errno(), 'refused')}"
    program = _filter(machine)
    if libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0) != 0:
        return f"seccomp: {errno.errorcode.get(ctypes.get_errno(), 'refused')}"
    return None


def _filter(machine: str) -> _Program:
    """Another architecture's calls, x32's and the listed ones are refused with EACCES, the rest are allowed."""
    calls = _REFUSED_CALLS[machine]
    refuse = 4 + len(calls) + 1
    steps = [
        (_LOAD_WORD, 0, 0, _ARCHITECTURE_OFFSET),
        (_JUMP_EQUAL, 0, refuse - 2, _ARCHITECTURES[machine]),
        (_LOAD_WORD, 0, 0, _NUMBER_OFFSET),
        (_JUMP_GREATER_OR_EQUAL, refuse - 4, 0, _X32_BIT),
        *((_JUMP_EQUAL, refuse - 5 - place, 0, number) for place, number in enumerate(calls)),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _REFUSE),
    ]
    return _Program(len(steps), (_Instruction * len(steps))(*(_Instruction(*step) for step in steps)))
