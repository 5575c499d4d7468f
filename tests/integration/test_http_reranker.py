"""The `/rerank` protocol over real HTTP, faults included."""

from collections.abc import AsyncIterator

import msgspec
import pytest

from knowledge.errors import ProviderError
from knowledge.http_reranker import ANSWER_BYTES_MAX, HttpReranker
from knowledge.reranker import Candidate
from tests.servers.scripted_http import ScriptedServer, answer_of, dripping, scripted_server

CANDIDATES = [Candidate("rye", 0.9), Candidate("石磨 \ud800", 0.5)]
KEY = "sk-of-a-test"


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with scripted_server() as server:
        yield server


async def reranked(server: ScriptedServer, answer: object) -> list[float]:
    server.answers["/v1/rerank"] = answer if isinstance(answer, bytes) else answer_of(200, msgspec.json.encode(answer))
    reranker = HttpReranker(base_url=server.url("/v1"), api_key=KEY, model="bge")
    try:
        return await reranker.rerank("flour", CANDIDATES)
    finally:
        await reranker.close()


def results(*pairs: tuple[object, object]) -> dict[str, object]:
    return {"id": "x", "results": [{"index": index, "relevance_score": score} for index, score in pairs], "meta": {}}


async def test_scores_come_back_in_the_order_of_the_texts(server: ScriptedServer) -> None:
    assert await reranked(server, results((1, 0.75), (0, 0.25))) == [0.25, 0.75]
    (request,) = server.requests
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert msgspec.json.decode(request.body) == {
        "model": "bge", "query": "flour", "documents": ["rye", "石磨 ?"], "top_n": 2, "return_documents": False,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (results((0, 0.5)), "rerank_answer"),
        (results((0, 0.5), (0, 0.5)), "rerank_answer"),
        (results((0, 0.5), (2, 0.5)), "rerank_answer"),
        (results((0, "best"), (1, 0.5)), "rerank_answer"),
        (results((0, None), (1, 0.5)), "rerank_answer"),
        ({"results": None}, "rerank_answer"),
        ([1], "rerank_answer"),
        (answer_of(200, b'{"results":[{"index":0,"relevance_score":1e999},{"index":1,"relevance_score":0}]}'),
         "rerank_answer"),
        (answer_of(200, b"<html>Welcome</html>"), "rerank_answer"),
        (answer_of(200, b"[" * 200_000), "rerank_answer"),
        (answer_of(200, b" " * (ANSWER_BYTES_MAX + 1)), "provider_answer"),
        (answer_of(200, b"{}", content_encoding="gzip"), "provider_answer"),
        (answer_of(302, location="http://127.0.0.1:1/"), "provider_302"),
        (answer_of(401, KEY.encode()), "provider_401"),
        (answer_of(429, retry_after="7"), "provider_429"),
        (answer_of(503), "provider_503"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\n{", "provider_unreachable"),
        (b"nonsense", "provider_unreachable"),
    ],
)  # fmt: skip
async def test_whatever_else_comes_is_one_kind_of_error(server: ScriptedServer, answer: object, code: str) -> None:
    with pytest.raises(ProviderError) as refusal:
        await reranked(server, answer)
    assert refusal.value.code == code
    assert KEY not in str(refusal.value)
    assert refusal.value.retry_after_s == (7.0 if code == "provider_429" else None)
    assert refusal.value.is_permanent == (code in ("provider_401", "provider_302"))


async def test_an_answer_that_drips_ends_with_the_deadline(server: ScriptedServer) -> None:
    server.answers["/v1/rerank"] = dripping(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n", b" ")
    reranker = HttpReranker(base_url=server.url("/v1"), api_key=None, model="bge", call_s_max=0.2)
    with pytest.raises(ProviderError) as refusal:
        await reranker.rerank("flour", CANDIDATES)
    assert refusal.value.code == "provider_timeout"
    await reranker.close()
