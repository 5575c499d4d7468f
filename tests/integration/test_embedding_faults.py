"""Documents are embedded whatever their provider does: real HTTP, a gate on a real Redis, workers side by side.

Faults F-29 to F-34. The log is in memory: what happens to Redis is the subject of other tests.
"""

import random
import time
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from domain.document import Failed
from events.document import StepFailed
from events.ids import DocumentId
from events.redis_clients import Clients
from processors.provider import Quota
from tests.integration.embedding_world import CONVERGE_S, World, texts, working
from tests.servers.embedding_garbage import GARBAGE, refused
from tests.servers.embedding_provider import DIMENSIONS, EmbeddingProvider, Reply, embedding_provider, embeddings
from tests.waiting import wait_for

pytest_plugins = ("tests.servers.redis",)


@pytest.fixture
def provider() -> Iterator[EmbeddingProvider]:
    with embedding_provider() as server:
        yield server


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


Open = Callable[..., World]


@pytest.fixture
async def world_of(provider: EmbeddingProvider, redis_clients: Clients) -> AsyncIterator[Open]:
    made: list[World] = []

    def make(quota: Quota | None = None, timeout_s: float = 5.0) -> World:
        made.append(World(provider, redis_clients, quota or Quota(), timeout_s))
        return made[-1]

    yield make
    for world in made:
        await world.embedder.close()


@pytest.mark.parametrize("headers", [{"Retry_After": "2"}, {}])
async def test_f29_nobody_calls_within_the_window_after_a_429(
    provider: EmbeddingProvider, world_of: Open, headers: dict[str, str]
) -> None:
    world, documents = world_of(), texts(6, 20)
    window_s = 2.0 if headers else 1.0
    answered_s: list[float] = []

    def slow_down(_: object) -> Reply:
        answered_s.append(time.monotonic())
        return refused(429, **headers)(_)

    provider.script = [embeddings, slow_down]
    names = await world.chunked(documents)
    async with working(world, workers=1):
        await world.ended(names)
    await world.check_vectors(names, documents)
    # Calls of other slots that were on their way when the refusal was sent are not within the window.
    on_their_way_s = 0.1
    late = [at - answered_s[0] for at in provider.times_s if at > answered_s[0]]
    assert [at for at in late if on_their_way_s < at < window_s] == []
    assert {await world.attempts(name) for name in names} == {1}, "the windows were short enough to wait in the slot"


async def test_f29_a_long_window_is_waited_out_without_burning_attempts(
    provider: EmbeddingProvider, world_of: Open
) -> None:
    world, documents = world_of(), texts(3, 4)
    provider.reply = refused(429, Retry_After="86400")
    names = await world.chunked(documents)
    async with working(world):

        async def are_put_off() -> bool:
            return len([failure for name in names for failure in await put_off(world, name)]) == len(names)

        await wait_for(are_put_off, "every document was put off")
        asked = len(provider.bodies)
        assert asked <= len(names)
        for name in names:
            (retry_in_s,) = await put_off(world, name)
            assert 290 < retry_in_s <= 301


async def put_off(world: World, name: DocumentId) -> list[float]:
    """For how many seconds a document was put off, each time."""
    return [
        (entry.event.retry_at_us - entry.recorded_at_us) / 1e6
        for entry in await world.log.history(name)
        if isinstance(entry.event, StepFailed) and entry.event.code == "provider_busy"
    ]


async def test_a_limit_is_kept_by_all_workers_together(provider: EmbeddingProvider, world_of: Open) -> None:
    """1,200 calls a minute: 120 at once, then 18 a second."""
    world, documents = world_of(Quota(requests_per_minute=1_200)), texts(160, 1)
    names = await world.chunked(documents)
    async with working(world):
        await world.ended(names)
    first = min(provider.times_s)
    assert len(provider.times_s) == 160
    for second in range(1, 6):
        assert sum(at < first + second for at in provider.times_s) <= 120 + 19 * second
    assert max(provider.times_s) - first > 1.5
    assert {await world.attempts(name) for name in names} == {1}


async def test_f30_half_of_all_calls_fail_and_every_document_is_done(
    provider: EmbeddingProvider, world_of: Open
) -> None:
    world, documents = world_of(), texts(10, 12)
    rng = random.Random(30)  # noqa: S311  the script of a fault

    def unsteady(body: dict[str, object]) -> Reply:
        return embeddings(body) if rng.random() < 0.5 else refused(rng.choice((500, 502, 503)))(body)

    provider.reply = unsteady
    names = await world.chunked(documents)
    async with working(world):
        await world.ended(names, within_s=2 * CONVERGE_S)
    await world.check_vectors(names, documents)


@pytest.mark.parametrize("fault", ["502", "cut", "silent"])
async def test_f30_a_provider_that_is_down_is_probed_and_found_when_it_is_back(
    provider: EmbeddingProvider, world_of: Open, fault: str
) -> None:
    world, documents = world_of(timeout_s=0.3), texts(12, 4)
    match fault:
        case "502":
            provider.reply = refused(502)
        case "cut":
            provider.is_cut = True
        case _:
            provider.is_silent = True
    names = await world.chunked(documents)
    async with working(world):
        await wait_for(lambda: _down_for(provider, 3.0), "the breaker was opened and probes went out")
        opened = provider.times_s[4] + 0.5  # the fifth failure opened it; other slots had a call under way
        healed = time.monotonic()
        provider.reply, provider.is_cut, provider.is_silent = embeddings, False, False
        provider.release.set()
        await world.ended(names)
    await world.check_vectors(names, documents)
    probes = [at for at in provider.times_s if opened <= at < healed]
    assert probes
    assert max((sum(start <= at < start + 1 for at in probes) for start in probes), default=0) <= 2


async def _down_for(provider: EmbeddingProvider, seconds: float) -> bool:
    """Since the call whose failure opened the breaker."""
    return len(provider.times_s) > 5 and time.monotonic() > provider.times_s[4] + seconds


async def _counted(provider: EmbeddingProvider, calls: int) -> bool:
    return len(provider.times_s) > calls


@pytest.mark.parametrize("status", [400, 401, 403, 404])
async def test_f31_what_is_refused_for_good_is_asked_once(
    provider: EmbeddingProvider, world_of: Open, status: int
) -> None:
    world = world_of()
    provider.reply = refused(status)
    names = await world.chunked(texts(3, 4))
    async with working(world):
        states = await world.ended(names)
    assert [getattr(state, "code", None) for state in states] == ["embedding_rejected"] * 3
    assert len(provider.bodies) == 3


async def test_f31_a_chunk_that_is_too_large_fails_its_document_and_no_other(
    provider: EmbeddingProvider, world_of: Open
) -> None:
    world, documents = world_of(), texts(3, 8)
    poison = documents[1][5]
    provider.reply = lambda body: refused(413)(body) if poison in body["input"] else embeddings(body)
    names = await world.chunked(documents)
    async with working(world):
        states = await world.ended(names)
    failed = states[1]
    assert isinstance(failed, Failed)
    assert failed.code == "chunk_too_large"
    assert failed.message.startswith("chunk 5 (id ")
    asked = [body["input"] for body in provider.bodies if any(text in documents[1] for text in body["input"])]
    assert len(asked) <= 1 + 3 + 1
    await world.check_vectors([names[0], names[2]], [documents[0], documents[2]])


@pytest.mark.parametrize("kind", GARBAGE)
async def test_f32_f33_garbage_is_asked_for_once_more_and_never_written(
    provider: EmbeddingProvider, world_of: Open, kind: str
) -> None:
    world, documents = world_of(), texts(2, 4)
    bad = documents[0][0]
    provider.reply = lambda body: GARBAGE[kind](body) if bad in body["input"] else embeddings(body)
    names = await world.chunked(documents)
    async with working(world):
        states = await world.ended(names)
    failed = states[0]
    assert isinstance(failed, Failed)
    assert failed.code == "embedding_invalid"
    assert sum(bad in body["input"] for body in provider.bodies) == 2
    assert [info.key async for info in world.blobs.list(f"documents/{names[0]}/vectors/")] == []
    await world.check_vectors(names[1:], documents[1:])


async def test_f32_garbage_once_is_no_failure(provider: EmbeddingProvider, world_of: Open) -> None:
    world, documents = world_of(), texts(1, 4)
    provider.script = [GARBAGE["HTML"]]
    names = await world.chunked(documents)
    async with working(world):
        await world.ended(names)
    await world.check_vectors(names, documents)
    assert await world.attempts(names[0]) == 1


async def test_f33_vectors_that_change_their_length_are_not_written(
    provider: EmbeddingProvider, world_of: Open
) -> None:
    world, documents = world_of(), texts(1, 24)
    provider.script = [embeddings]
    provider.reply = lambda body: embeddings(body, DIMENSIONS * 2)
    names = await world.chunked(documents)
    async with working(world):
        (failed,) = await world.ended(names)
    assert isinstance(failed, Failed)
    assert failed.code == "dimensions_changed"
    assert len(provider.bodies) == 2
    assert len([info async for info in world.blobs.list(f"documents/{names[0]}/vectors/")]) == 1


@pytest.mark.parametrize("drip_bytes", [0, 1])
async def test_f34_an_answer_that_does_not_end_is_given_up_and_the_document_is_done_later(
    provider: EmbeddingProvider, world_of: Open, drip_bytes: int
) -> None:
    world, documents = world_of(timeout_s=0.5), texts(2, 4)
    provider.is_silent, provider.drip_bytes = drip_bytes == 0, drip_bytes
    names = await world.chunked(documents)
    async with working(world):
        await wait_for(lambda: _counted(provider, 3), "calls were given up and made again")
        provider.is_silent, provider.drip_bytes = False, 0
        provider.release.set()
        await world.ended(names)
    await world.check_vectors(names, documents)
