"""What the memory store adds to the contract: a clock of one's own."""

from datetime import UTC, datetime, timedelta

from blobs.memory import MemoryBlobStore


async def test_a_blob_carries_the_time_of_the_clock_passed_in() -> None:
    start = datetime(2030, 1, 1, tzinfo=UTC)
    moments = iter([start, start + timedelta(days=1)])
    store = MemoryBlobStore(clock=lambda: next(moments))
    await store.put("first", b"1")
    await store.put("second", b"2")
    assert [info.modified_at - start async for info in store.list("")] == [timedelta(0), timedelta(days=1)]
