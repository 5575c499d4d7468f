"""Sessions and processes that stand back for others, as Linux keeps it."""

import asyncio
import os
import platform
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from processors.priority import TURN_NS, set_session_back

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/autogroup").exists(), reason="the kernel has no groups of sessions"
)

NICE = 7
PROGRAM = f"import os, sys; os.nice({NICE}); print('ready', flush=True); sys.stdin.read()"


@asynccontextmanager
async def nice_process(*, leads_a_session: bool) -> AsyncIterator[int]:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM, stdin=pipe, stdout=pipe, start_new_session=leads_a_session
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        await process.stdout.readline()
        yield process.pid
    finally:
        process.stdin.close()
        await process.wait()


def group(pid: int) -> str:
    """What the kernel says of a process's group of sessions: nothing where it has been put in none."""
    return Path(f"/proc/{pid}/autogroup").read_text()


def group_niceness(pid: int) -> int:
    return int(group(pid).rpartition("nice")[2])


async def test_a_session_stands_back_as_its_leader_does() -> None:
    async with nice_process(leads_a_session=True) as pid:
        assert group_niceness(pid) == 0, "niceness alone says nothing to other sessions"
        await set_session_back(pid)
        assert group_niceness(pid) == NICE


async def test_sessions_that_begin_at_once_all_stand_back() -> None:
    """The kernel takes one word in a tenth of a second, from those without privileges."""
    async with nice_process(leads_a_session=True) as one, nice_process(leads_a_session=True) as other:
        await asyncio.gather(set_session_back(one), set_session_back(other))
        assert group_niceness(one) == group_niceness(other) == NICE


async def test_a_session_of_others_is_left_alone() -> None:
    before = group(os.getpid())
    async with nice_process(leads_a_session=False) as pid:
        await set_session_back(pid)
        assert group(pid) == before


async def test_a_process_that_is_gone_is_no_failure() -> None:
    async with nice_process(leads_a_session=True) as pid:
        pass
    await set_session_back(pid)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


KNOWS_TURNS_SINCE = (6, 12)
THREAD_AND_CHILD = """
import os, subprocess, sys, threading
from processors.priority import take_short_turns
os.nice(int(sys.argv[1]))
take_short_turns()
thread = threading.Thread(target=lambda: print(open("/proc/thread-self/sched").read(), flush=True))
thread.start()
thread.join()
subprocess.run(["cat", "/proc/self/sched"], check=True)
"""


def turns_of_thread_and_child(niceness: int) -> list[int]:
    """Nanoseconds, as the kernel keeps them; a kernel says nothing of it where it knows turns of one length only."""
    ran = subprocess.run(
        [sys.executable, "-c", THREAD_AND_CHILD, str(niceness)], capture_output=True, text=True, check=True
    )
    return [int(found) for found in re.findall(r"^se\.slice\s*:\s*(\d+)$", ran.stdout, re.MULTILINE)]


needs_turns = pytest.mark.skipif(
    tuple(map(int, platform.release().split(".")[:2])) < KNOWS_TURNS_SINCE or not Path("/proc/self/sched").exists(),
    reason="the kernel knows turns of one length only, or does not say how long they are",
)


@needs_turns
def test_who_stands_back_has_short_turns_with_all_threads_and_children() -> None:
    assert turns_of_thread_and_child(NICE) == [TURN_NS, TURN_NS]


@needs_turns
def test_who_stands_back_for_nobody_has_turns_as_all_others() -> None:
    thread, child = turns_of_thread_and_child(0)
    assert thread == child > TURN_NS
