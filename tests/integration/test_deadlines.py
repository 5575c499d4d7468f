"""Clients that are slow on purpose, and the one that is not: B-012 and the slowloris of L-13, scaled down."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio

from events.ids import KnowledgeBaseId
from millstream.connection.limits import ConnectionLimits
from tests.integration.ingest_app import Mill, make_services, running_mill
from tests.integration.wire import Wire, connected
from tests.multipart_forms import CONTENT_TYPE, file_part, form
from tests.waiting import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="module")

LIMITS = ConnectionLimits(
    header_s_max=0.3,
    keep_alive_s=0.3,
    body_silence_s_max=0.4,
    body_bytes_per_s_min=5_000,
    json_body_s_max=0.5,
    answer_silence_s_max=0.5,
    connections_max=150,
    linger_s_max=0.3,
)
CLOSED_S_MAX = 20.0
"""All 120 of them, on a machine that does something else besides."""

HEAD = b"POST /api/v1/knowledge-bases HTTP/1.1\r\nHost: mill\r\nContent-Type: application/json\r\n"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mill(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Mill]:
    async with running_mill(make_services(tmp_path_factory.mktemp("blobs")), LIMITS) as mill:
        yield mill


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def kb(mill: Mill) -> KnowledgeBaseId:
    return await mill.knowledge_base()


def upload_head(kb: str, *fields: str) -> bytes:
    lines = [f"POST /api/v1/knowledge-bases/{kb}/documents HTTP/1.1", "Host: mill", f"Content-Type: {CONTENT_TYPE}"]
    return "\r\n".join([*lines, *fields, "", ""]).encode()


async def trickle(wire: Wire, pieces: list[bytes], every_s: float) -> None:
    """A client that takes its time: what is slow here is what is under test."""
    for piece in pieces:
        if not await wire.send(piece):
            return
        await asyncio.sleep(every_s)


async def check_timed_out(wire: Wire) -> None:
    (answer,) = await wire.answers()
    answer.check_problem()
    assert answer.verdict == (408, "request_timeout")
    assert answer.headers["connection"] == "close"


async def check_nothing_stays(mill: Mill) -> None:
    await mill.requests.wait_until_idle()
    assert [one.type for one in await mill.facts()] == ["KnowledgeBaseCreated"]
    assert await mill.blobs() == {}


async def test_half_a_head_is_not_waited_for(mill: Mill, kb: KnowledgeBaseId) -> None:
    async with connected(mill.port) as wire:
        await wire.send(HEAD)
        await check_timed_out(wire)


async def test_a_head_that_trickles_in_is_not_waited_for(mill: Mill, kb: KnowledgeBaseId) -> None:
    async with connected(mill.port) as wire:
        await asyncio.gather(trickle(wire, [HEAD, *[b"X: y\r\n"] * 30], 0.05), check_timed_out(wire))


@pytest.mark.parametrize("asked_before", [False, True])
async def test_a_silent_connection_is_closed_without_a_word(
    mill: Mill, kb: KnowledgeBaseId, asked_before: bool
) -> None:
    async with connected(mill.port) as wire:
        if asked_before:
            await wire.send(HEAD + b"Content-Length: 2\r\n\r\n{}")
            assert (await wire.next()).status == 422
        assert await wire.answers() == []


async def test_half_a_body_and_silence_is_a_timeout_and_leaves_nothing(mill: Mill, kb: KnowledgeBaseId) -> None:
    body = form(file_part(b"x" * 100_000), file_part(b"y" * 100_000))
    async with connected(mill.port) as wire:
        await wire.send(upload_head(kb, f"Content-Length: {len(body)}"), body[:150_000])
        await check_timed_out(wire)
    await check_nothing_stays(mill)


@pytest.mark.parametrize("framing", ["Content-Length: 1000000", "Transfer-Encoding: chunked"])
async def test_a_byte_now_and_then_is_a_timeout_and_leaves_nothing(
    mill: Mill, kb: KnowledgeBaseId, framing: str
) -> None:
    byte = b"1\r\nx\r\n" if framing.startswith("T") else b"x"
    async with connected(mill.port) as wire:
        await wire.send(upload_head(kb, framing))
        await asyncio.gather(trickle(wire, [byte] * 40, 0.05), check_timed_out(wire))
    await check_nothing_stays(mill)


async def test_json_has_to_come_at_once(mill: Mill, kb: KnowledgeBaseId) -> None:
    async with connected(mill.port) as wire:
        await wire.send(HEAD + b"Content-Length: 100000\r\n\r\n")
        await asyncio.gather(trickle(wire, [b" " * 2_000] * 40, 0.05), check_timed_out(wire))


async def test_a_client_that_was_not_asked_for_its_body_is_not_late(mill: Mill, kb: KnowledgeBaseId) -> None:
    """The answer waits behind a gate for longer than any deadline; only then the 100 is sent, and time begins."""
    async with connected(mill.port) as wire:
        async with mill.requests.held_up():
            await wire.send(HEAD + b"Content-Length: 2\r\nExpect: 100-continue\r\n\r\n")
            until_s = time.monotonic() + 2 * LIMITS.json_body_s_max
            await wait_until(lambda: time.monotonic() > until_s, "any deadline would have passed")
        assert (await wire.next(has_body=False)).status == 100
        await wire.send(b"{}")
        assert (await wire.next()).status == 422


async def test_slow_clients_are_closed_in_time_while_an_honest_one_is_served(mill: Mill, kb: KnowledgeBaseId) -> None:
    """L-13, a tenth of it: 100 half heads and 20 half bodies."""
    began_s = time.monotonic()

    async def stays_half(head: bytes) -> float:
        async with connected(mill.port) as wire:
            await wire.send(head)
            await check_timed_out(wire)
            return time.monotonic() - began_s

    async def asks() -> float:
        at_s = time.monotonic()
        answer = await mill.client.post("/api/v1/knowledge-bases", json={})
        assert answer.status_code == 422
        return time.monotonic() - at_s

    slow = [stays_half(HEAD) for _ in range(100)]
    slow += [stays_half(upload_head(kb, "Content-Length: 999") + b"--mill\r\n") for _ in range(20)]
    slow_ones = asyncio.gather(*slow)
    took_s = [await asks() for _ in range(30)]
    closed_after_s = await slow_ones
    assert max(closed_after_s) < CLOSED_S_MAX
    assert sorted(took_s)[len(took_s) // 2] < min(closed_after_s), "the honest one waits for none of them"
    await check_nothing_stays(mill)


async def test_more_slow_clients_than_there_is_room_for_give_way(mill: Mill, kb: KnowledgeBaseId) -> None:
    async with AsyncExitStack() as open_wires:
        slow = [await open_wires.enter_async_context(connected(mill.port)) for _ in range(LIMITS.connections_max + 20)]
        for wire in slow:
            await wire.send(HEAD)
        async with connected(mill.port) as honest:
            await honest.send(HEAD + b"Content-Length: 2\r\n\r\n{}")
            assert (await honest.next()).status == 422
        assert all(await asyncio.gather(*(wire.is_closed() for wire in slow)))


async def test_where_everybody_is_served_the_next_one_is_told_so(mill: Mill, kb: KnowledgeBaseId) -> None:
    await mill.requests.wait_until_idle()
    begun = mill.requests.begun
    async with AsyncExitStack() as open_wires, mill.requests.held_up():
        for _ in range(LIMITS.connections_max):
            wire = await open_wires.enter_async_context(connected(mill.port))
            await wire.send(HEAD + b"Content-Length: 2\r\n\r\n{}")
        await mill.requests.wait_for_begun(begun + LIMITS.connections_max)
        async with connected(mill.port) as next_one:
            (answer,) = await next_one.answers()
            answer.check_problem()
            assert answer.verdict == (503, "too_many_connections")
            assert int(answer.headers["retry-after"]) > 0
