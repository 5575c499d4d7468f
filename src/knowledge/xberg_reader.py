"""The one file that calls xberg: bytes -> its tree of blocks, its errors -> ours."""

import asyncio
import re
from collections.abc import Mapping
from functools import cache
from typing import Any, Final

import msgspec

from knowledge.errors import ParseError, ParseErrorCode
from knowledge.limits import ParseLimits
from knowledge.structure import Block, Node

MESSAGE_CHARS_MAX: Final = 200
# What Word's PDF printer puts before the name of the file.
_WORD_PRINTER: Final = "Microsoft Word - "
# Said of every short or Chinese PDF: a check that did not run is nothing to warn about.
_NO_NEWS: Final = "No page of this document holds enough prose"
_ISSUE: Final = re.compile(r"\s*\(issue #\d+\)")
# What each layer of the native code puts before the reason: "Parsing error: xberg_native_pdf text extraction failed: ".
_LAYERS: Final = re.compile(
    r"^(?:(?:parsing error|xberg_native_\w+[^:]*|[\w ]+ failed|failed to load bytes): )+", re.IGNORECASE
)
_ENCRYPTED_WORDS: Final = ("encrypted", "password")
_LIMIT_WORDS: Final = ("security violation", "limit exceeded", "security_limits", "timed out", "timeout", "too large")


class Sheet(msgspec.Struct, frozen=True):
    """One sheet of a workbook: its number from 1, its name, and the rows of its tables."""

    number: int
    name: str
    tables: tuple[tuple[tuple[str, ...], ...], ...]


class Extracted(msgspec.Struct, frozen=True):
    """What xberg makes of a document; `sheets` for workbooks, `nodes` for everything else."""

    nodes: tuple[Node, ...]
    sheets: tuple[Sheet, ...]
    page_count: int
    title: str | None
    language: str | None
    warnings: tuple[str, ...]


def extract(
    data: bytes, media_type: str, filename: str, limits: ParseLimits, *, output_format: str, is_workbook: bool
) -> Extracted:
    """Reads `data` as `media_type`, without OCR, network or cache.

    Must not run inside an event loop. Raises ParseError: encrypted_document, resource_limit, or parse_failed with
    the first line of xberg's reason.
    """
    import xberg  # 160 MB, 0.3 s: only in the process that parses

    config = xberg.ExtractionConfig(
        use_cache=False,
        disable_ocr=True,
        output_format=output_format,
        include_document_structure=not is_workbook,
        pages=xberg.PageConfig(extract_pages=True),
        content_filter=xberg.ContentFilterConfig(
            include_headers=True, include_footers=True, include_footnotes=True, strip_repeating_text=False
        ),
        security_limits=xberg.SecurityLimits(
            max_archive_size=limits.archive_bytes_max,
            max_compression_ratio=limits.archive_ratio_max,
            max_files_in_archive=limits.archive_entries_max,
            max_content_size=2 * limits.text_bytes_max,  # the tree repeats some of the text
            max_table_cells=limits.table_cells_max,
            max_pages=limits.pages_max,
        ),
        max_archive_depth=0,  # what is attached to a mail or packed into a file is another document
        extraction_timeout_secs=limits.wall_s,
        concurrency=xberg.ConcurrencyConfig(max_threads=1),
    )
    document = _run(xberg.ExtractInput(kind="bytes", bytes=data, mime_type=media_type, filename=filename), config)
    structure = document.document
    return Extracted(
        nodes=tuple(_node(node) for node in structure.nodes) if structure is not None else (),
        sheets=tuple(_sheets(document)) if is_workbook else (),
        page_count=document.metadata.pages.total_count if document.metadata.pages else len(document.pages or ()),
        title=(document.metadata.title or "").removeprefix(_WORD_PRINTER) or None,
        language=document.metadata.language,
        warnings=tuple(
            _first_line(warning.message)
            for warning in document.processing_warnings
            if not warning.message.startswith(_NO_NEWS)
        ),
    )


def version() -> str:
    """Name and version of the parser, as kept with every text."""
    import xberg

    return f"xberg {xberg.__version__}"


def _run(document: Any, config: Any) -> Any:
    import xberg

    try:
        answer = _loop().run_until_complete(xberg.extract(document, config))
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # a panic in the native code derives from BaseException
        raise _translated(str(error)) from error
    if answer.errors:
        raise _translated(answer.errors[0].message)
    if not answer.results:
        raise ParseError(ParseErrorCode.PARSE_FAILED, "the parser gave no result")
    return answer.results[0]


@cache
def _loop() -> asyncio.AbstractEventLoop:
    # xberg now and then crashes at the interpreter's exit after several event loops: one for each process.
    return asyncio.new_event_loop()


def _translated(message: str) -> ParseError:
    lowered = message.lower()
    if any(word in lowered for word in _ENCRYPTED_WORDS):
        return ParseError(ParseErrorCode.ENCRYPTED_DOCUMENT, "the document is encrypted; a password is needed")
    if any(word in lowered for word in _LIMIT_WORDS):
        return ParseError(ParseErrorCode.RESOURCE_LIMIT, _first_line(message))
    reason = _first_line(_LAYERS.sub("", message.strip()))
    return ParseError(ParseErrorCode.PARSE_FAILED, f"the file is damaged, or not what its type says ({reason})")


def _first_line(message: str) -> str:
    return _ISSUE.sub("", (message.strip().splitlines() or ["unknown reason"])[0])[:MESSAGE_CHARS_MAX]


def _node(node: Any) -> Node:
    attributes: Mapping[str, str] = node.attributes or {}
    return Node(
        # The typed accessors give one variant each; its own JSON holds them all.
        block=msgspec.json.decode(str(node.content), type=Block),
        page=node.page,
        parent=node.parent,
        marker=attributes.get("list_marker"),
    )


def _sheets(document: Any) -> list[Sheet]:
    tables: dict[int, list[tuple[tuple[str, ...], ...]]] = {}
    for table in document.tables:
        tables.setdefault(table.page_number, []).append(tuple(tuple(row) for row in table.cells))
    return [
        Sheet(number=page.page_number, name=page.sheet_name or "", tables=tuple(tables.get(page.page_number, ())))
        for page in document.pages or ()
    ]
