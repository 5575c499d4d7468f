"""The share of the processor of those whom nobody waits for: what the API does goes first.

Linux may weigh sessions against one another, and the niceness of a process within its session only (autogroup, see
sched(7)): a worker in a session of its own, however nice, took half of a processor from the API. So the session is told
too. In a container of its own control group that does nothing, and niceness alone counts.

A share says how much, and nothing of how soon: whoever wakes up may wait until the turn of the one who runs is over, up
to 4 ms, and threads of the API wake up 300 to 500 times in one search. So who stands back asks for short turns, too.
"""

import asyncio
import ctypes
import os
import platform
from contextlib import suppress
from pathlib import Path
from typing import Final

TRIES_MAX: Final = 30
AGAIN_S: Final = 0.11
"""The kernel takes one such word in 100 ms from all processes without privileges together."""

TURN_NS: Final = 100_000
"""The shortest turn that Linux grants; others have 1.4 ms on two cores. Threads that search waited 0.6 ms for each ms
that a model ran beside them, and 0.2 with this; its share stays what it was."""

_SCHED_SETATTR: Final = {"x86_64": 314, "aarch64": 274, "riscv64": 274}
"""The number of the call, which the C library has no name for."""


class _SchedulingOf(ctypes.Structure):
    """`struct sched_attr` as sched_setattr(2) has it, in its first form."""

    _fields_ = (
        ("size", ctypes.c_uint32),
        ("policy", ctypes.c_uint32),
        ("flags", ctypes.c_uint64),
        ("nice", ctypes.c_int32),
        ("priority", ctypes.c_uint32),
        ("runtime_ns", ctypes.c_uint64),
        ("deadline_ns", ctypes.c_uint64),
        ("period_ns", ctypes.c_uint64),
    )


def take_short_turns() -> None:
    """Asks for turns of `TURN_NS` for this thread, and all threads and processes that it starts from now on.

    Nothing where nobody is given precedence (niceness 0), on other systems, and before Linux 6.12, which knows turns of
    one length only.
    """
    call, niceness = _SCHED_SETATTR.get(platform.machine()), os.getpriority(os.PRIO_PROCESS, 0)
    if platform.system() != "Linux" or call is None or niceness <= 0:
        return
    wanted = _SchedulingOf(
        size=ctypes.sizeof(_SchedulingOf), policy=os.sched_getscheduler(0), nice=niceness, runtime_ns=TURN_NS
    )
    # What it answers is not looked at: a kernel that refuses leaves things as they are.
    ctypes.CDLL(None).syscall(ctypes.c_long(call), 0, ctypes.byref(wanted), 0)


async def set_session_back(pid: int = 0) -> None:
    """Gives the session of a process (0: this one) its leader's niceness, as niceness is inherited and this is not.

    Nothing where the process leads no session, as others' processes are in it too, and where the kernel knows no such
    thing or does not let us.
    """
    pid = pid or os.getpid()
    with suppress(OSError):
        niceness = os.getpriority(os.PRIO_PROCESS, pid)
        if niceness <= 0 or os.getsid(pid) != pid:
            return
        for _ in range(TRIES_MAX):
            try:
                _set_group_back(pid, niceness)
            except BlockingIOError:
                await asyncio.sleep(AGAIN_S)
            else:
                return


def _set_group_back(pid: int, niceness: int) -> None:
    Path(f"/proc/{pid}/autogroup").write_text(str(niceness))
