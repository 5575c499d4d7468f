"""HTTP of what is stored of a document."""

import base64
from collections.abc import Awaitable, Callable
from typing import Any, Final
from urllib.parse import quote

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from domain.amounts import counted
from domain.document import About
from events.ids import DocumentId, KnowledgeBaseId, parse_document_id, parse_knowledge_base_id
from ingest.problems import ProblemCode, Rejected
from knowledge.text import Heading, Page, ParsedText, Table, TextFormat
from millstream.reading.ranges import Part, Unsatisfiable, part_of
from millstream.reading.shown import Span
from millstream.reading.stored import StoredDocuments
from projections.cursors import Cursors
from projections.errors import InvalidCursor
from projections.lists import Listing
from projections.parameters import Parameters

PAGE_NUMBER_MAX: Final = 999_999_999
TEXT_CHARACTERS_MAX: Final = 999_999_999
NEIGHBOURS_MAX: Final = 20
"""On each side of a chunk that is read."""

PLAIN: Final = "text/plain"
OCTETS: Final = "application/octet-stream"

HARMLESS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "sandbox; default-src 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}
"""What strangers wrote is nothing that a browser may run, or show as ours (OWASP file upload cheat sheet)."""

_encoder = msgspec.json.Encoder()


class DocumentText(msgspec.Struct, frozen=True, kw_only=True):
    """What was taken out of a document, or a part of it. `span` is the part of the whole text that `text` is;
    places of pages, headings and tables are in the whole text, in characters."""

    document_id: DocumentId
    text: str
    span: Span
    characters: int
    format: TextFormat
    title: str | None
    language: str | None
    parser: str
    pages: tuple[Page, ...]
    headings: tuple[Heading, ...]
    tables: tuple[Table, ...]
    warnings: tuple[str, ...]


def reading_routes(documents: StoredDocuments, cursors: Cursors) -> list[Route]:
    """The original, the text and the chunks of documents."""

    async def get_content(request: Request) -> Response:
        about = await documents.about(*_named(request))
        headers = _content_headers(about)
        if request.headers.get("if-none-match") in {"*", headers["ETag"]}:
            return Response(status_code=304, headers=headers)
        part = _part(request, about, headers["ETag"])
        if part is not None:
            headers["Content-Range"] = f"bytes {part.start}-{part.end - 1}/{about.size_bytes}"
        headers["Content-Length"] = str(about.size_bytes if part is None else part.length)
        pieces = await documents.original(about, part)
        status = 200 if part is None else 206
        if request.method == "HEAD":
            return Response(status_code=status, headers=headers, media_type=OCTETS)
        return StreamingResponse(pieces, status, headers, media_type=OCTETS)

    async def get_text(request: Request) -> Response:
        knowledge_base, document = _named(request)
        asked = Parameters(request.query_params.multi_items(), known=frozenset({"page", "start", "characters"}))
        page = asked.integer("page", 1, PAGE_NUMBER_MAX, 0)
        start = asked.integer("start", 0, TEXT_CHARACTERS_MAX, 0)
        characters = asked.integer("characters", 1, TEXT_CHARACTERS_MAX, TEXT_CHARACTERS_MAX)
        text = await documents.text(knowledge_base, document)
        shown = _shown_text(document, text, page, start, characters)
        if _prefers_plain(request.headers.get("accept", "")):
            return Response(shown.text.encode("utf-8", "replace"), media_type=PLAIN, headers=HARMLESS)
        return _json(shown)

    async def list_chunks(request: Request) -> Response:
        knowledge_base, document = _named(request)
        asked = Parameters(request.query_params.multi_items(), known=frozenset({"limit", "cursor"}))
        limit, cursor, scope = asked.limit(), asked.text("cursor"), f"{document}/chunks"
        start = 0 if cursor is None else _place(cursors.open(scope, cursor))
        chunks = await documents.chunks(knowledge_base, document)
        page, end = chunks[start : start + limit], start + limit
        following = cursors.seal(scope, str(end)) if end < len(chunks) else None
        return _json(Listing(tuple(page), len(chunks), following))

    async def get_chunk(request: Request) -> Response:
        asked = Parameters(request.query_params.multi_items(), known=frozenset({"neighbours"}))
        neighbours = asked.integer("neighbours", 0, NEIGHBOURS_MAX, 0)
        return _json(await documents.chunk(*_named(request), request.path_params["chunk_id"], neighbours=neighbours))

    return [
        _route("content", get_content, "get_document_content"),
        _route("text", get_text, "get_document_text"),
        _route("chunks", list_chunks, "list_chunks"),
        _route("chunks/{chunk_id}", get_chunk, "get_chunk"),
    ]


def _route(below: str, answer: Callable[[Request], Awaitable[Response]], name: str) -> Route:
    return Route(f"/api/v1/knowledge-bases/{{kb_id}}/documents/{{document_id}}/{below}", answer, name=name)


def _named(request: Request) -> tuple[KnowledgeBaseId, DocumentId]:
    params = request.path_params
    return parse_knowledge_base_id(params["kb_id"]), parse_document_id(params["document_id"])


def _content_headers(about: About) -> dict[str, str]:
    digest = base64.b64encode(bytes.fromhex(about.sha256)).decode()
    return {
        **HARMLESS,
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(about.filename, safe='', errors='replace')}",
        "ETag": f'"{about.sha256}"',
        "Accept-Ranges": "bytes",
        # RFC 9530: of the whole, also where a part is answered.
        "Repr-Digest": f"sha-256=:{digest}:",
    }


def _part(request: Request, about: About, tag: str) -> Part | None:
    """If-Range: whoever holds a part of other bytes gets the whole. Raises Rejected."""
    if request.headers.get("if-range", tag) != tag:
        return None
    try:
        return part_of(request.headers.get("range"), about.size_bytes)
    except Unsatisfiable:
        raise Rejected(
            ProblemCode.RANGE_NOT_SATISFIABLE,
            f"The document has {counted(about.size_bytes, 'byte')}.",
            headers={"Content-Range": f"bytes */{about.size_bytes}"},
        ) from None


def _shown_text(document: DocumentId, text: ParsedText, page: int, start: int, characters: int) -> DocumentText:
    """So many characters from `start` on, of all pages where `page` is 0. Raises Rejected for an unknown page."""
    found = next((one for one in text.pages if one.number == page), None)
    if page and found is None:
        raise Rejected(ProblemCode.NOT_FOUND, f"The document has no page {page}; it has {len(text.pages)}.")
    first, last = (0, len(text.text)) if found is None else (found.start, found.end)
    start = min(max(first, start), last)
    end = min(last, start + characters)
    is_whole = end - start == len(text.text)
    return DocumentText(
        document_id=document,
        text=text.text[start:end],
        span=(start, end),
        characters=len(text.text),
        format=text.format,
        title=text.title,
        language=text.language,
        parser=text.parser,
        pages=tuple(one for one in text.pages if is_whole or one is found or (one.start < end and start < one.end)),
        headings=tuple(one for one in text.headings if is_whole or start <= one.start < end),
        tables=tuple(one for one in text.tables if is_whole or start <= one.start < end),
        warnings=text.warnings,
    )


def _prefers_plain(accept: str) -> bool:
    """Whether plain text is named ahead of JSON (RFC 9110, section 12.5.1, without weights)."""
    types = [one.partition(";")[0].strip().lower() for one in accept.split(",")]
    wanted = next((one for one in types if one in {PLAIN, "application/json"}), None)
    return wanted == PLAIN


def _place(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise InvalidCursor("the cursor is not one of this list")
    return int(text)


def _json(answer: Any) -> Response:
    return Response(_encoder.encode(answer), media_type="application/json", headers={"Cache-Control": "no-store"})
