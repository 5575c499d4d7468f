"""The batching writer over a sink that remembers."""

import asyncio
import hashlib
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blobs.errors import BlobError, BlobStoreUnavailable
from blobs.writer import PIECES_MAX, Batch, BatchingWriter, Tail, pieces_of


class RememberingSink:
    def __init__(self, *, failing_appends: int = 0, is_discard_failing: bool = False) -> None:
        self.batches: list[bytes] = []
        self.finished: tuple[bytes, str] | None = None
        self.discards = 0
        self._failing_appends = failing_appends
        self._is_discard_failing = is_discard_failing

    async def append(self, batch: Batch) -> None:
        if self._failing_appends:
            self._failing_appends -= 1
            raise BlobStoreUnavailable("the disk is away")
        self.batches.append(batch.getvalue())

    async def carries(self, size_bytes: int, /) -> bool:
        return size_bytes <= 4

    async def finish(self, tail: Tail, sha256: str, metadata: bytes, /) -> None:
        self.tail = pieces_of(tail)
        self.finished = (b"".join(pieces_of(tail)), sha256)
        self.metadata = metadata

    async def discard(self) -> None:
        self.discards += 1
        if self._is_discard_failing:
            raise BlobStoreUnavailable("still away")


@given(st.lists(st.binary(max_size=40), max_size=12), st.integers(1, 16), st.integers(0, 64))
def test_batches_are_the_bytes_in_order_and_all_but_the_last_are_full(
    pieces: list[bytes], batch_bytes: int, hash_inline_bytes_max: int
) -> None:
    sink = RememberingSink()
    whole = b"".join(pieces)

    async def write() -> None:
        writer = BatchingWriter("k", sink, batch_bytes=batch_bytes, hash_inline_bytes_max=hash_inline_bytes_max)
        for piece in pieces:
            await writer.write(bytearray(piece))
        ref = await writer.commit()
        assert (ref.size_bytes, ref.sha256) == (len(whole), hashlib.sha256(whole).hexdigest())

    asyncio.run(write())
    assert sink.finished is not None
    tail, sha256 = sink.finished
    assert b"".join([*sink.batches, tail]) == whole
    assert all(len(batch) == batch_bytes for batch in sink.batches)
    assert len(tail) <= batch_bytes
    assert bool(tail) == bool(whole)
    assert sha256 == hashlib.sha256(whole).hexdigest()


async def test_a_blob_of_exactly_one_batch_is_finished_in_one_go() -> None:
    sink = RememberingSink()
    writer = BatchingWriter("k", sink, batch_bytes=4)
    await writer.write(b"1234")
    await writer.commit()
    assert sink.batches == []
    assert sink.finished is not None
    assert sink.finished[0] == b"1234"


@given(st.integers(0, 3 * PIECES_MAX))
def test_many_small_pieces_become_one(pieces: int) -> None:
    sink = RememberingSink()

    async def write() -> Sequence[bytes | memoryview]:
        writer = BatchingWriter("k", sink, batch_bytes=10_000)
        for _ in range(pieces):
            await writer.write(b"1")
        await writer.commit()
        return sink.tail

    tail = asyncio.run(write())
    assert len(tail) <= PIECES_MAX
    assert b"".join(tail) == b"1" * pieces


async def test_a_short_blob_is_handed_on_where_it_lies() -> None:
    sink, first, second = RememberingSink(), bytes(1000), bytes(3000)
    writer = BatchingWriter("k", sink, batch_bytes=4000)
    await writer.write(first)
    await writer.write(second)
    await writer.commit()
    assert [id(piece) for piece in sink.tail] == [id(first), id(second)]


async def test_what_a_caller_may_use_again_is_copied() -> None:
    sink, buffer = RememberingSink(), bytearray(b"1234")
    writer = BatchingWriter("k", sink, batch_bytes=10)
    await writer.write(buffer)
    buffer[:] = b"5678"
    await writer.commit()
    assert sink.finished is not None
    assert sink.finished[0] == b"1234"


async def test_wide_memoryviews_count_in_bytes() -> None:
    sink = RememberingSink()
    writer = BatchingWriter("k", sink, batch_bytes=100)
    await writer.write(memoryview(b"12345678").cast("Q"))
    assert writer.size_bytes == 8


async def test_a_blob_with_a_hole_cannot_be_committed() -> None:
    sink = RememberingSink(failing_appends=1)
    writer = BatchingWriter("k", sink, batch_bytes=2)
    with pytest.raises(BlobStoreUnavailable):
        await writer.write(b"12345")
    with pytest.raises(BlobError, match="broken"):
        await writer.write(b"6")
    with pytest.raises(BlobError, match="broken"):
        await writer.commit()
    await writer.abort()
    assert sink.finished is None
    assert sink.discards == 1


async def test_an_abort_that_failed_may_be_tried_again() -> None:
    sink = RememberingSink(is_discard_failing=True)
    writer = BatchingWriter("k", sink, batch_bytes=2)
    for _ in range(2):
        with pytest.raises(BlobStoreUnavailable):
            await writer.abort()
    assert sink.discards == 2


async def test_an_abort_that_fails_does_not_hide_the_first_error() -> None:
    async def upload() -> None:
        async with BatchingWriter("k", RememberingSink(is_discard_failing=True), batch_bytes=2):
            raise ValueError("the first error")

    with pytest.raises(ValueError, match="the first error") as caught:
        await upload()
    assert caught.value.__notes__ == ["The unfinished blob 'k' could not be removed: still away"]
