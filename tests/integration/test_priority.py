"""Sessions and processes that stand back for others, as Linux keeps it."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from processors.priority import set_session_back

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
