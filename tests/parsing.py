"""Parses real files in processes of their own, with a limit, as a parse in service is."""

import os
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

import msgspec

from knowledge.errors import ParseError
from knowledge.limits import Ocr, ParseLimits
from knowledge.media_type import SNIFF_BYTES, sniff
from knowledge.parsers import parse
from knowledge.text import ParsedText

PARSE_S_MAX = 90
# Reading scans takes seconds a page; test_ocr.py reads a few, bench/formats.py all.
LIMITS = ParseLimits(ocr=Ocr.OFF)
CHILDREN = 2


class Answer(msgspec.Struct, frozen=True):
    """How one parse ended: a text, a reason, another exception (`crash`) or none in time."""

    media_type: str
    text: ParsedText | None = None
    error: ParseError | None = None
    crash: str | None = None


def answer_for(path: Path) -> Answer:
    """Sniffs and parses `path` in this process."""
    data = path.read_bytes()
    media_type = sniff(data[:SNIFF_BYTES], data, path.name)
    try:
        return Answer(media_type=media_type, text=parse(data, media_type, path.name, LIMITS))
    except ParseError as error:
        return Answer(media_type=media_type, error=error)
    except Exception:
        return Answer(media_type=media_type, crash=traceback.format_exc())


def serve(connection: Connection) -> None:
    """Answers paths until told to stop, then leaves at once: xberg may crash in the interpreter's own exit."""
    while (path := connection.recv()) is not None:
        connection.send(answer_for(path))
    connection.close()
    os._exit(0)


class ParsingChild:
    """One spawned process that parses one file after another; replaced where it dies or takes too long."""

    def __init__(self) -> None:
        self._start()

    def _start(self) -> None:
        context = get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(theirs,), daemon=True)
        self._process.start()
        theirs.close()

    def parse(self, path: Path) -> Answer:
        """The child's answer; a crash of the process or a parse beyond the limit is one as well."""
        self._connection.send(path)
        try:
            if self._connection.poll(PARSE_S_MAX):
                answer: Answer = self._connection.recv()
                return answer
            reason = f"no answer within {PARSE_S_MAX} s"
        except EOFError:
            reason = "the process died"
        self.close()
        self._start()
        return Answer(media_type="", crash=reason)

    def close(self) -> None:
        """Ends the process and its pipe."""
        self._connection.close()
        self._process.kill()
        self._process.join()
        self._process.close()


@contextmanager
def parsing_children() -> Iterator[Callable[[list[Path]], dict[Path, Answer]]]:
    """Yields a function that parses files in two processes at once."""
    children = [ParsingChild() for _ in range(CHILDREN)]

    def share(number: int, paths: list[Path]) -> dict[Path, Answer]:
        return {path: children[number].parse(path) for path in paths[number::CHILDREN]}

    def parse_all(paths: list[Path]) -> dict[Path, Answer]:
        with ThreadPoolExecutor(CHILDREN) as threads:
            shares = threads.map(share, range(CHILDREN), [paths] * CHILDREN)
            return {path: answer for part in shares for path, answer in part.items()}

    try:
        yield parse_all
    finally:
        for child in children:
            child.close()
