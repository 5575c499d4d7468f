"""A small pool of parse children, because documents are hostile and parsers are large.

A child is started once and reused (0.4 s of imports against 1 ms for a small document), replaced after some documents
and after anything unusual. What a child does wrong ends the child, never the worker.
"""

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final, assert_never

import msgspec
import structlog

from knowledge.errors import ParseError, ParseErrorCode
from knowledge.limits import ParseLimits
from knowledge.media_type import MAY_BE_SCANS, MediaType
from knowledge.pdf_pages import BEGUN
from knowledge.text import OWN_PARSER, ParsedText
from processors.parse_frames import Answer, Broken, ParseRequest, Ready, Refusal, Text
from processors.parse_process import PARSE_CHILD, BrokenWord, ChildDied, ParseProcess

_LIMIT_SIGNALS: Final = frozenset({signal.SIGXCPU, signal.SIGKILL})
"""SIGXCPU: the CPU seconds are used up. SIGKILL that is not ours: the kernel ran out of memory."""

LIGHT_DOCUMENTS: Final = 50
"""Text, Markdown, CSV, JSON and subtitles are read in Python, which leaks nothing: so many of them wear a child as one
document of a native parser does. A new child takes 0.35 s of a processor, behind 200 documents 1.7 ms of each."""

_MEMORY_WORDS: Final = ("memory allocation of", "out of memory", "bad_alloc", "cannot allocate memory")
"""What native code says before it aborts for want of memory; an abort without it is a crash."""


class SandboxSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How many children, how long they serve, and what one document may cost."""

    children_max: int = 2
    """Documents parsed at a time, 1 to 64: about one a CPU, each up to `limits.memory_bytes_max`."""
    documents_per_child: int = 200
    """After so many a child is replaced, 1 to 100,000: native parsers leak. What Python reads counts a fiftieth."""
    start_s: float = 30.0
    """How long a child may take to start, 1 to 300."""
    limits: ParseLimits = ParseLimits()
    may_reach_network: bool = False
    """Whether children are used that this system cannot cut off from the network."""


class ParserCrashed(Exception):
    """The parser died of the document, or broke its word; the same document may well be innocent once."""


class SandboxUnavailable(Exception):
    """No child can be started, or none that is shut in: about this machine, never the document's fault."""


class Sandbox:
    """Parses one document a child at a time. Belongs to one event loop; `close` ends the children.

    `script` is what a child runs; it speaks parse_frames.
    """

    def __init__(self, settings: SandboxSettings, *, script: Path = PARSE_CHILD) -> None:
        self._settings = settings
        self._script = script
        self._turns = asyncio.Semaphore(settings.children_max)
        self._idle: list[ParseProcess] = []
        self._is_closed = False

    async def warm(self) -> None:
        """Starts the children ahead of the first document. Raises SandboxUnavailable."""
        missing = self._settings.children_max - len(self._idle)
        self._idle.extend(await asyncio.gather(*(self._started() for _ in range(missing))))

    @property
    def open_because(self) -> str | None:
        """Why a child that waits could reach the network; None where none of them can."""
        return next((child.open_because for child in self._idle if child.open_because), None)

    async def parse(
        self, pieces: AsyncIterator[bytes], *, size_bytes: int, media_type: MediaType, filename: str
    ) -> ParsedText:
        """The text of the document that `pieces` (exactly `size_bytes`) yield.

        Raises ParseError as knowledge.parsers.parse, with resource_limit also where the child was ended for what it
        used; ParserCrashed; SandboxUnavailable; and whatever `pieces` raises.
        """
        limits = self._settings.limits
        request = ParseRequest(size_bytes, media_type.value, filename, limits)
        wall_s = limits.wall_s_of(may_need_ocr=media_type in MAY_BE_SCANS)
        async with self._turns:
            child = self._idle.pop() if self._idle else await self._started()
            answer: Answer | None = None
            try:
                await child.feed(request, pieces)
                async with asyncio.timeout(wall_s):
                    answer = await child.answer()
            except ChildDied as died:
                raise self._verdict(died) from died
            except TimeoutError as error:
                raise ParseError(ParseErrorCode.RESOURCE_LIMIT, f"parsing took longer than {wall_s} s") from error
            except BrokenWord as error:
                raise ParserCrashed(str(error)) from error
            finally:
                await self._keep_or_kill(child, answer)
        return _text_of(answer)

    async def close(self) -> None:
        """Ends the idle children; those at work end with their documents."""
        self._is_closed = True
        idle, self._idle = self._idle, []
        await asyncio.gather(*(child.kill() for child in idle))

    async def _started(self) -> ParseProcess:
        try:
            async with asyncio.timeout(self._settings.start_s):
                child = await ParseProcess.start(self._script)
        except (ChildDied, BrokenWord, OSError, TimeoutError) as error:
            raise SandboxUnavailable(f"no parser can be started: {error}") from error
        if child.unlimited:
            structlog.get_logger().warning("parser_without_limits", limits=child.unlimited)
        if child.open_because and not self._settings.may_reach_network:
            await child.kill()
            raise SandboxUnavailable(
                f"parsers cannot be cut off from the network here ({child.open_because}); hostile documents could "
                "reach whatever this machine can. To accept that, set MILLSTREAM_ALLOW_UNSANDBOXED=true"
            )
        return child

    async def _keep_or_kill(self, child: ParseProcess, answer: Answer | None) -> None:
        child.worn += 1 if _is_light(answer) else LIGHT_DOCUMENTS
        is_sound = isinstance(answer, Text | Refusal)
        if is_sound and not self._is_closed and child.worn < LIGHT_DOCUMENTS * self._settings.documents_per_child:
            self._idle.append(child)
        else:
            await child.kill()

    def _verdict(self, died: ChildDied) -> Exception:
        limits = self._settings.limits
        if died.signal_number == signal.SIGXCPU:
            message = f"parsing needs more than {limits.cpu_s} s of a processor"
        elif died.signal_number in _LIMIT_SIGNALS or _speaks_of_memory(died.last_words):
            message = f"parsing needs more than {limits.memory_bytes_max // 1024**2} MiB of memory"
        else:
            return ParserCrashed(str(died))
        return ParseError(ParseErrorCode.RESOURCE_LIMIT, message)


def _speaks_of_memory(last_words: str) -> bool:
    # PDFium's line is about documents before this one unless it is the last.
    return last_words.endswith(BEGUN.decode().strip()) or any(
        words in last_words.lower().replace(BEGUN.decode().strip().lower(), "") for words in _MEMORY_WORDS
    )


def _is_light(answer: Answer | None) -> bool:
    return isinstance(answer, Text) and answer.parsed.parser == OWN_PARSER


def _text_of(answer: Answer) -> ParsedText:
    match answer:
        case Text():
            return answer.parsed
        case Refusal():
            raise ParseError(ParseErrorCode(answer.code), answer.message)
        case Broken():
            raise ParserCrashed(answer.error)
        case Ready():
            raise ParserCrashed("the child began anew in the middle")
        case _:
            assert_never(answer)
