"""What every BlobStore must do. A test file per implementation subclasses this and provides two fixtures."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Final

import pytest

from blobs.errors import BlobError, BlobExists, BlobMissing, BlobStoreUnavailable, InvalidBlobKey
from blobs.keys import KEY_BYTES_MAX, SEGMENT_BYTES_MAX
from blobs.store import METADATA_BYTES_MAX, BlobRef, BlobStore, CollectableBlobs

Leftovers = Callable[[], Awaitable[int]]

MIB: Final = 1024 * 1024
MANY_PARTS: Final = bytes(range(251)) * (11 * MIB // 251) + b"end"
"""Two parts of 5 MiB and a rest on S3, eleven batches in a directory; 251 is prime, so no two parts are alike."""

HOSTILE_KEYS: Final = (
    *("", "/", "a/", "/a", "a//b", ".", "..", "../a", "a/../b", "a/./b", "a/..", "a/.", ".tmp/a", "-a", "_a"),
    *("a b", "a\\b", "a\x00b", "a\nb", "a\n", "a?b", "a#b", "a%2e%2e", "a:b", "a*", "~a", "C:/a"),
    *("文档", "a/文", "é", "ａ", "a/\u2024\u2024/b", "a\ud800"),
    *("k" * (KEY_BYTES_MAX + 1), "k" * (SEGMENT_BYTES_MAX + 1), "a/" * 255 + "../x"),
)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


async def read_all(store: BlobStore, key: str, *, start: int = 0, length: int | None = None) -> bytes:
    return b"".join([piece async for piece in store.read(key, start=start, length=length)])


async def keys_of(store: BlobStore, prefix: str) -> list[str]:
    return [info.key async for info in store.list(prefix)]


async def are_conditions_honoured(store: BlobStore) -> bool:
    """Only S3 servers differ in this."""
    conditions = getattr(store, "_conditions", None)
    return conditions is None or await conditions.are_honoured()


class BlobStoreContract:
    """Needs the fixtures `store` (empty, closed by the fixture) and `leftovers` (counts unfinished things)."""

    @pytest.mark.parametrize("data", [b"", b"x", b"line\r\n\x00\xff" * 1000, MANY_PARTS], ids=["0", "1", "9k", "11M"])
    async def test_a_blob_comes_back_as_it_was_put(self, store: BlobStore, data: bytes) -> None:
        ref = await store.put("documents/d1/source", data)
        assert ref == BlobRef(key="documents/d1/source", size_bytes=len(data), sha256=sha256(data))
        assert await store.get(ref.key) == data
        assert await read_all(store, ref.key) == data

    async def test_a_new_blob_never_replaces_one_that_is_there(self, store: BlobStore, leftovers: Leftovers) -> None:
        ref = await store.put_new("archive/00.1/a.seg", b"first")
        assert ref == BlobRef(key="archive/00.1/a.seg", size_bytes=5, sha256=sha256(b"first"))
        for data in (b"second", b"first", b""):
            with pytest.raises(BlobExists):
                await store.put_new("archive/00.1/a.seg", data)
        await store.put("b", b"whole")
        with pytest.raises(BlobExists):
            await store.put_new("b", b"new")
        assert (await store.get("archive/00.1/a.seg"), await store.get("b")) == (b"first", b"whole")
        assert await keys_of(store, "") == ["archive/00.1/a.seg", "b"]
        assert await leftovers() == 0

    async def test_of_several_that_make_one_blob_new_one_succeeds(self, store: BlobStore, leftovers: Leftovers) -> None:
        if not await are_conditions_honoured(store):
            pytest.skip("this server overwrites whatever the condition says")
        made = await asyncio.gather(*(store.put_new("one", b"%d" % n) for n in range(8)), return_exceptions=True)
        winners = [one for one in made if isinstance(one, BlobRef)]
        assert len(winners) == 1
        assert all(isinstance(one, BlobRef | BlobExists | BlobStoreUnavailable) for one in made)
        assert sha256(await store.get("one")) == winners[0].sha256
        assert await leftovers() == 0

    async def test_a_blob_written_in_uneven_pieces_comes_back_whole(
        self, store: BlobStore, leftovers: Leftovers
    ) -> None:
        async with store.writer("uneven") as writer:
            buffer = bytearray(700_001)
            for first in range(0, len(MANY_PARTS), len(buffer)):
                piece = MANY_PARTS[first : first + len(buffer)]
                buffer[: len(piece)] = piece
                await writer.write(memoryview(buffer)[: len(piece)])
                assert writer.size_bytes == first + len(piece)
            ref = await writer.commit()
        assert ref == BlobRef(key="uneven", size_bytes=len(MANY_PARTS), sha256=sha256(MANY_PARTS))
        assert await store.get("uneven") == MANY_PARTS
        assert await leftovers() == 0

    @pytest.mark.parametrize(
        "pieces",
        [[], [b"one"], [b"", b"a", b"", b"bc"], [MANY_PARTS, b"tail"], [b"head", MANY_PARTS, b"x" * MIB, MANY_PARTS]],
        ids=["none", "one", "small", "large", "uneven"],
    )
    async def test_a_blob_is_made_of_others_in_order(
        self, store: BlobStore, leftovers: Leftovers, pieces: list[bytes]
    ) -> None:
        sources = [(f"pieces/{number}", len(piece)) for number, piece in enumerate(pieces)]
        for (key, _), piece in zip(sources, pieces, strict=True):
            await store.put(key, piece)
        await store.put("made/of/them", b"what was there")
        await store.compose(sources, "made/of/them")
        assert await store.get("made/of/them") == b"".join(pieces)
        assert [await store.get(key) for key, _ in sources] == pieces
        assert await leftovers() == 0

    @pytest.mark.parametrize("others", [[b"small"], [MANY_PARTS]], ids=["small", "large"])
    async def test_a_blob_made_of_one_that_is_missing_leaves_nothing(
        self, store: BlobStore, leftovers: Leftovers, others: list[bytes]
    ) -> None:
        for piece in others:
            await store.put("there", piece)
        with pytest.raises(BlobMissing):
            await store.compose([("there", len(others[0])), ("missing", 6 * MIB), ("gone", 3)], "made")
        assert await store.stat("made") is None
        assert await leftovers() == 0
        with pytest.raises(InvalidBlobKey):
            await store.compose([("there", len(others[0]))], "../made")

    @pytest.mark.parametrize("data", [b"small", MANY_PARTS], ids=["small", "large"])
    async def test_nothing_is_visible_before_commit(self, store: BlobStore, data: bytes) -> None:
        async with store.writer("a/late") as writer:
            await writer.write(data)
            assert await store.stat("a/late") is None
            assert await keys_of(store, "") == []
            with pytest.raises(BlobMissing):
                await store.get("a/late")
            await writer.commit()
        assert await store.get("a/late") == data

    @pytest.mark.parametrize("data", [b"small", MANY_PARTS], ids=["small", "large"])
    async def test_an_abort_leaves_nothing(self, store: BlobStore, leftovers: Leftovers, data: bytes) -> None:
        writer = store.writer("gone")
        await writer.write(data)
        await writer.abort()
        await writer.abort()
        assert await store.stat("gone") is None
        assert await leftovers() == 0

    async def test_leaving_a_writer_without_commit_leaves_nothing(self, store: BlobStore, leftovers: Leftovers) -> None:
        async with store.writer("gone") as writer:
            await writer.write(MANY_PARTS)
        assert await store.stat("gone") is None
        assert await leftovers() == 0

    async def test_an_exception_inside_a_writer_leaves_the_old_blob_and_nothing_else(
        self, store: BlobStore, leftovers: Leftovers
    ) -> None:
        await store.put("kept", b"old")

        async def upload() -> None:
            async with store.writer("kept") as writer:
                await writer.write(MANY_PARTS)
                raise RuntimeError("the client went away")

        with pytest.raises(RuntimeError, match="the client went away"):
            await upload()
        assert await store.get("kept") == b"old"
        assert await leftovers() == 0

    async def test_a_cancelled_upload_leaves_nothing(self, store: BlobStore, leftovers: Leftovers) -> None:
        has_written = asyncio.Event()

        async def upload() -> None:
            async with store.writer("cancelled") as writer:
                await writer.write(MANY_PARTS)
                has_written.set()
                await asyncio.Event().wait()

        task = asyncio.create_task(upload())
        await has_written.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await store.stat("cancelled") is None
        assert await leftovers() == 0

    async def test_a_finished_writer_takes_no_more(self, store: BlobStore) -> None:
        committed, aborted = store.writer("one"), store.writer("two")
        await committed.write(b"whole")
        await committed.commit()
        await committed.abort()
        await aborted.abort()
        for writer in (committed, aborted):
            with pytest.raises(BlobError):
                await writer.write(b"more")
            with pytest.raises(BlobError):
                await writer.commit()
        assert await store.get("one") == b"whole"
        assert await store.stat("two") is None

    async def test_what_a_blob_carries_comes_with_it_and_goes_with_it(self, store: BlobStore) -> None:
        everything = (bytes(range(256)) * 6)[: METADATA_BYTES_MAX + 1]
        carried = []
        for size in (1, 700, METADATA_BYTES_MAX, METADATA_BYTES_MAX + 1):
            async with store.writer(f"carrier/{size}") as writer:
                await writer.write(b"its bytes")
                if await writer.carries(size):
                    await writer.commit(everything[:size])
                    carried.append(size)
                else:
                    with pytest.raises(BlobError):
                        await writer.commit(everything[:size])
        assert carried in ([1, 700, METADATA_BYTES_MAX], [])
        assert await keys_of(store, "") == sorted(f"carrier/{size}" for size in carried)
        for size in carried:
            key = f"carrier/{size}"
            assert (await store.get(key), await store.metadata(key)) == (b"its bytes", everything[:size])
            await store.put(key, b"other bytes")
            assert await store.metadata(key) is None
        assert await store.metadata("nothing") is None

    async def test_a_blob_of_many_parts_says_whether_it_carries_something(self, store: BlobStore) -> None:
        async with store.writer("parts") as writer:
            await writer.write(MANY_PARTS)
            metadata = b"said of it" if await writer.carries(10) else b""
            await writer.commit(metadata)
        assert (await store.metadata("parts") or b"") == metadata
        assert await store.get("parts") == MANY_PARTS

    async def test_a_put_replaces_what_was_there(self, store: BlobStore) -> None:
        await store.put("twice", MANY_PARTS)
        await store.put("twice", b"second")
        assert await store.get("twice") == b"second"
        assert await keys_of(store, "") == ["twice"]

    async def test_a_reader_sees_the_old_blob_or_the_new_one(self, store: BlobStore) -> None:
        versions = [bytes([number]) * 300_000 for number in range(8)]
        await store.put("versioned", versions[0])
        is_done = asyncio.Event()

        async def overwrite() -> None:
            for version in versions:
                await store.put("versioned", version)
            is_done.set()

        async def look() -> int:
            looks = 0
            while not is_done.is_set() or not looks:
                assert await store.get("versioned") in versions
                looks += 1
                await asyncio.sleep(0)  # the memory store never waits for anything itself
            return looks

        *looks, _ = await asyncio.gather(look(), look(), overwrite())
        assert min(filter(None, looks)) > 0
        assert await store.get("versioned") == versions[-1]

    async def test_of_concurrent_writers_to_one_key_one_wins_whole(
        self, store: BlobStore, leftovers: Leftovers
    ) -> None:
        rivals = [bytes([number]) * 100_000 for number in range(10)]
        refs = await asyncio.gather(*(store.put("contested/key", data) for data in rivals))
        assert {ref.sha256 for ref in refs} == {sha256(data) for data in rivals}
        assert await store.get("contested/key") in rivals
        assert await leftovers() == 0

    async def test_a_hundred_small_puts_at_once_all_arrive(self, store: BlobStore) -> None:
        blobs = {f"documents/d{number:03}/source": f"{number}".encode() * 1000 for number in range(100)}
        await asyncio.gather(*(store.put(key, data) for key, data in blobs.items()))
        assert await keys_of(store, "documents/") == sorted(blobs)
        assert dict(zip(blobs, await asyncio.gather(*map(store.get, blobs)), strict=True)) == blobs

    @pytest.mark.parametrize(
        ("start", "length"),
        [
            (0, None),
            (3, None),
            (0, 1),
            (2, 3),
            (9, 1),
            (9, 5),
            (10, None),
            (10, 3),
            (99, None),
            (0, 0),
            (5, 0),
            (0, 99),
        ],
    )
    async def test_a_range_is_the_slice_of_the_blob(self, store: BlobStore, start: int, length: int | None) -> None:
        data = b"0123456789"
        await store.put("digits", data)
        expected = data[start:] if length is None else data[start : start + length]
        assert await read_all(store, "digits", start=start, length=length) == expected

    async def test_a_range_may_cross_parts(self, store: BlobStore) -> None:
        await store.put("large", MANY_PARTS)
        start, length = 5 * MIB - 7, 5 * MIB + 20
        assert await read_all(store, "large", start=start, length=length) == MANY_PARTS[start : start + length]

    async def test_a_reader_may_leave_early(self, store: BlobStore) -> None:
        await store.put("large", MANY_PARTS)
        pieces = store.read("large")
        first = await anext(pieces)
        await pieces.aclose()  # type: ignore[attr-defined]
        assert MANY_PARTS.startswith(first)
        assert first
        assert await store.delete("large")

    @pytest.mark.parametrize(("start", "length"), [(-1, None), (0, -1)])
    async def test_a_backward_range_is_refused(self, store: BlobStore, start: int, length: int | None) -> None:
        with pytest.raises(ValueError, match="range"):
            await read_all(store, "any", start=start, length=length)

    async def test_a_missing_blob_is_named(self, store: BlobStore) -> None:
        await store.put("here/too", b"")
        for key in ("missing", "here", "here/to", "here/too2"):
            assert await store.stat(key) is None
            with pytest.raises(BlobMissing) as caught:
                await store.get(key)
            assert caught.value.key == key
            for length in (None, 0):
                with pytest.raises(BlobMissing):
                    await read_all(store, key, length=length)

    async def test_stat_tells_size_and_time(self, store: BlobStore) -> None:
        await store.put("a/b", b"12345")
        info = await store.stat("a/b")
        assert info is not None
        assert (info.key, info.size_bytes) == ("a/b", 5)
        assert info.modified_at.tzinfo is UTC
        listed = [found async for found in store.list("a/")]
        assert [found.key for found in listed] == ["a/b"]
        assert abs(listed[0].modified_at - info.modified_at) < timedelta(seconds=2)

    async def test_keys_are_listed_in_ascending_order_of_their_bytes(self, store: BlobStore) -> None:
        keys = ["Z", "a-b", "a.b", "a/b", "a/b.c", "a/c/d", "a/c-", "a0", "a@", "a_", "b/.hidden", "b/-", "ab", "A/1"]
        await asyncio.gather(*(store.put(key, key.encode()) for key in keys))
        assert await keys_of(store, "") == sorted(keys)
        for prefix in ("a", "a/", "a/c", "a/c/", "a.", "b/.h", "A", "nothing", "a/b/"):
            assert await keys_of(store, prefix) == sorted(key for key in keys if key.startswith(prefix))

    async def test_deleting_says_whether_there_was_something(self, store: BlobStore) -> None:
        await store.put("d/one", b"1")
        await store.put("d/two", b"2")
        assert await store.delete("d/one") is True
        assert await store.delete("d/one") is False
        assert await store.delete("d") is False
        assert await keys_of(store, "") == ["d/two"]

    async def test_a_deleted_prefix_is_gone_and_its_neighbours_stay(self, store: BlobStore) -> None:
        for key in ("documents/d1/source", "documents/d1/vectors/0", "documents/d10/source", "documents/d2"):
            await store.put(key, b"x")
        assert await store.delete_prefix("documents/d1/") == 2
        assert await store.delete_prefix("documents/d1/") == 0
        assert await keys_of(store, "") == ["documents/d10/source", "documents/d2"]
        assert await store.delete_prefix("documents/d") == 2
        assert await keys_of(store, "") == []

    async def test_an_empty_prefix_deletes_nothing(self, store: BlobStore) -> None:
        await store.put("precious", b"x")
        with pytest.raises(InvalidBlobKey):
            await store.delete_prefix("")
        assert await store.get("precious") == b"x"

    async def test_a_key_may_be_used_again_after_everything_beneath_it_is_gone(self, store: BlobStore) -> None:
        await store.put("a/b/c", b"1")
        await store.delete("a/b/c")
        await store.put("a/b", b"2")
        await store.delete_prefix("a/")
        await store.put("a", b"3")
        assert await keys_of(store, "") == ["a"]

    async def test_a_key_beneath_another_is_kept_whole_or_refused(self, store: BlobStore) -> None:
        await store.put("a/b", b"first")
        for key in ("a/b/c", "a"):
            try:
                await store.put(key, b"second")
            except BlobError:
                assert await store.stat(key) is None
            else:
                assert await store.get(key) == b"second"
            assert await store.get("a/b") == b"first"

    @pytest.mark.parametrize("key", HOSTILE_KEYS, ids=lambda key: ascii(key)[:40])
    async def test_a_hostile_key_is_refused_everywhere(self, store: BlobStore, key: str) -> None:
        with pytest.raises(InvalidBlobKey):
            store.writer(key)
        with pytest.raises(InvalidBlobKey):
            await store.put(key, b"x")
        with pytest.raises(InvalidBlobKey):
            await store.get(key)
        with pytest.raises(InvalidBlobKey):
            await read_all(store, key)
        with pytest.raises(InvalidBlobKey):
            await store.stat(key)
        with pytest.raises(InvalidBlobKey):
            await store.metadata(key)
        with pytest.raises(InvalidBlobKey):
            await store.delete(key)

    @pytest.mark.parametrize(
        "prefix", ["/", "../", "a/../", "a/..", "a/.", "a//", "a//b", ".tmp", "文", "a\x00", "a" * 513]
    )
    async def test_a_hostile_prefix_is_refused(self, store: BlobStore, prefix: str) -> None:
        with pytest.raises(InvalidBlobKey):
            await keys_of(store, prefix)
        with pytest.raises(InvalidBlobKey):
            await store.delete_prefix(prefix)

    async def test_the_longest_key_works(self, store: BlobStore) -> None:
        key = f"{'k' * SEGMENT_BYTES_MAX}/{'l' * SEGMENT_BYTES_MAX}/m"[:KEY_BYTES_MAX].rstrip("/")
        await store.put(key, b"x")
        assert await keys_of(store, "k") == [key]

    async def test_a_check_passes_and_leaves_nothing(self, store: BlobStore, leftovers: Leftovers) -> None:
        await store.check()
        assert await keys_of(store, "") == []
        assert await leftovers() == 0

    async def test_a_closed_store_says_so(self, store: BlobStore) -> None:
        await store.put("a", b"x")
        await store.close()
        await store.close()
        with pytest.raises(BlobStoreUnavailable):
            await store.put("a", b"y")
        with pytest.raises(BlobStoreUnavailable):
            await store.get("a")
        with pytest.raises(BlobStoreUnavailable):
            await store.check()

    async def test_what_a_dead_writer_left_is_dropped_once_it_is_old(
        self, store: CollectableBlobs, leftovers: Leftovers
    ) -> None:
        kept = await store.put("kept", b"data")
        await store.writer("abandoned").write(MANY_PARTS)
        begun, now = await leftovers(), datetime.now(UTC)
        assert await store.abort_abandoned_uploads(older_than=timedelta(hours=1), now=now) == 0
        assert await leftovers() == begun
        later = now + timedelta(hours=2)
        assert await store.abort_abandoned_uploads(older_than=timedelta(hours=1), now=later) == begun
        assert await leftovers() == 0
        assert await keys_of(store, "") == [kept.key]
