from typing import Any

import httpx
import msgspec
import pytest
from starlette.applications import Starlette
from starlette.requests import Request

from knowledge.errors import InvalidSearch
from knowledge.hash_embedder import HashEmbedder
from knowledge.index import IndexRow, IndexTable
from knowledge.memory_index import MemoryIndex
from knowledge.retriever import Retriever
from knowledge.routes import BODY_BYTES_MAX, search_routes
from knowledge.search import SearchScope
from tests.contract.index_contract import rows_of


class UnknownKnowledgeBase(Exception):
    pass


async def resolve_scope(request: Request, kb_id: str) -> SearchScope:
    if kb_id not in ("kb_one", "kb_two"):
        raise UnknownKnowledgeBase(kb_id)
    return SearchScope(kb_id, 1, "hash", 0.3)


async def read_body(request: Request, bytes_max: int) -> bytes:
    """What the headers have to say, and how much may come, is the business of whoever mounts the routes."""
    body = await request.body()
    assert len(body) <= bytes_max
    return body


@pytest.fixture
async def client() -> httpx.AsyncClient:
    index, embedder = MemoryIndex(), HashEmbedder()
    for kb_id, text in (("kb_one", "Rye flour, 25 kg"), ("kb_two", "石磨与面粉")):
        row = rows_of("doc_1", [text], page=2, lang="en")[0]
        vector = await embedder.embed_query(text)
        written = IndexRow(row.document_id, row.filename, row.chunk, vector, row.metadata)
        await index.upsert(IndexTable(kb_id, 1), "doc_1", [written])
    app = Starlette(routes=search_routes(Retriever(index, lambda _: HashEmbedder()), resolve_scope, read_body))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://test")


async def post(client: httpx.AsyncClient, path: str, body: object) -> dict[str, Any]:
    response = await client.post(f"/api/v1{path}", content=msgspec.json.encode(body))
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    answer: dict[str, Any] = response.json()
    return answer


async def test_one_knowledge_base_is_searched(client: httpx.AsyncClient) -> None:
    answer = await post(client, "/knowledge-bases/kb_one/search", {"query": " flour ", "top_k": 3})
    assert answer["mode"] == "hybrid"
    assert answer["took_ms"] >= 0
    (passage,) = answer["passages"]
    assert set(passage) == {
        "chunk_id", "document_id", "knowledge_base_id", "filename", "text", "score", "scores", "page", "span",
        "headings", "highlights", "metadata", "context", "parent_text",
    }  # fmt: skip
    assert (passage["document_id"], passage["page"], passage["span"]) == ("doc_1", 2, [0, 16])
    assert passage["highlights"] == [[4, 9]]
    assert set(passage["scores"]) == {"keyword", "vector", "fused", "rerank"}
    assert (answer["profile"], answer["reranker"], answer["warnings"]) == ("fast", None, [])
    assert passage["metadata"] == {"lang": "en"}


async def test_several_knowledge_bases_are_searched(client: httpx.AsyncClient) -> None:
    body = {"knowledge_base_ids": ["kb_one", "kb_two", "kb_one"], "query": "面粉", "mode": "keyword"}
    answer = await post(client, "/search", body)
    assert [passage["knowledge_base_id"] for passage in answer["passages"]] == ["kb_two"]


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", msgspec.DecodeError),
        (b"{", msgspec.DecodeError),
        (b"{}", msgspec.ValidationError),
        (b'{"query": "x", "topk": 3}', msgspec.ValidationError),
        (b'{"query": "x", "top_k": 0}', msgspec.ValidationError),
        (b'{"query": "x", "mode": "magic"}', msgspec.ValidationError),
        (b'{"query": 5}', msgspec.ValidationError),
        (b'{"query": "x", "neighbours": 6}', msgspec.ValidationError),
        (b'{"query": "x", "vector_weight": 1.1}', msgspec.ValidationError),
        (b'{"query": "x", "profile": "best"}', msgspec.ValidationError),
        (b'{"query": "x", "fusion": "sum"}', msgspec.ValidationError),
        (b'{"query": " "}', InvalidSearch),
        (b'{"query": "\xff"}', (UnicodeDecodeError, msgspec.DecodeError)),
        (b'{"query": "x", "filters": ' + b'{"not":' * 30_000, RecursionError),
        (b" " * (BODY_BYTES_MAX + 1), AssertionError),
    ],
)
async def test_a_body_that_is_no_search_is_refused(
    client: httpx.AsyncClient, content: bytes, error: type[Exception] | tuple[type[Exception], ...]
) -> None:
    with pytest.raises(error):
        await client.post("/api/v1/knowledge-bases/kb_one/search", content=content)


async def test_an_unknown_knowledge_base_ends_the_search(client: httpx.AsyncClient) -> None:
    with pytest.raises(UnknownKnowledgeBase):
        await client.post("/api/v1/search", json={"query": "x", "knowledge_base_ids": ["kb_one", "kb_three"]})


async def test_no_knowledge_base_at_all_is_refused(client: httpx.AsyncClient) -> None:
    with pytest.raises(msgspec.ValidationError):
        await client.post("/api/v1/search", json={"query": "x", "knowledge_base_ids": []})
