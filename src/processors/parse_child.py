"""The child process that parses: it reads documents from stdin and answers on stdout until stdin ends.

Documents are hostile, so the process limits itself before it reads the first: memory, CPU seconds, no file to write
to, few descriptors, no core dump, no socket (isolation.py). It dies with its parent. Started as a script with
`python -I`, which knows neither the working directory nor PYTHONPATH; the place of the packages is therefore put on the
path here.
"""

import os
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.append(str(Path(__file__).resolve().parents[1]))

import ctypes
import resource
import signal
from collections.abc import Callable
from typing import Any, BinaryIO, Final

from knowledge.errors import ParseError, ParseErrorCode
from knowledge.limits import ParseLimits
from knowledge.media_type import MediaType
from knowledge.parsers import parse
from knowledge.text import ParsedText
from processors.isolation import isolate
from processors.parse_frames import LENGTH, Answer, Broken, ParseRequest, Ready, Refusal, Text, decode_request, frame

_PR_SET_PDEATHSIG: Final = 1
"""<linux/prctl.h>"""

_FILES_MAX: Final = 64
"""Open descriptors; a parser needs three pipes and a handful of libraries."""

_WARM_UP: Final = b"<html><body><p>warm</p></body></html>"


ParseDocument = Callable[[bytes, MediaType, str, ParseLimits], ParsedText]


def main(parse_document: ParseDocument = parse) -> None:
    """Argument of the process: its parent's process id."""
    _die_with(int(sys.argv[1]))
    open_because = isolate()
    requests, answers = _own_pipes()
    _warm_up()
    unlimited = _limit_everything_but_cpu_and_memory()
    _say(answers, Ready(unlimited, open_because))
    while (request := _next_request(requests)) is not None:
        _limit(request.limits)
        data = requests.read(request.size_bytes)
        if len(data) < request.size_bytes:
            return
        _say(answers, _answer(parse_document, request, data))


def _answer(parse_document: ParseDocument, request: ParseRequest, data: bytes) -> Answer:
    try:
        return Text(parse_document(data, MediaType(request.media_type), request.filename, request.limits))
    except ParseError as error:
        return Refusal(error.code.value, error.message)
    except MemoryError:
        return Refusal(ParseErrorCode.RESOURCE_LIMIT.value, "the document needs more memory than a parser is given")
    except Exception as error:
        return Broken(f"{type(error).__name__}: {error}"[:1_000])


def _say(answers: BinaryIO, answer: Answer) -> None:
    answers.write(frame(answer))
    answers.flush()


def _next_request(requests: BinaryIO) -> ParseRequest | None:
    length = requests.read(LENGTH.size)
    if len(length) < LENGTH.size:
        return None
    body = requests.read(LENGTH.unpack(length)[0])
    return decode_request(body)


def _own_pipes() -> tuple[BinaryIO, BinaryIO]:
    """The pipes to the parent move away from 0 and 1: a library that prints would break the frames."""
    requests = os.fdopen(os.dup(0), "rb")
    answers = os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)
    os.close(nothing)
    return requests, answers


def _die_with(parent: int) -> None:
    """The end of stdin ends an idle child; one that is busy parsing needs the kernel's help (Linux)."""
    if sys.platform == "linux":
        libc: Any = ctypes.CDLL(None, use_errno=True)
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            sys.exit("the parent died before its child was bound to it")


def _warm_up() -> None:
    """Loads the native parser and starts its threads, whose reserved address space must not count as a document's."""
    parse(_WARM_UP, MediaType.HTML, "warm.html", ParseLimits())


def _limit_everything_but_cpu_and_memory() -> tuple[str, ...]:
    unlimited = []
    for name, value in (("RLIMIT_CORE", 0), ("RLIMIT_FSIZE", 0), ("RLIMIT_NOFILE", _FILES_MAX)):
        try:
            resource.setrlimit(getattr(resource, name), (value, value))
        except (ValueError, OSError):
            unlimited.append(name)
    if _address_space_bytes() is None:
        unlimited.append("RLIMIT_AS")
    return tuple(unlimited)


def _limit(limits: ParseLimits) -> None:
    """The soft limits of one document: on top of what the process has used before it."""
    used_s = resource.getrusage(resource.RUSAGE_SELF)
    cpu_s = int(used_s.ru_utime + used_s.ru_stime) + 1 + limits.cpu_s
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, resource.RLIM_INFINITY))
    space_bytes = _address_space_bytes()
    if space_bytes is not None:
        resource.setrlimit(resource.RLIMIT_AS, (space_bytes + limits.memory_bytes_max, resource.RLIM_INFINITY))


def _address_space_bytes() -> int | None:
    """None where the system does not tell (macOS, which does not honour RLIMIT_AS either)."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    except OSError:
        return None
    return pages * resource.getpagesize()


if __name__ == "__main__":
    main()
