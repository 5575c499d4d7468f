"""Blobs without an event go away again, and only those."""

import asyncio

import pytest
from structlog.testing import capture_logs

from blobs.errors import BlobStoreUnavailable
from blobs.memory import MemoryBlobStore
from ingest.concurrency import all_of
from ingest.unclaimed import UnclaimedBlobs


async def keys_of(store: MemoryBlobStore) -> list[str]:
    return [info.key async for info in store.list("")]


async def fail_after_storing(store: MemoryBlobStore, *, claims: bool) -> None:
    async with UnclaimedBlobs(store) as unclaimed:
        await unclaimed.put("a", b"x")
        if claims:
            unclaimed.claim()
        raise ZeroDivisionError


async def test_what_is_not_claimed_is_deleted() -> None:
    store = MemoryBlobStore()
    await store.put("other", b"x")
    async with UnclaimedBlobs(store) as unclaimed:
        await unclaimed.put("a", b"x")
        async with unclaimed.writer("b") as writer:
            await writer.write(b"x")
            await writer.commit()
        assert await keys_of(store) == ["a", "b", "other"]
    assert await keys_of(store) == ["other"]


async def test_what_is_claimed_stays_even_after_an_error() -> None:
    store = MemoryBlobStore()
    with pytest.raises(ZeroDivisionError):
        await fail_after_storing(store, claims=True)
    assert await keys_of(store) == ["a"]


async def test_what_is_disclaimed_is_deleted() -> None:
    store = MemoryBlobStore()
    async with UnclaimedBlobs(store) as unclaimed:
        await unclaimed.put("a", b"x")
        unclaimed.claim()
        unclaimed.disclaim()
    assert await keys_of(store) == []


async def test_a_cancelled_request_leaves_nothing() -> None:
    store = MemoryBlobStore()
    stored, never = asyncio.Event(), asyncio.Event()

    async def request() -> None:
        async with UnclaimedBlobs(store) as unclaimed:
            await unclaimed.put("a", b"x")
            stored.set()
            await never.wait()

    task = asyncio.create_task(request())
    await stored.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await keys_of(store) == []


async def test_a_store_that_fails_to_delete_does_not_hide_the_first_error() -> None:
    class Stubborn(MemoryBlobStore):
        async def delete(self, key: str) -> bool:
            raise BlobStoreUnavailable(f"cannot delete {key}")

    store = Stubborn()
    with capture_logs() as lines, pytest.raises(ZeroDivisionError):
        await fail_after_storing(store, claims=False)
    assert [(line["event"], line["key"]) for line in lines] == [("orphan_left", "a")]


async def test_a_store_that_falls_silent_does_not_hold_back_the_first_error() -> None:
    class Silent(MemoryBlobStore):
        async def delete(self, key: str) -> bool:
            return await asyncio.Future()

    async def request() -> None:
        async with UnclaimedBlobs(Silent(), delete_s_max=0.01) as unclaimed:
            for key in ("a", "b"):
                await unclaimed.put(key, b"x")
            raise ZeroDivisionError

    with capture_logs() as lines, pytest.raises(ZeroDivisionError):
        async with asyncio.timeout(10):
            await request()
    assert {(line["event"], line["key"]) for line in lines} == {("orphan_left", "a"), ("orphan_left", "b")}


async def test_all_calls_have_ended_when_one_of_them_failed() -> None:
    ended: list[int] = []

    async def call(number: int) -> int:
        if number == 0:
            raise BlobStoreUnavailable("first")
        await asyncio.sleep(0)
        ended.append(number)
        return number

    with pytest.raises(BlobStoreUnavailable):
        await all_of(call(number) for number in range(4))
    assert ended == [1, 2, 3]
    assert await all_of(call(number) for number in (2, 1)) == [2, 1]
