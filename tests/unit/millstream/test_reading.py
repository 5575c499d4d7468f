"""What is stored of a document comes back over HTTP: whole, in parts, and never where it is not what was recorded."""

import hashlib
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import httpx
import pytest
from starlette.applications import Starlette

from blobs.memory import MemoryBlobStore
from domain import commands as c
from domain.deciders import DOCUMENT, TASK
from domain.handle import Request, handle_together
from events.ids import DocumentId, KnowledgeBaseId, document_id
from events.memory import MemoryLog
from events.steps import Step
from ingest.answers import exception_handlers
from ingest.request_id import RequestIdMiddleware
from knowledge.chunk import Chunk, chunk_ids, count_tokens, encode_chunks
from knowledge.text import Heading, Page, ParsedText
from millstream.problems import PROJECTION_PROBLEMS
from millstream.reading.routes import reading_routes
from millstream.reading.stored import StoredDocuments
from processors.artifacts import chunks_blob, text_blob
from processors.failures import BlobCorrupt
from projections.cursors import Cursors
from tests.workshop import Workshop

BYTES = b"# Stones\n\nDress them.\n\nGrind slowly.\n"
TEXT = ParsedText(
    text="# Stones\n\nDress them.\n\nGrind 慢慢地.",
    pages=(Page(1, 0, 23), Page(2, 23, 34)),
    headings=(Heading(1, "Stones", 0),),
    title="Stones",
)
PIECES = ("# Stones\n\nDress them.", "Grind 慢慢地.")


class World(NamedTuple):
    client: httpx.AsyncClient
    shop: Workshop
    blobs: MemoryBlobStore
    kb_id: KnowledgeBaseId

    async def accept(self, sha256: str | None = None) -> DocumentId:
        task = self.shop.ids.task(self.kb_id)
        document = document_id(task, 0)
        accept = c.AcceptDocument(
            knowledge_base_id=self.kb_id,
            task_id=task,
            filename='石磨 "1".md',
            media_type="text/markdown",
            size_bytes=len(BYTES),
            sha256=sha256 or hashlib.sha256(BYTES).hexdigest(),
            source_blob=f"documents/{document}/source@1",
        )
        await self.blobs.put(accept.source_blob, BYTES)
        requests: list[Request[Any, Any]] = [
            Request(TASK, task, (c.SubmitTask(knowledge_base_id=self.kb_id, documents=1),)),
            Request(DOCUMENT, document, (accept,)),
        ]
        await handle_together(self.shop.log, requests, self.shop.context(task))
        return document

    async def chunk(self, document: DocumentId) -> list[str]:
        """From accepted to chunked; the ids of the chunks."""
        encoded = TEXT.encode()
        stored = await self.blobs.put(text_blob(document, 1, encoded), encoded)
        await self.shop.start(document)
        parsed = c.RecordParsed(attempt=1, text_blob=stored.key, parser="plain", pages=2, characters=34)
        await self.shop.work(document, parsed)
        ids = chunk_ids(document, PIECES)
        starts = [TEXT.text.index(piece) for piece in PIECES]
        chunks = [
            Chunk(one, place, piece, start, start + len(piece), place + 1, ("Stones",), count_tokens(piece))
            for place, (one, piece, start) in enumerate(zip(ids, PIECES, starts, strict=True))
        ]
        encoded = encode_chunks(chunks)
        stored = await self.blobs.put(chunks_blob(document, 1, encoded), encoded)
        await self.shop.start(document, Step.CHUNK)
        await self.shop.work(
            document, c.RecordChunked(attempt=1, chunks_blob=stored.key, chunks=2, tokens=9, chunker="markdown")
        )
        return ids

    async def get(self, document: str, below: str, **headers: str) -> httpx.Response:
        path = f"/api/v1/knowledge-bases/{self.kb_id}/documents/{document}/{below}"
        return await self.client.get(path, headers=headers)


@pytest.fixture
async def world() -> World:
    shop = Workshop(MemoryLog(partitions=2, clock_us=lambda: 1))
    blobs = MemoryBlobStore()
    app = Starlette(
        routes=reading_routes(StoredDocuments(shop.log, blobs), Cursors(b"s" * 16)),
        exception_handlers=exception_handlers(PROJECTION_PROBLEMS),
    )
    transport = httpx.ASGITransport(app=RequestIdMiddleware(app, new_request_id=shop.ids.unique))
    client = httpx.AsyncClient(transport=transport, base_url="http://mill")
    return World(client, shop, blobs, await shop.create())


async def test_the_original_is_an_attachment_that_no_browser_runs(world: World) -> None:
    answer = await world.get(await world.accept(), "content")
    assert (answer.status_code, answer.content) == (200, BYTES)
    assert answer.headers["content-type"] == "application/octet-stream"
    disposition = answer.headers["content-disposition"]
    assert disposition == "attachment; filename*=UTF-8''%E7%9F%B3%E7%A3%A8%20%221%22.md"
    assert answer.headers["content-security-policy"] == "sandbox; default-src 'none'"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"


@pytest.mark.parametrize(
    ("asked", "content", "told"),
    [
        ("bytes=2-7", BYTES[2:8], "bytes 2-7/37"),
        ("bytes=30-", BYTES[30:], "bytes 30-36/37"),
        ("bytes=-5", BYTES[-5:], "bytes 32-36/37"),
        ("bytes=30-9999", BYTES[30:], "bytes 30-36/37"),
        ("bytes=-9999", BYTES, "bytes 0-36/37"),
    ],
)
async def test_one_range_of_bytes_is_answered(world: World, asked: str, content: bytes, told: str) -> None:
    answer = await world.get(await world.accept(), "content", Range=asked)
    assert (answer.status_code, answer.content, answer.headers["content-range"]) == (206, content, told)


@pytest.mark.parametrize("asked", ["bytes=0-1,4-5", "bytes=7-2", "lines=1-2", "bytes=-", "bytes=a-b"])
async def test_what_is_no_single_range_is_answered_with_the_whole(world: World, asked: str) -> None:
    answer = await world.get(await world.accept(), "content", Range=asked)
    assert (answer.status_code, answer.content) == (200, BYTES)


async def test_a_range_behind_the_end_is_refused_and_a_part_of_other_bytes_is_not_continued(world: World) -> None:
    document = await world.accept()
    for asked in ("bytes=37-", "bytes=-0"):
        refused = await world.get(document, "content", Range=asked)
        assert (refused.status_code, refused.json()["code"]) == (416, "range_not_satisfiable")
        assert refused.headers["content-range"] == "bytes */37"
    tag = (await world.get(document, "content")).headers["etag"]
    fresh = await world.get(document, "content", Range="bytes=2-3", **{"If-Range": tag})
    stale = await world.get(document, "content", Range="bytes=2-3", **{"If-Range": '"other"'})
    known = await world.get(document, "content", **{"If-None-Match": tag})
    assert [answer.status_code for answer in (fresh, stale, known)] == [206, 200, 304]


async def test_bytes_that_are_not_those_that_were_accepted_never_look_whole(world: World) -> None:
    wrong = await world.accept(sha256="ab" * 32)
    gone = await world.accept()
    await world.blobs.delete(f"documents/{gone}/source@1")
    for document in (wrong, gone):
        answer = await world.get(document, "content")
        assert (answer.status_code, answer.json()["code"]) == (500, "document_damaged")


async def test_an_answer_that_has_begun_ends_too_early_where_the_bytes_turn_out_wrong(world: World) -> None:
    pieces = [b"a" * 10, b"b" * (len(BYTES) - 10)]

    class InPieces(MemoryBlobStore):
        async def read(self, key: str, *, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
            for piece in pieces:
                yield piece

    blobs = InPieces()
    documents = StoredDocuments(world.shop.log, blobs)
    document = await world.accept()
    about = await documents.about(world.kb_id, document)
    await blobs.put(about.source_blob, BYTES)
    sent = await documents.original(about, None)
    assert await anext(sent) == pieces[0]
    with pytest.raises(BlobCorrupt):
        await anext(sent)


async def test_the_text_comes_with_its_structure_whole_by_page_and_plain(world: World) -> None:
    document = await world.accept()
    early = await world.get(document, "text")
    await world.chunk(document)
    whole, page = (await world.get(document, "text")).json(), (await world.get(document, "text?page=2")).json()
    plain = await world.get(document, "text?page=2", Accept="text/plain")
    missing = await world.get(document, "text?page=3")

    assert (early.status_code, early.json()["code"]) == (409, "document_in_progress")
    assert (whole["text"], whole["title"], len(whole["pages"])) == (TEXT.text, "Stones", 2)
    assert whole["headings"] == [{"level": 1, "text": "Stones", "start": 0}]
    assert (page["text"], page["span"], page["pages"], page["headings"]) == (
        TEXT.text[23:],
        [23, 34],
        [{"number": 2, "start": 23, "end": 34}],
        [],
    )
    assert (plain.text, plain.headers["content-type"]) == (TEXT.text[23:], "text/plain; charset=utf-8")
    assert plain.headers["content-security-policy"] == "sandbox; default-src 'none'"
    assert missing.status_code == 404


async def test_a_text_is_read_a_part_at_a_time(world: World) -> None:
    document = await world.accept()
    await world.chunk(document)
    parts: list[dict[str, Any]] = []
    start = 0
    while start < len(TEXT.text):
        part = (await world.get(document, f"text?start={start}&characters=10")).json()
        assert (part["characters"], part["span"][0]) == (len(TEXT.text), start)
        parts, start = [*parts, part], part["span"][1]
    behind = (await world.get(document, "text?start=5000")).json()
    of_page = (await world.get(document, "text?page=2&start=25&characters=3")).json()

    assert "".join(part["text"] for part in parts) == TEXT.text
    assert [[one["number"] for one in part["pages"]] for part in parts] == [[1], [1], [1, 2], [2]]
    assert [len(part["headings"]) for part in parts] == [1, 0, 0, 0]
    assert (behind["text"], behind["span"]) == ("", [33, 33])
    assert (of_page["text"], of_page["span"]) == (TEXT.text[25:28], [25, 28])
    assert (await world.get(document, "text?characters=0")).status_code == 422


async def test_a_chunk_is_read_with_those_next_to_it(world: World) -> None:
    document = await world.accept()
    ids = await world.chunk(document)
    first, last = [(await world.get(document, f"chunks/{one}?neighbours=3")).json() for one in ids]

    assert [one["chunk_id"] for one in first["after"]] == [ids[1]]
    assert [one["chunk_id"] for one in last["before"]] == [ids[0]]
    assert first["after"] == [(await world.get(document, f"chunks/{ids[1]}")).json()]
    assert (await world.get(document, f"chunks/{ids[0]}?neighbours=21")).status_code == 422


async def test_chunks_come_in_pages_and_one_by_one(world: World) -> None:
    document = await world.accept()
    ids = await world.chunk(document)
    first = (await world.get(document, "chunks?limit=1")).json()
    second = (await world.get(document, f"chunks?limit=1&cursor={first['next_cursor']}")).json()
    one = await world.get(document, f"chunks/{ids[1]}")
    missing = await world.get(document, f"chunks/{'0' * 32}")

    assert [part["data"][0]["chunk_id"] for part in (first, second)] == ids
    assert (first["total"], second["next_cursor"]) == (2, None)
    assert second["data"] == [one.json()]
    assert one.json() == {
        "chunk_id": ids[1],
        "document_id": document,
        "ordinal": 1,
        "text": PIECES[1],
        "page": 2,
        "span": [23, 33],
        "headings": ["Stones"],
        "tokens": count_tokens(PIECES[1]),
        "enabled": True,
        "edited": False,
    }
    assert (missing.status_code, missing.json()["code"]) == (404, "unknown_chunk")


async def test_of_what_is_foreign_deleted_or_damaged_nothing_is_read(world: World) -> None:
    document = await world.accept()
    await world.chunk(document)
    other = world._replace(kb_id=await world.shop.create("other"))
    for below in ("content", "text", "chunks"):
        foreign = await other.get(document, below)
        assert (foreign.status_code, foreign.json()["code"]) == (404, "unknown_document")
    for name in [info.key async for info in world.blobs.list(f"documents/{document}/")]:
        await world.blobs.put(name, b"damaged")
    for below in ("content", "text", "chunks"):
        damaged = await world.get(document, below)
        assert (damaged.status_code, damaged.json()["code"]) == (500, "document_damaged")
    await world.shop.work(document, c.RemoveDocument())
    for below in ("content", "text", "chunks"):
        deleted = await world.get(document, below)
        assert (deleted.status_code, deleted.json()["code"]) == (409, "document_removed")
    assert (await other.get(document, "content")).status_code == 404


async def test_while_a_document_is_made_anew_the_chunks_are_shown_that_are_found(world: World) -> None:
    document = await world.accept()
    ids = await world.chunk(document)
    shop = world.shop
    await shop.start(document, Step.EMBED)
    batch = c.RecordBatchEmbedded(attempt=1, batch=0, first_chunk=0, last_chunk=1, vectors_blob="v")
    await shop.work(document, batch, c.RecordEmbedded(attempt=1, model="local", dimensions=2, tokens=9))
    await shop.start(document, Step.INDEX)
    await shop.work(document, c.RecordIndexed(attempt=1, generation=1, chunks=2))
    await shop.work(document, c.RequestReprocessing(reason="again", task_id=shop.ids.task(world.kb_id)))
    await shop.start(document, Step.PARSE, 2)
    await shop.work(document, c.RecordParsed(attempt=2, text_blob="t2", parser="plain", pages=1, characters=9))

    chunks = (await world.get(document, "chunks")).json()
    text = (await world.get(document, "text")).json()

    assert [chunk["chunk_id"] for chunk in chunks["data"]] == ids
    assert text["text"] == TEXT.text
