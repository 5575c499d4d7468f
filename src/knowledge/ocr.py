"""Pictures of text -> text, by the tesseract that is installed; nothing is read where there is none.

Tesseract is a program of its own. It inherits the limits of the process that parses, gets the picture through a pipe
and answers through one, so it neither needs nor leaves a file.
"""

import io
import os
import shutil
import subprocess
import time
from collections import defaultdict
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Final

import msgspec

from knowledge.limits import Ocr, ParseLimits

if TYPE_CHECKING:
    from PIL.Image import Image

PROGRAM: Final = "tesseract"
LANGUAGES: Final = ("chi_sim", "eng")
"""In this order: with English first, Chinese terms in English lines are lost."""
HOW_TO_INSTALL: Final = (
    "to have it read, install tesseract-ocr (and tesseract-ocr-chi-sim for Chinese) where the workers run, "
    "and process the document again"
)
SIDE_PIXELS_MAX: Final = 3_500
"""A4 at 300 dots an inch; more costs time and reads no better."""
CONFIDENT: Final = 75.0
"""Mean confidence (0 to 100) of a page that was read the right way up: 85 and more; upside down 30 to 60."""
CONFIDENCE_MIN: Final = 40.0
"""Below it a picture shows something other than text."""
_TURNS: Final = (180, 90, 270)
_WORD_LEVEL: Final = "5"


class Recognised(msgspec.Struct, frozen=True):
    """The text of one picture, a blank line between paragraphs, and how sure of it tesseract is (0 to 100)."""

    text: str = ""
    confidence: float = 0.0


class OcrBudget:
    """The time that one document has for all its pages."""

    def __init__(self, limits: ParseLimits, *, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._clock_s = clock_s
        self._end_s = clock_s() + limits.ocr_s

    def page_s(self) -> float:
        """Seconds that the next call may take; not above 0 once the budget is used up."""
        return min(float(self._limits.ocr_page_s), self._end_s - self._clock_s())


def is_available(limits: ParseLimits) -> bool:
    """Whether pictures are read at all."""
    return limits.ocr is Ocr.AUTO and languages() != ""


def why_not(limits: ParseLimits) -> str:
    """What to do about it, for the person whose scan was not read."""
    return "OCR is switched off (setting `ocr`)" if limits.ocr is Ocr.OFF else HOW_TO_INSTALL


@cache
def languages() -> str:
    """What is given to `-l`: those of ours that are installed, else all others; empty without tesseract."""
    if shutil.which(PROGRAM) is None:
        return ""
    listed = _run(["--list-langs"], b"", 10.0) or b""
    installed = [line.strip() for line in listed.decode("utf-8", "replace").splitlines()[1:]]
    known = [name for name in LANGUAGES if name in installed]
    return "+".join(known or [name for name in installed if name not in {"osd", "equ", "snum"}][:2])


def version() -> str:
    """Name, version and languages, as kept with every text that was read so."""
    first = (_run(["--version"], b"", 10.0) or b"").decode("utf-8", "replace").split("\n", 1)[0].strip()
    return f"{first or PROGRAM} ({languages()})"


def recognise(picture: "Image", budget: OcrBudget) -> Recognised | None:
    """The text of `picture`; blank where it shows none, None where time ran out before it was read.

    A page that lies on its side or its head is turned until it reads well.
    """
    best = _recognise(picture, budget, mode="1")
    if best is None or not best.text or best.confidence >= CONFIDENT:
        return best
    for degrees in _TURNS:
        turned = _recognise(picture.rotate(degrees, expand=True), budget, mode="3")
        if turned is not None and turned.confidence > best.confidence:
            best = turned
        if best.confidence >= CONFIDENT:
            break
    return best if best.confidence >= CONFIDENCE_MIN else Recognised()


def prepared(picture: "Image") -> "Image":
    """Grey, on white where it was transparent, no side above 3,500 pixels."""
    from PIL import Image

    if picture.mode in {"RGBA", "LA", "PA"} or "transparency" in picture.info:
        alpha = picture.convert("RGBA")
        picture = Image.new("RGBA", alpha.size, "white")
        picture.alpha_composite(alpha)
    grey = picture.convert("L")
    grey.thumbnail((SIDE_PIXELS_MAX, SIDE_PIXELS_MAX))
    return grey


def is_blank(picture: "Image") -> bool:
    """Whether a grey picture shows one shade alone."""
    darkest, lightest = picture.getextrema()
    return bool(darkest == lightest)


def _recognise(picture: "Image", budget: OcrBudget, *, mode: str) -> Recognised | None:
    seconds = budget.page_s()
    if seconds <= 0:
        return None
    encoded = io.BytesIO()
    picture.save(encoded, "PNG", compress_level=1)
    table = _run(["stdin", "stdout", "-l", languages(), "--psm", mode, "tsv"], encoded.getvalue(), seconds)
    return None if table is None else read_table(table.decode("utf-8", "replace"))


def read_table(table: str) -> Recognised:
    """The words of tesseract's TSV: lines of a paragraph under one another, paragraphs apart."""
    lines: dict[tuple[int, ...], list[str]] = defaultdict(list)
    weight = total = 0.0
    for row in table.splitlines()[1:]:
        cells = row.split("\t")
        if len(cells) != 12 or cells[0] != _WORD_LEVEL or not cells[11].strip():
            continue
        lines[tuple(int(cell) for cell in cells[1:5])].append(cells[11])
        weight += len(cells[11])
        total += len(cells[11]) * float(cells[10])
    paragraphs: dict[tuple[int, ...], list[str]] = defaultdict(list)
    for place, words in lines.items():
        paragraphs[place[:3]].append(" ".join(words))
    text = "\n\n".join("\n".join(paragraph) for paragraph in paragraphs.values())
    return Recognised(text=text, confidence=total / weight if weight else 0.0)


def _run(arguments: list[str], given: bytes, seconds: float) -> bytes | None:
    """None where it took too long or failed: a picture that breaks tesseract is one without text."""
    # One thread: several on few cores are slower, and each has 8 MB of address space.
    environment = {**os.environ, "OMP_THREAD_LIMIT": "1"}
    try:
        done = subprocess.run(  # noqa: S603  the program is a constant, found on the PATH that the worker was given
            [PROGRAM, *arguments],
            input=given,
            capture_output=True,
            timeout=seconds,
            env=environment,
            check=False,
        )
    except (subprocess.TimeoutExpired, OSError):
        return None
    return done.stdout if done.returncode == 0 else None
