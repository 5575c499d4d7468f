"""Every real file beside the checkout through the parser, each in a process of its own: what comes out, and its price.

    .venv/bin/python bench/formats.py [--only SUBSTRING] [--rows]

Prints a row a file (found phrases, pages, headings, tables, language, seconds, peak memory), and for each format how
many files came out as expected, were opened, had all their known phrases, in the order in which they are read.
"""

import argparse
import json
import os
import re
import resource
import shutil
import time
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

import msgspec

from bench.figures import note, reported
from knowledge.errors import ParseError
from knowledge.limits import ParseLimits
from knowledge.media_type import SNIFF_BYTES, sniff
from knowledge.parsers import parse

ROOT: Final = Path(__file__).resolve().parents[1]
DOCUMENTS: Final = ROOT / ".." / "shared" / "data" / "documents"
S_MAX: Final = 120
_IGNORED: Final = re.compile("[\u200e\u200f\u202a-\u202e\u0640\u00ad]")


class Expected(msgspec.Struct, frozen=True):
    """What the manifest says of a file."""

    path: str
    format: str
    expect: str
    phrases: tuple[str, ...] = ()
    ocr_phrase: str | None = None


class Manifest(msgspec.Struct, frozen=True):
    """The list of files."""

    files: tuple[Expected, ...]


class Row(msgspec.Struct, frozen=True):
    """One file as it came out."""

    path: str
    format: str
    expect: str
    outcome: str
    is_right: bool
    pages: int = 0
    headings: int = 0
    tables: int = 0
    language: str = ""
    parser: str = ""
    seconds: float = 0.0
    memory_mib: int = 0
    missing: tuple[str, ...] = ()
    phrases: int = 0
    is_in_order: bool | None = None


def compared(text: str) -> str:
    """As the manifest's README says."""
    return " ".join(_IGNORED.sub("", unicodedata.normalize("NFKC", text).lower()).split())


def measured(connection: Connection, path: Path, expected: Expected) -> None:
    """Parses in this process and sends the row; leaves at once."""
    data = path.read_bytes()
    media_type = sniff(data[:SNIFF_BYTES], data, path.name)
    parse(b"<html><body><p>warm</p></body></html>", media_type.HTML, "warm.html", ParseLimits())
    start = time.perf_counter()
    try:
        text = parse(data, media_type, path.name, ParseLimits())
        outcome, error = "text", ""
    except ParseError as refused:
        text, outcome, error = None, refused.code.value, refused.message
    except Exception as crash:
        text, outcome, error = None, "crash", f"{type(crash).__name__}: {crash}"
    seconds = time.perf_counter() - start
    wanted = expected.phrases or ((expected.ocr_phrase,) if expected.ocr_phrase else ())
    found = compared(text.text) if text else ""
    missing = tuple(phrase for phrase in wanted if compared(phrase) not in found)
    peak_kib = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    row = Row(
        path=expected.path,
        format=expected.format,
        expect=expected.expect,
        outcome=outcome if text else f"{outcome}: {error}"[:70],
        is_right=is_right(expected, outcome, missing, text.warnings if text else ()),
        pages=len(text.pages) if text else 0,
        headings=len(text.headings) if text else 0,
        tables=len(text.tables) if text else 0,
        language=(text.language or "") if text else "",
        parser=text.parser if text else "",
        seconds=seconds,
        memory_mib=peak_kib // 1024,
        missing=missing if expected.expect in {"text", "no-text"} else (),
        phrases=len(wanted) if expected.expect in {"text", "no-text"} else 0,
        is_in_order=is_in_order(found, wanted) if len(wanted) > 1 and not missing else None,
    )
    connection.send_bytes(msgspec.json.encode(row))
    connection.close()
    os._exit(0)


def is_right(expected: Expected, outcome: str, missing: tuple[str, ...], warnings: tuple[str, ...]) -> bool:
    """Whether a file came out as the manifest wants it."""
    match expected.expect:
        case "text":
            return not missing
        case "no-text" if expected.ocr_phrase and shutil.which("tesseract"):
            return not missing
        case "no-text":
            return outcome == "no_text" or any(warning.startswith(("no_text", "ocr")) for warning in warnings)
        case "password":
            return outcome == "encrypted_document"
        case "unsupported":
            return outcome != "crash"
        case _:
            return outcome != "crash"


def is_in_order(text: str, phrases: tuple[str, ...]) -> bool:
    """Whether the phrases, which the manifest has from the beginning to the end of a file, follow one another."""
    places = [text.find(compared(phrase)) for phrase in phrases]
    return places == sorted(places)


def row_of(expected: Expected) -> Row:
    """The row of one file; a process that dies or is silent too long is one, too."""
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=measured, args=(theirs, DOCUMENTS / expected.path, expected), daemon=True)
    process.start()
    theirs.close()
    try:
        if ours.poll(S_MAX):
            return msgspec.json.decode(ours.recv_bytes(), type=Row)
        reason = f"no answer in {S_MAX} s"
    except EOFError:
        reason = "the process died"
    finally:
        process.kill()
        process.join()
    return Row(expected.path, expected.format, expected.expect, reason, is_right=False)


def print_rows(rows: list[Row]) -> None:
    """A table for people."""
    print(f"{'file':38} {'expect':12} ok  pages head tabl lang     s  MiB  outcome")
    for row in rows:
        mark = "ok" if row.is_right else "NO"
        counts = f"{row.pages:5} {row.headings:4} {row.tables:4} {row.language:4}"
        missing = f"  missing {len(row.missing)}: {row.missing[0][:30]!r}" if row.missing else ""
        cost = f"{row.seconds:5.2f} {row.memory_mib:4}"
        print(f"{row.path:38} {row.expect:12} {mark}  {counts} {cost}  {row.outcome} {row.parser}{missing}")


def print_formats(rows: list[Row]) -> None:
    """A line for each format and one for all, in Markdown."""
    heads = (
        "format",
        "files",
        "as expected",
        "opened",
        "phrases found",
        "in order",
        "pages",
        "headings",
        "tables",
        "language",
    )
    print(f"\n| {' | '.join(heads)} | slowest s | memory MiB |\n|{'---|' * (len(heads) + 2)}")
    for name in sorted({row.format for row in rows}):
        print_line(name, [row for row in rows if row.format == name])
    print_line("**all**", rows)


def print_line(name: str, rows: list[Row]) -> None:
    """Of how many files it holds; `3 of 4` where it is asked of some alone."""
    known = [row for row in rows if row.phrases]
    ordered = [row for row in rows if row.is_in_order is not None]
    opened = [row for row in rows if row.outcome == "text"]
    cells = [
        len(rows),
        sum(row.is_right for row in rows),
        len(opened),
        f"{sum(not row.missing for row in known)} of {len(known)}" if known else "",
        f"{sum(row.is_in_order is True for row in ordered)} of {len(ordered)}" if ordered else "",
        *(sum(getattr(row, what) > 0 for row in opened) for what in ("pages", "headings", "tables")),
        sum(bool(row.language) for row in opened),
        f"{max(row.seconds for row in rows):.2f}",
        max(row.memory_mib for row in rows),
    ]
    print(f"| {name} | {' | '.join(map(str, cells))} |")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    arguments.add_argument("--only", default="", help="files whose path contains this")
    arguments.add_argument("--rows", action="store_true", help="rows as JSON lines")
    chosen = arguments.parse_args()
    manifest = msgspec.json.decode((DOCUMENTS / "manifest.json").read_bytes(), type=Manifest)
    files = [file for file in manifest.files if chosen.only in file.path]
    with ThreadPoolExecutor(2) as threads:
        rows = list(threads.map(row_of, files))
    if chosen.rows:
        for row in rows:
            print(json.dumps(msgspec.to_builtins(row), ensure_ascii=False))
        return
    print_rows(rows)
    print_formats(rows)
    right = sum(row.is_right for row in rows)
    note("files as expected", "of the files", right / len(rows))
    note("slowest file", "s", max(row.seconds for row in rows))
    note("peak memory", "MiB", max(row.memory_mib for row in rows))
    tesseract = "with" if shutil.which("tesseract") else "without"
    print(f"\n{right} of {len(rows)} as expected, {os.cpu_count()} CPUs, {tesseract} tesseract")
    if right < len(rows):
        wrong = ", ".join(row.path for row in rows if not row.is_right)
        print(f"not as expected: {wrong}")


if __name__ == "__main__":
    with reported():
        main()
