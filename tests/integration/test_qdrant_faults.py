"""What a Qdrant server refuses, in words that say what to do; over HTTP."""

import random
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Final

import pytest

from knowledge.errors import IndexRefused, IndexUnavailable, KnowledgeError
from tests.contract.index_contract import TABLE, direction, rows_of
from tests.searched import search_vector
from tests.servers.qdrant_answers import COUNT, NAME, ONE_ROW, opened, refusal, version_of
from tests.servers.qdrant_server import index_on
from tests.servers.refusing_server import RefusingServer, Said, refusing_server

if TYPE_CHECKING:
    from knowledge.qdrant_index import QdrantIndex

KEY: Final = "qk-secret"
PAUSE_S_FIRST: Final = 0.1
TRIES_MAX: Final = 3
Asking = Callable[[dict[str, list[Said]]], AbstractAsyncContextManager[tuple["QdrantIndex", RefusingServer]]]


@pytest.fixture
def pauses() -> list[float]:
    return []


@pytest.fixture
def asking(pauses: list[float]) -> Asking:
    from knowledge.qdrant_connection import connect

    @asynccontextmanager
    async def ask(answers: dict[str, list[Said]]) -> AsyncIterator[tuple["QdrantIndex", RefusingServer]]:
        async def pause(seconds: float) -> None:
            pauses.append(seconds)

        with refusing_server(answers) as server:
            client = connect(server.url, api_key=KEY, call_s_max=20)
            index = index_on(client, rng=random.Random(1), sleep=pause)  # noqa: S311  spreads pauses
            yield index, server
            await index.close()

    return ask


async def test_the_key_goes_with_every_request(asking: Asking) -> None:
    async with asking(opened()) as (index, server):
        assert await index.version() == "1.19.0"
        assert await index.count(TABLE) == 1
        assert len(server.asked) > 3
        assert {headers.get("api-key") for _, _, headers in server.asked} == {KEY}


@pytest.mark.parametrize("version", ["1.18.4", "1.9.0", "0.11.7"])
async def test_a_server_that_would_rank_by_the_words_of_all_is_refused(asking: Asking, version: str) -> None:
    async with asking(opened() | {"/": [version_of(version)]}) as (index, server):
        for call in (index.check, lambda: index.count(TABLE)):
            with pytest.raises(IndexRefused, match=f"Qdrant {version} is too old for the index: use 1.19"):
                await call()
        assert COUNT not in [path for _, path, _ in server.asked]


@pytest.mark.parametrize(
    ("status", "error", "words"),
    [
        (401, IndexRefused, "set MILLSTREAM_QDRANT_API_KEY"),
        (403, IndexRefused, "the key may only read"),
        (413, IndexUnavailable, "max_request_size_mb"),
        (500, IndexUnavailable, "500 "),
        (507, IndexUnavailable, "its disk or quota is full"),
    ],
)
async def test_what_is_refused_is_said_once_with_what_to_do(
    asking: Asking, pauses: list[float], status: int, error: type[Exception], words: str
) -> None:
    async with asking(opened() | {COUNT: [refusal(status, "Says no")]}) as (index, server):
        with pytest.raises(error, match=words) as raised:
            await index.count(TABLE)
        assert "Says no" in str(raised.value)
        assert KEY not in str(raised.value)
        assert [path for _, path, _ in server.asked].count(COUNT) == 1
    assert pauses == []


@pytest.mark.parametrize("status", [429, 502, 503, 504])
async def test_what_passes_is_asked_again(asking: Asking, pauses: list[float], status: int) -> None:
    busy = refusal(status, "Later")
    async with asking(opened() | {COUNT: [busy, busy, ONE_ROW]}) as (index, _):
        assert await index.count(TABLE) == 1
    assert len(pauses) == 2
    assert all(0 <= pause <= 2 * PAUSE_S_FIRST for pause in pauses)


async def test_what_does_not_pass_is_given_up_and_said(asking: Asking) -> None:
    async with asking(opened() | {COUNT: [refusal(503, "Shard is down")]}) as (index, server):
        with pytest.raises(IndexUnavailable, match="Shard is down"):
            await index.count(TABLE)
        assert [path for _, path, _ in server.asked].count(COUNT) == TRIES_MAX


async def test_a_limit_of_calls_is_kept_where_it_is_short_and_told_where_it_is_long(
    asking: Asking, pauses: list[float]
) -> None:
    async with asking(opened() | {COUNT: [refusal(429, "Limit", Retry_After="1"), ONE_ROW]}) as (index, _):
        assert await index.count(TABLE) == 1
    assert len(pauses) == 1
    assert pauses[0] >= 1
    async with asking(opened() | {COUNT: [refusal(429, "Limit", Retry_After="60")]}) as (index, _):
        with pytest.raises(IndexUnavailable, match="its limit of calls is reached"):
            await index.count(TABLE)
    assert len(pauses) == 1


async def test_vectors_that_the_server_does_not_take_are_no_outage(asking: Asking) -> None:
    words = "Wrong input: Vector dimension error: expected dim: 8, got 16"
    batch = f"/collections/{NAME}/points/query/batch"
    async with asking(opened() | {batch: [refusal(400, words)]}) as (index, _):
        with pytest.raises(KnowledgeError, match="expected dim: 8") as raised:
            await search_vector(index, TABLE, direction(0), limit=3)
        assert not isinstance(raised.value, IndexUnavailable)


async def test_a_collection_that_was_taken_away_is_looked_for_anew(asking: Asking) -> None:
    gone = refusal(404, "Not found: Collection `millstream-8` doesn't exist!")
    async with asking(opened() | {COUNT: [ONE_ROW, ONE_ROW, gone, ONE_ROW]}) as (index, server):
        assert await index.count(TABLE) == 1
        with pytest.raises(IndexUnavailable, match="doesn't exist"):
            await index.count(TABLE)
        server.answers["/collections"] = [Said(200, {"result": {"collections": []}})]
        assert await index.count(TABLE) == 0


async def test_nobody_at_the_address_is_an_outage(pauses: list[float]) -> None:
    from knowledge.qdrant_connection import connect

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    index = index_on(connect(f"http://127.0.0.1:{port}", api_key=None, call_s_max=5), sleep=pause)
    with pytest.raises(IndexUnavailable, match="ConnectError"):
        await index.upsert(TABLE, "doc_1", rows_of("doc_1", ["one"]))
    assert len(pauses) == TRIES_MAX - 1
    await index.close()


async def test_a_server_that_says_nothing_is_waited_for_once(pauses: list[float]) -> None:
    from knowledge.qdrant_connection import connect

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        index = index_on(connect(url, api_key=None, call_s_max=1), sleep=pause)
        with pytest.raises(IndexUnavailable, match="ReadTimeout"):
            await index.check()
        await index.close()
    assert pauses == []
