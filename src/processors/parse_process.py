"""One parse child as its parent sees it: started, spoken to, killed."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

import msgspec

from processors.parse_frames import LENGTH, Answer, ParseRequest, Ready, decode_answer, frame
from processors.priority import set_session_back

ANSWER_BYTES_MAX: Final = 256 * 1024 * 1024
"""The text may take 50 MB (`ParseLimits.text_bytes_max`), its structure some more; a child that says more is broken."""

DECODED_INLINE_BYTES_MAX: Final = 1024 * 1024
"""Larger answers are decoded in a thread: 50 MB take 0.2 s, in which the worker could not even renew its lease."""

STDERR_BYTES_KEPT: Final = 4_096

PIPE_END_S_MAX: Final = 0.2
"""How long after a child its pipe may end, unless a child of its own holds it open."""

ENVIRONMENT: Final = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": "/nonexistent", "MALLOC_ARENA_MAX": "2"}
"""No secret of the worker is within reach of a document. Two arenas: each further one reserves 64 MB of the address
space that RLIMIT_AS counts."""

_PASSED_ON: Final = ("PATH", "TESSDATA_PREFIX")
"""Where the program that reads scans lies, and its languages."""

PARSE_CHILD: Final = Path(__file__).with_name("parse_child.py")


class ChildDied(Exception):
    """The child ended in the middle. `signal_number` is None where it left by itself; `last_words` are its stderr."""

    def __init__(self, returncode: int, last_words: str) -> None:
        super().__init__(returncode, last_words)
        self.returncode = returncode
        self.signal_number = -returncode if returncode < 0 else None
        self.last_words = last_words

    def __str__(self) -> str:
        return f"exit {self.returncode}: {self.last_words}"


class BrokenWord(Exception):
    """The child said something that is no answer."""


class ParseProcess:
    """A running child. Make one with `start`; one request at a time; `kill` it in the end."""

    def __init__(self, process: Process, ready: Ready, stderr: "_Tail") -> None:
        self._process = process
        self._stderr = stderr
        self.unlimited = ready.unlimited
        self.open_because = ready.open_because
        self.worn = 0
        """By what it has read, as whoever uses it counts."""

    @classmethod
    async def start(cls, script: Path = PARSE_CHILD) -> Self:
        """Returns when the child has imported everything and limited itself (0.4 s). Raises ChildDied, BrokenWord."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-I",
            str(script),
            str(os.getpid()),
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
            env=ENVIRONMENT | {name: os.environ[name] for name in _PASSED_ON if name in os.environ},
            cwd="/",
            # A group of its own: Ctrl-C in the terminal is the worker's to hear, and killing it leaves no grandchild.
            start_new_session=True,
        )
        stderr = _Tail(process)
        try:
            ready, _ = await asyncio.gather(_ready(process), set_session_back(process.pid))
        except BaseException as error:
            returncode = await _end(process)
            last_words = await stderr.last_words()
            if isinstance(error, asyncio.IncompleteReadError):
                raise ChildDied(returncode, last_words) from error
            raise
        return cls(process, ready, stderr)

    @property
    def pid(self) -> int:
        return self._process.pid

    async def feed(self, request: ParseRequest, pieces: AsyncIterator[bytes]) -> None:
        """Hands a document over. Raises ChildDied, and whatever `pieces` raises."""
        stdin, head = self._stdin, frame(request)
        try:
            async for piece in pieces:
                # A small document comes with its request: the child wakes once, and finds all that it needs.
                stdin.write(head + piece if head else piece)
                head = b""
                await stdin.drain()
            if head:
                stdin.write(head)
            await stdin.drain()
        except (BrokenPipeError, ConnectionResetError) as error:
            raise await self._died() from error

    async def answer(self) -> Answer:
        """What the child makes of it. Raises ChildDied, BrokenWord."""
        try:
            return await _answer_of(self._process)
        except asyncio.IncompleteReadError as error:
            raise await self._died() from error

    async def kill(self) -> None:
        """Ends the child and whatever it may have started."""
        await _end(self._process)
        await self._stderr.last_words()

    async def _died(self) -> ChildDied:
        returncode = await _end(self._process)
        return ChildDied(returncode, await self._stderr.last_words())

    @property
    def _stdin(self) -> asyncio.StreamWriter:
        if self._process.stdin is None:
            raise AssertionError("the child was started with a pipe")
        return self._process.stdin


class _Tail:
    """The end of what a child writes to stderr; read all the time, or the child would block on a full pipe."""

    def __init__(self, process: Process) -> None:
        self._kept = b""
        self._group = process.pid
        self._task = asyncio.create_task(self._read(process.stderr))

    async def last_words(self) -> str:
        """Of a child that has ended. Where the pipe does not end with it, somebody whom it bore holds it, and ends now.

        As long as one of them lives, the number of the group is theirs: nobody else can be meant. One that has left
        the group holds up nothing.
        """
        if not await self._has_ended():
            with suppress(ProcessLookupError):
                os.killpg(self._group, signal.SIGKILL)
            if not await self._has_ended():
                self._task.cancel()
        return self._kept.decode("utf-8", "replace").strip()

    async def _has_ended(self) -> bool:
        done, _ = await asyncio.wait({self._task}, timeout=PIPE_END_S_MAX)
        return bool(done)

    async def _read(self, stream: asyncio.StreamReader | None) -> None:
        while stream is not None and (piece := await stream.read(STDERR_BYTES_KEPT)):
            self._kept = (self._kept + piece)[-STDERR_BYTES_KEPT:]


async def _ready(process: Process) -> Ready:
    answer = await _answer_of(process)
    if not isinstance(answer, Ready):
        raise BrokenWord("the child answered before it was asked")
    return answer


async def _answer_of(process: Process) -> Answer:
    stdout = process.stdout
    if stdout is None:
        raise AssertionError("the child was started with a pipe")
    (length,) = LENGTH.unpack(await stdout.readexactly(LENGTH.size))
    if length > ANSWER_BYTES_MAX:
        raise BrokenWord(f"an answer of {length} bytes")
    body = await stdout.readexactly(length)
    try:
        if length <= DECODED_INLINE_BYTES_MAX:
            return _decode(body)
        return await asyncio.to_thread(_decode, body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BrokenWord(f"an answer that is none: {error}") from error


def _decode(body: bytes) -> Answer:
    answer: Answer = decode_answer(body)
    return answer


async def _end(process: Process) -> int:
    """Kills the group, waits, closes the pipes. A child that is dead already keeps the signal that it died of."""
    with suppress(ProcessLookupError):
        if process.returncode is None and await _is_alive_after(process, grace_s=0.2):
            os.killpg(process.pid, signal.SIGKILL)
    if process.stdin is not None:
        process.stdin.close()
    return await process.wait()


async def _is_alive_after(process: Process, *, grace_s: float) -> bool:
    """A child whose pipe has just ended is dying: its own signal says more than ours would."""
    if process.stdout is None or not process.stdout.at_eof():
        return True
    try:
        async with asyncio.timeout(grace_s):
            await process.wait()
    except TimeoutError:
        return True
    return False
