"""A POST with an Idempotency-Key: what its repetition gets, and when it takes effect anew."""

import asyncio
from collections.abc import AsyncIterator, Callable
from itertools import count

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from events.envelope import Position
from events.epochs import EPOCH_FIRST
from events.errors import LogUnavailable
from events.memory import MemoryLog
from ingest.answers import exception_handlers
from ingest.once import Checked, Once
from ingest.replies import MemoryReplies, Reply
from ingest.settings import KIB, IngestSettings
from tests.event_samples import new_task

SETTINGS = IngestSettings(json_bytes_max=2 * KIB, idempotency_reply_bytes_max=KIB, idempotency_lease_s=60)
KEY = {"Idempotency-Key": "k"}


class World:
    """One route, the number of times that it was carried out, and what it does before it answers."""

    def __init__(self) -> None:
        self.now_ms = 0
        self.calls: list[bytes] = []
        self.replies = MemoryReplies(lambda: self.now_ms)
        self.does: Callable[[], Response | None] = lambda: None
        self.waits = asyncio.Event()
        self.waits.set()
        self.began = asyncio.Event()
        self.log = MemoryLog(partitions=2, clock_us=lambda: 0)
        tokens = count()
        routes = [
            Route("/it/{name}", self._carry_out, methods=["POST"]),
            Route("/safe", self._carry_out, methods=["POST"]),
        ]
        routes[0].app = Once(routes[0].app, self.replies, self.log, lambda: str(next(tokens)), SETTINGS)
        routes[1].app = Checked(routes[1].app)
        app = Starlette(routes=routes, exception_handlers=exception_handlers())
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        self.client = httpx.AsyncClient(transport=transport, base_url="http://mill")

    async def _carry_out(self, request: Request) -> Response:
        self.calls.append(await request.body())
        self.began.set()
        await self.waits.wait()
        other = self.does()
        number = len(self.calls)
        return other or Response(f"answer {number}", 202, {"Location": f"/it/{number}"}, media_type="text/plain")

    async def post(self, path: str = "/it/a", content: bytes = b"body", **headers: str) -> httpx.Response:
        return await self.client.post(path, content=content, headers=headers or KEY)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    async with world.client:
        yield world


async def test_the_same_request_again_is_answered_as_the_first_time_and_not_carried_out(world: World) -> None:
    first, again = await world.post(), await world.post()
    assert (first.status_code, first.text, first.headers["location"]) == (202, "answer 1", "/it/1")
    assert (again.status_code, again.content, again.headers) == (first.status_code, first.content, first.headers)
    assert world.calls == [b"body"]


async def test_without_a_key_every_request_is_one_of_its_own(world: World) -> None:
    assert [(await world.client.post("/it/a", content=b"body")).text for _ in range(2)] == ["answer 1", "answer 2"]


@pytest.mark.parametrize(
    ("path", "content", "key", "text"),
    [("/it/b", b"body", "k", "answer 2"), ("/it/a", b"body", "other", "answer 2"), ("/it/a", b"body", "k", "answer 1")],
)
async def test_a_key_counts_for_one_path(world: World, path: str, content: bytes, key: str, text: str) -> None:
    await world.post()
    assert (await world.post(path, content, **{"Idempotency-Key": key})).text == text


@pytest.mark.parametrize(("path", "content"), [("/it/a", b"other"), ("/it/a?from=parse", b"body"), ("/it/a", b"")])
async def test_the_same_key_with_another_request_is_refused(world: World, path: str, content: bytes) -> None:
    await world.post()
    answer = await world.post(path, content)
    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")
    assert len(world.calls) == 1


async def test_while_the_first_is_being_answered_the_second_is_told_so(world: World) -> None:
    world.waits.clear()
    first = asyncio.create_task(world.post())
    await asyncio.wait_for(world.began.wait(), 20)
    second = await world.post()
    assert (second.status_code, second.json()["code"]) == (409, "idempotency_in_progress")
    world.waits.set()
    assert (await first).text == "answer 1"
    assert (await world.post()).text == "answer 1"


@pytest.mark.parametrize(
    ("path", "partition", "text"),
    [
        (f"/it/{new_task(1)}", 0, "answer 1"),
        (f"/it/{new_task(1)}", 1, "answer 2"),
        ("/it/everything", 0, "answer 2"),
        ("/it/everything", 1, "answer 2"),
        (f"/it/{new_task(7)}", 1, "answer 2"),
    ],
)
async def test_an_answer_is_not_given_again_where_the_log_has_lost_what_it_may_rest_on(
    world: World, path: str, partition: int, text: str
) -> None:
    await world.post(path)
    assert await world.log.raise_epoch(partition, Position(EPOCH_FIRST, 1, 0))
    assert (await world.post(path)).text == text
    assert (await world.post(path)).text == text, "from then on it is known again"


async def test_a_refusal_is_kept_as_any_answer(world: World) -> None:
    world.does = lambda: Response("no", 409)
    await world.post()
    world.does = lambda: None
    assert (await world.post()).status_code == 409
    assert len(world.calls) == 1


@pytest.mark.usefixtures("log_lines")  # as a machine reads them: a traceback in colours takes half a second
async def test_an_answer_of_5xx_and_an_error_are_not_kept(world: World) -> None:
    def breaks() -> Response | None:
        raise RuntimeError("broken")

    def is_away() -> Response | None:
        raise LogUnavailable("away")

    for number, (does, status) in enumerate(((breaks, 500), (is_away, 503), (lambda: Response("", 502), 502)), start=1):
        world.does = does
        assert (await world.post()).status_code == status
        assert len(world.calls) == number
    world.does = lambda: None
    assert [(await world.post()).status_code for _ in range(2)] == [202, 202]
    assert len(world.calls) == 4


async def test_a_request_that_was_cancelled_may_be_made_anew(world: World) -> None:
    world.waits.clear()
    first = asyncio.create_task(world.post())
    await asyncio.wait_for(world.began.wait(), 20)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    world.waits.set()
    assert (await world.post()).text == "answer 2"


async def test_a_key_is_free_when_the_lease_of_a_dead_process_or_the_day_is_over(world: World) -> None:
    world.replies.finish = _loses_it  # type: ignore[method-assign]
    await world.post()
    assert (await world.post()).json()["code"] == "idempotency_in_progress"
    world.now_ms += 61_000
    del world.replies.finish
    assert (await world.post()).text == "answer 2"
    world.now_ms += 86_400_000 - 1
    assert (await world.post()).text == "answer 2"
    world.now_ms += 1
    assert (await world.post(content=b"other")).text == "answer 3"


async def _loses_it(name: str, *, token: str, reply: Reply, kept_ms: int) -> bool:
    raise LogUnavailable("away")


async def test_an_answer_that_is_too_large_is_sent_and_not_kept(world: World) -> None:
    async def parts() -> AsyncIterator[bytes]:
        for _ in range(4):
            yield b"x" * 500

    world.does = lambda: StreamingResponse(parts())
    for number in (1, 2):
        assert (await world.post()).content == b"x" * 2_000
        assert len(world.calls) == number


async def test_a_body_beyond_its_limit_is_refused_before_anything_is_begun(world: World) -> None:
    answer = await world.post(content=b"x" * 3_000)
    assert (answer.status_code, answer.json()["code"]) == (413, "payload_too_large")
    assert (await world.post()).text == "answer 1"


@pytest.mark.parametrize("path", ["/it/a", "/safe"])
@pytest.mark.parametrize("key", ["", "k" * 256, "with space", "k\u00e9"])
async def test_a_key_that_is_none_is_refused(world: World, path: str, key: str) -> None:
    answer = await world.client.post(path, headers=[(b"Idempotency-Key", key.encode("latin-1"))])
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_idempotency_key")
    assert world.calls == []


async def test_what_is_harmless_is_carried_out_each_time(world: World) -> None:
    assert [(await world.post("/safe")).text for _ in range(2)] == ["answer 1", "answer 2"]
