"""How a text would be cut is told over HTTP, and nothing of it stays."""

from typing import Any, NamedTuple

import httpx
import pytest
from starlette.applications import Starlette

from blobs.memory import MemoryBlobStore
from events.ids import KnowledgeBaseId
from events.memory import MemoryLog
from ingest.answers import exception_handlers
from ingest.request_id import RequestIdMiddleware
from knowledge.embedders import Remote
from knowledge.hash_embedder import HashEmbedder
from millstream.bootstrap import chunker_for
from millstream.problems import PROJECTION_PROBLEMS
from millstream.reading.preview import CHUNKS_MAX, Previews
from millstream.reading.routes_preview import preview_routes
from millstream.reading.stored import StoredDocuments
from processors.memory_provider import MemoryProviderGate
from processors.provider import Quota, Verdict
from tests.unit.millstream.services_in_memory import services_in_memory
from tests.workshop import Workshop

TEXT = "# Stones\n\n" + "Dress the stone before it grinds. 磨坊每天磨三十八吨小麦。 " * 20


SMALL_PARENTS = {"chunker": "parents", "chunk_parent_tokens": 16}


class World(NamedTuple):
    client: httpx.AsyncClient
    shop: Workshop
    kb_id: KnowledgeBaseId
    embedder: HashEmbedder
    gate: MemoryProviderGate

    async def ask(self, body: dict[str, Any], kb_id: str = "") -> httpx.Response:
        return await self.client.post(f"/api/v1/knowledge-bases/{kb_id or self.kb_id}/chunk-preview", json=body)


@pytest.fixture
async def world() -> World:
    shop = Workshop(MemoryLog(partitions=2, clock_us=lambda: 1))
    blobs = MemoryBlobStore()
    embedder = HashEmbedder(dimensions=8)
    gate = MemoryProviderGate(Quota(), clock_us=lambda: 1)
    previews = Previews(
        services_in_memory(shop.log, shop.ids, lambda: 1, blobs=blobs),
        StoredDocuments(shop.log, blobs),
        chunker_for,
        lambda _: embedder,
        gate,
    )
    app = Starlette(routes=preview_routes(previews), exception_handlers=exception_handlers(PROJECTION_PROBLEMS))
    transport = httpx.ASGITransport(app=RequestIdMiddleware(app, new_request_id=shop.ids.unique))
    return World(
        httpx.AsyncClient(transport=transport, base_url="http://mill"), shop, await shop.create(), embedder, gate
    )


async def test_a_provider_that_asked_for_a_pause_is_left_alone_and_the_caller_told_until_when(world: World) -> None:
    world.embedder.remote = Remote("somewhere#hash", 8)
    asked = {"text": TEXT, "settings": {"chunker": "semantic"}}
    assert (await world.ask(asked)).status_code == 200
    await world.gate.report("somewhere#hash", Verdict.REFUSED, retry_after_s=120)
    refused = await world.ask(asked)
    assert (refused.status_code, refused.json()["code"]) == (503, "embedding_unavailable")
    assert refused.headers["Retry-After"] == "120"


async def test_a_text_is_cut_by_the_settings_to_try(world: World) -> None:
    settings = {"chunker": "tokens", "chunk_tokens": 64, "chunk_overlap_tokens": 0}
    answer = (await world.ask({"text": TEXT, "settings": settings, "limit": 2})).json()
    assert (answer["chunker"], answer["counted_by"], len(answer["chunks"])) == ("tokens-64-0", "estimate", 2)
    assert answer["total"] > 5
    assert answer["tokens_max"] <= 64
    first, second = answer["chunks"]
    assert [TEXT[slice(*one["span"])] for one in (first, second)] == [first["text"], second["text"]]
    assert second["headings"] == ["Stones"]
    assert second["indexed_text"] == f"Stones\n{second['text']}"


async def test_meaning_is_asked_of_the_model(world: World) -> None:
    answer = await world.ask({"text": TEXT, "settings": {"chunker": "semantic", "chunk_breakpoint_percentile": 50}})
    assert answer.status_code == 200
    assert answer.json()["chunker"] == "semantic-256-32-50"


@pytest.mark.parametrize(
    ("body", "status", "pointer"),
    [
        ({}, 422, ""),
        ({"text": "a", "document_id": "doc_1"}, 422, ""),
        ({"text": ""}, 422, "/text"),
        ({"text": "x" * 200_001}, 422, "/text"),
        ({"text": "a", "limit": 0}, 422, "/limit"),
        ({"text": "a", "settings": {"chunker": "knife"}}, 422, "/settings/chunker"),
        (
            {"text": "a", "settings": {"chunk_tokens": 16, "chunk_overlap_tokens": 9}},
            422,
            "/settings/chunk_overlap_tokens",
        ),
        (
            {"text": "a", "settings": {"chunker": "parents", "chunk_parent_tokens": 16}},
            422,
            "/settings/chunk_parent_tokens",
        ),
    ],
)
async def test_what_makes_no_sense_is_refused(world: World, body: dict[str, Any], status: int, pointer: str) -> None:
    answer = await world.ask(body)
    assert (answer.status_code, answer.json()["code"]) == (status, "validation_failed")
    assert answer.json()["errors"][0]["pointer"] == pointer


async def test_what_is_not_there_is_not_found(world: World) -> None:
    assert CHUNKS_MAX == 100_000
    missing = await world.ask({"text": "a"}, kb_id="kb_" + "0" * 16)
    assert missing.status_code == 404
    assert (await world.ask({"document_id": "doc_none"})).status_code == 404
