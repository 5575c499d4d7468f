"""A document and its chunks are changed over HTTP, and the next search tells it."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from domain.document import Indexed
from events.ids import DocumentId, KnowledgeBaseId
from events.steps import Step
from ingest.answers import exception_handlers
from ingest.request_id import RequestIdMiddleware
from knowledge.chunk import Chunk, chunk_ids, indexed_text
from knowledge.embedders import Embedding
from knowledge.errors import EmbeddingError, IndexUnavailable
from knowledge.vectors import Vectors
from millstream.problems import PROJECTION_PROBLEMS
from millstream.reading.changes import Changes
from millstream.reading.routes import reading_routes
from millstream.reading.routes_changes import changing_routes
from millstream.reading.stored import StoredDocuments
from processors.observing import ErrandEnded, NobodyWatches
from processors.revise import Reviser
from processors.rows import RowMaker
from projections.cursors import Cursors
from tests.searched import search_keyword
from tests.unit.millstream.services_in_memory import services_in_memory
from tests.unit.processors.chunked_document import CHUNKS, CountingEmbedder, World


class Watching(NobodyWatches):
    """Remembers what was told of rows that the API wrote."""

    def __init__(self) -> None:
        self.told: list[ErrandEnded] = []

    def errand_ended(self, errand: ErrandEnded) -> None:
        self.told.append(errand)


class Service:
    """The routes over a mill in memory with a searchable document."""

    def __init__(self) -> None:
        self.embedder = CountingEmbedder()
        self.world = World(self.embedder)
        self.document = DocumentId("")
        self.ids: list[str] = []
        self.index_is_down = False
        mill = self.world.mill
        stored = StoredDocuments(mill.log, self.world.blobs)
        self.keeps_changing = False
        self.watching = Watching()
        rows = RowMaker(self.world.blobs, self.world.index, self.embed)
        reviser = Reviser(mill.log, self.world.index, self.world.knowledge_bases, rows)

        async def revise(knowledge_base: KnowledgeBaseId, document: str) -> bool:
            if self.index_is_down:
                raise IndexUnavailable("away")
            if self.keeps_changing:
                return False
            return await reviser.revise(knowledge_base, document)

        services = services_in_memory(mill.log, mill.ids, mill.clock, blobs=self.world.blobs)
        app = Starlette(
            routes=[
                *reading_routes(stored, Cursors(b"s" * 16)),
                *changing_routes(Changes(services, stored, self.embed, revise, self.watching)),
            ],
            exception_handlers=exception_handlers(PROJECTION_PROBLEMS),
        )
        transport = httpx.ASGITransport(app=RequestIdMiddleware(app, new_request_id=mill.ids.unique))
        self.client = httpx.AsyncClient(transport=transport, base_url="http://mill")

    async def embed(self, _: Embedding, chunks: Sequence[Chunk]) -> Vectors:
        if any("unspeakable" in chunk.text for chunk in chunks):
            raise EmbeddingError("provider_400", "refused", is_permanent=True)
        return await self.embedder.embed_passages([indexed_text(chunk) for chunk in chunks])

    async def prepare(self) -> None:
        self.document = await self.world.chunked()
        await self.world.run(self.world.embed)
        await self.world.run(self.world.indexing)
        self.ids = chunk_ids(self.document, [f"passage {ordinal}" for ordinal in range(CHUNKS)])

    async def patch(self, below: str, body: Any, **headers: str) -> httpx.Response:
        path = f"/api/v1/knowledge-bases/{self.world.mill.knowledge_base}/documents/{self.document}{below}"
        return await self.client.patch(path, json=body, headers=headers)

    async def found(self, words: str) -> list[str]:
        return [hit.chunk.text for hit in await search_keyword(self.world.index, self.world.table, words, limit=99)]


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    made = Service()
    await made.prepare()
    yield made
    await made.client.aclose()


async def test_a_chunk_is_rewritten_and_switched_off_and_the_next_search_knows(service: Service) -> None:
    rewritten = await service.patch(f"/chunks/{service.ids[2]}", {"text": "dress the stones"})
    assert (rewritten.status_code, rewritten.json()["text"], rewritten.json()["edited"]) == (
        200,
        "dress the stones",
        True,
    )
    assert await service.found("stones") == ["dress the stones"]
    off = await service.patch(f"/chunks/{service.ids[2]}", {"enabled": False})
    assert (off.json()["enabled"], off.json()["text"], await service.found("stones")) == (False, "dress the stones", [])
    as_cut = await service.patch(f"/chunks/{service.ids[2]}", {"enabled": True, "text": None})
    assert (as_cut.json()["edited"], len(await service.found("passage"))) == (False, CHUNKS)


async def test_what_is_said_of_a_document_is_filtered_by_and_what_is_switched_off_is_not_found(
    service: Service,
) -> None:
    changed = await service.patch("", {"metadata": {"year": 2026}})
    assert (changed.status_code, changed.json()["metadata"]) == (200, {"year": 2026})
    (hit, *_) = await search_keyword(service.world.index, service.world.table, "passage", limit=1)
    assert hit.metadata == {"year": 2026}
    off = await service.patch("", {"enabled": False}, **{"If-Match": changed.headers["etag"]})
    assert (off.json()["enabled"], off.json()["searchable"], await service.found("passage")) == (False, False, [])
    late = await service.patch("", {"enabled": True}, **{"If-Match": changed.headers["etag"]})
    assert (late.status_code, late.json()["code"]) == (412, "precondition_failed")


async def test_while_the_index_is_away_the_change_is_a_fact_that_a_worker_carries_out(service: Service) -> None:
    service.index_is_down = True
    answer = await service.patch(f"/chunks/{service.ids[0]}", {"enabled": False})
    assert answer.status_code == 200
    assert (await service.world.mill.depth(Step.REVISE)).waiting == 1


@pytest.mark.parametrize(("is_away", "keeps_changing", "told"), [(False, False, 1), (True, False, 0), (False, True, 0)])
async def test_rows_are_told_of_as_written_only_where_they_were(
    service: Service, is_away: bool, keeps_changing: bool, told: int
) -> None:
    service.index_is_down, service.keeps_changing = is_away, keeps_changing
    assert (await service.patch("", {"metadata": {"year": 2026}})).status_code == 200
    assert [(one.stream_id, one.outcome) for one in service.watching.told] == [(service.document, "done")] * told


@pytest.mark.parametrize(
    ("below", "body", "status", "code"),
    [
        ("", {"metadata": {"": 1}}, 422, "validation_failed"),
        ("", {"enabled": None}, 422, "validation_failed"),
        ("", {"name": "x"}, 422, "validation_failed"),
        ("/chunks/" + "0" * 32, {"enabled": False}, 404, "unknown_chunk"),
        ("/chunks/ID", {"text": " "}, 422, "validation_failed"),
        ("/chunks/ID", {"text": "a\0b"}, 422, "validation_failed"),
        ("/chunks/ID", {"text": "x" * 16_001}, 422, "validation_failed"),
        ("/chunks/ID", {"text": "unspeakable"}, 502, "embedding_rejected"),
    ],
)
async def test_a_change_that_makes_no_sense_is_refused_and_leaves_no_fact(
    service: Service, below: str, body: Any, status: int, code: str
) -> None:
    answer = await service.patch(below.replace("ID", service.ids[0]), body)
    state = await service.world.mill.document(service.document)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert isinstance(state, Indexed)
    assert state.record.changes == 0


async def test_a_foreign_document_is_unknown(service: Service) -> None:
    mill = service.world.mill
    mill.knowledge_base, own = mill.ids.knowledge_base(2), mill.knowledge_base
    for below, body in (("", {"enabled": False}), (f"/chunks/{service.ids[0]}", {"enabled": False})):
        answer = await service.patch(below, body)
        assert (answer.status_code, answer.json()["code"]) == (404, "unknown_document")
    mill.knowledge_base = own
    assert len(await service.found("passage")) == CHUNKS
