"""The share of the processor of those whom nobody waits for: what the API does goes first.

Linux may weigh sessions against one another, and the niceness of a process within its session only (autogroup, see
sched(7)): a worker in a session of its own, however nice, took half of a processor from the API. So the session is told
too. In a container of its own control group that does nothing, and niceness alone counts.
"""

import asyncio
import os
from contextlib import suppress
from pathlib import Path
from typing import Final

TRIES_MAX: Final = 30
AGAIN_S: Final = 0.11
"""The kernel takes one such word in 100 ms from all processes without privileges together."""


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
