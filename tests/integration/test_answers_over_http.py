"""Questions over HTTP, with the real LlamaIndex in front of a chat endpoint and a reranker that tests script."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgspec
import pytest
from msgspec import structs
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.types import Message

from ingest.answers import exception_handlers
from ingest.body import read_json_bytes
from knowledge.answering import Answerer
from knowledge.embedders import Embedding
from knowledge.hash_embedder import HashEmbedder
from knowledge.http_reranker import HttpReranker
from knowledge.index import IndexTable
from knowledge.llama_model import EndpointModel
from knowledge.memory_index import MemoryIndex
from knowledge.retriever import Retriever
from knowledge.routes_answers import answer_routes
from knowledge.search import SearchScope
from projections.streamed import StreamedEvents
from tests.contract.index_contract import rows_of
from tests.servers.scripted_http import ScriptedServer, answer_of, dripping, scripted_server

PATH = "/api/v1/knowledge-bases/kb_one/answers"
CHAT = "/v1/chat/completions"
KEY = "sk-of-a-test"
QUESTION = {"question": "When is the millstone dressed?"}


def said(*words: str, reason: str | None = "stop", end: bytes = b"data: [DONE]\n\n") -> bytes:
    chunks: list[dict[str, Any]] = [
        {"choices": [{"delta": {"content": word}, "finish_reason": None}]} for word in words
    ]
    chunks.append({"choices": [{"delta": {}, "finish_reason": reason}]})
    chunks.append({"choices": [], "usage": {"prompt_tokens": 40, "completion_tokens": 7}})
    return b"".join(b"data: " + msgspec.json.encode(chunk) + b"\n\n" for chunk in chunks) + end


@pytest.fixture
async def provider() -> AsyncIterator[ScriptedServer]:
    async with scripted_server() as server:
        server.answers[CHAT] = answer_of(200, said("Dressed in ", "spring [1", "], not [9]."))
        yield server


async def resolve_scope(_request: Request, kb_id: str, /) -> SearchScope:
    """The second knowledge base has another model, with vectors of another length."""
    return SearchScope(kb_id, 1, "hash" if kb_id == "kb_one" else "hash-32", 0.3)


def embedder_for(embedding: Embedding) -> HashEmbedder:
    return HashEmbedder(dimensions=32) if embedding.model == "hash-32" else HashEmbedder()


@pytest.fixture
async def app(provider: ScriptedServer) -> AsyncIterator[Starlette]:
    index, embedder = MemoryIndex(), HashEmbedder()
    for document, text in (("manual", "The millstone is dressed in spring."), ("other", "Millstone trade is old.")):
        row = structs.replace(rows_of(document, [text], page=3)[0], vector=await embedder.embed_query(text))
        await index.upsert(IndexTable("kb_one", 1), document, [row])
    winter = "石磨在冬天检修。"
    row = structs.replace(
        rows_of("winter", [winter], page=1)[0], vector=await embedder_for(Embedding("hash-32")).embed_query(winter)
    )
    await index.upsert(IndexTable("kb_two", 1), "winter", [row])
    reranker = HttpReranker(base_url=provider.url("/v1"), api_key=None, model="bge")
    model = EndpointModel(
        base_url=provider.url("/v1"), api_key=KEY, model="chat", call_s_max=5, context_tokens_max=500,
        answer_tokens_max=50,
    )  # fmt: skip
    answerer = Answerer(
        Retriever(index, embedder_for, reranker=reranker),
        model,
        context_tokens_max=500,
        new_boundary=lambda: "b0undary",
    )
    routes = answer_routes(answerer, resolve_scope, read_json_bytes, StreamedEvents)
    yield Starlette(routes=routes, exception_handlers=exception_handlers())
    await reranker.close()
    await model.close()


async def ask(app: Starlette, **question: object) -> httpx.Response:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://test") as client:
        return await client.post(PATH, json={**QUESTION, **question})


async def test_an_answer_is_written_by_the_endpoint_and_cites_what_was_found(
    app: Starlette, provider: ScriptedServer
) -> None:
    response = await ask(app)
    assert response.status_code == 200
    answer = response.json()
    assert (answer["answer"], answer["found"]) == ("Dressed in spring [1], not.", True)
    assert [(one["number"], one["document_id"], one["page"]) for one in answer["citations"]] == [(1, "manual", 3)]
    assert answer["usage"] == {"prompt_tokens": 40, "completion_tokens": 7}
    # Nobody reranks here, which is told; the answer comes all the same.
    assert [warning["code"] for warning in answer["warnings"]] == ["reranker_unavailable"]
    asked = msgspec.json.decode(provider.requests[-1].body)
    assert (asked["model"], asked["stream"], asked["max_tokens"]) == ("chat", True, 50)
    assert [message["role"] for message in asked["messages"]] == ["system", "user"]
    assert "[begin b0undary 1]" in asked["messages"][1]["content"]
    assert provider.requests[-1].headers["authorization"] == f"Bearer {KEY}"


async def test_the_reranker_decides_which_passage_is_the_first(app: Starlette, provider: ScriptedServer) -> None:
    scores = {"results": [{"index": 1, "relevance_score": 0.9}, {"index": 0, "relevance_score": 0.2}]}
    provider.answers["/v1/rerank"] = answer_of(200, msgspec.json.encode(scores))
    answer = (await ask(app)).json()
    assert [one["document_id"] for one in answer["passages"]] == ["other", "manual"]
    assert (answer["warnings"], answer["citations"][0]["document_id"]) == ([], "other")


async def test_several_knowledge_bases_of_different_models_are_asked_at_once(
    app: Starlette, provider: ScriptedServer
) -> None:
    provider.answers[CHAT] = answer_of(200, said("In spring [1]，冬天 [2]. And [3] [4]."))
    body = {
        "question": "When is the millstone dressed, 石磨检修?",
        "knowledge_base_ids": ["kb_one", "kb_two", "kb_one"],
    }
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://test") as client:
        whole = (await client.post("/api/v1/answers", json=body)).json()
        streamed = events_of((await client.post("/api/v1/answers", json={**body, "stream": True})).text)
        refused = await client.post("/api/v1/answers", json={**body, "knowledge_base_ids": []})
    places = {(one["knowledge_base_id"], one["document_id"]) for one in whole["passages"]}
    assert places == {("kb_one", "manual"), ("kb_one", "other"), ("kb_two", "winter")}
    cited = {(one["number"], one["knowledge_base_id"], one["document_id"]) for one in whole["citations"]}
    assert cited == {(one["number"], one["knowledge_base_id"], one["document_id"]) for one in whole["passages"]}
    assert [one["knowledge_base_id"] for one in dict(streamed)["citations"]["citations"]].count("kb_two") == 1
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/knowledge_base_ids")


def events_of(text: str) -> list[tuple[str, Any]]:
    blocks = [block.split("\n") for block in text.strip().split("\n\n")]
    return [(name.removeprefix("event: "), msgspec.json.decode(data.removeprefix("data: "))) for name, data in blocks]


async def test_a_streamed_answer_comes_in_pieces(app: Starlette) -> None:
    response = await ask(app, stream=True)
    assert response.headers["content-type"].startswith("text/event-stream")
    events = events_of(response.text)
    assert [name for name, _ in events if name != "text"] == ["passages", "citations", "end"]
    assert "".join(data["text"] for name, data in events if name == "text") == "Dressed in spring [1], not."
    assert events[-1][1]["usage"] == {"prompt_tokens": 40, "completion_tokens": 7}


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (answer_of(401, KEY.encode()), "language_model_rejected"),
        (answer_of(429, retry_after="7"), "language_model_unavailable"),
        (answer_of(200, said("In spr", reason=None, end=b"")), "language_model_unavailable"),
        (answer_of(200, b"data: nonsense\n\n"), "language_model_unavailable"),
        (
            b"HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\n" + said("In spr", reason=None, end=b""),
            "language_model_unavailable",
        ),
    ],
)
async def test_a_model_that_fails_is_a_problem_or_the_last_event(
    app: Starlette, provider: ScriptedServer, answer: bytes, code: str
) -> None:
    provider.answers[CHAT] = answer
    whole = await ask(app)
    assert (whole.status_code, whole.json()["code"]) == (502 if code.endswith("rejected") else 503, code)
    streamed = await ask(app, stream=True)
    assert streamed.status_code == 200
    assert events_of(streamed.text)[-1][0] == "error"
    assert events_of(streamed.text)[-1][1]["code"] == code
    assert KEY not in whole.text + streamed.text


@pytest.mark.parametrize("is_streamed", [True, False])
async def test_hanging_up_ends_the_call_of_the_model(
    app: Starlette, provider: ScriptedServer, is_streamed: bool
) -> None:
    begun, left = asyncio.Event(), asyncio.Event()

    async def endless(writer: asyncio.StreamWriter) -> None:
        begun.set()
        try:
            await dripping(b"HTTP/1.1 200 OK\r\n\r\n" + said("In ", reason=None, end=b""), b": on\n\n")(writer)
        finally:
            left.set()

    provider.answers[CHAT] = endless
    body = msgspec.json.encode({**QUESTION, "stream": is_streamed})
    incoming: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        if incoming:
            return incoming.pop()
        await begun.wait()
        return {"type": "http.disconnect"}

    async def send(_message: Message) -> None:
        """Nobody reads."""

    scope = {
        "type": "http", "method": "POST", "path": PATH, "raw_path": PATH.encode(), "query_string": b"", "root_path": "",
        "headers": [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())],
        "http_version": "1.1", "scheme": "http", "server": ("test", 80), "client": ("test", 1), "extensions": {},
    }  # fmt: skip
    async with asyncio.timeout(30):
        await app(scope, receive, send)
        await left.wait()
    assert (incoming, begun.is_set()) == ([], True), "the model was asked, and its call has ended"
