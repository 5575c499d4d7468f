"""What a directory adds to the contract: durability, few hops, disk errors, what a dead process left."""

import asyncio
import errno
import gc
import os
import threading
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from blobs import durable
from blobs.errors import BlobStoreFull, BlobStoreUnavailable
from blobs.local import BATCH_BYTES, LocalBlobStore

NOW = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[LocalBlobStore]:
    store = LocalBlobStore(tmp_path / "blobs")
    yield store
    await store.close()


def unfinished(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "blobs" / ".tmp").iterdir())


def failing_with(number: int) -> Callable[..., Any]:
    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    return fail


async def test_a_commit_syncs_the_file_and_every_directory_above_it(
    store: LocalBlobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[Path] = []
    sync = os.fsync

    def remembering_sync(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink())
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", remembering_sync)
    await store.put("documents/d1/source", b"x")
    root = tmp_path / "blobs"
    assert synced[0].parent == root / ".tmp"
    assert synced[1:] == [root / "documents" / "d1", root / "documents", root]


@pytest.mark.parametrize(("size_bytes", "hops"), [(0, 1), (1, 1), (BATCH_BYTES, 1), (BATCH_BYTES + 1, 2)])
async def test_a_small_blob_costs_one_hop_to_a_thread(
    store: LocalBlobStore, monkeypatch: pytest.MonkeyPatch, size_bytes: int, hops: int
) -> None:
    calls: list[str] = []
    run = LocalBlobStore.run

    async def counting_run(self: LocalBlobStore, key: str, call: Callable[..., Any], *args: Any) -> Any:
        calls.append(key)
        return await run(self, key, call, *args)

    monkeypatch.setattr(LocalBlobStore, "run", counting_run)
    async with store.writer("k") as writer:
        for first in range(0, size_bytes, 65_536):
            await writer.write(bytes(min(65_536, size_bytes - first)))
        await writer.commit()
    assert len(calls) == hops


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("call", ["writev", "fsync"])
async def test_a_full_disk_is_named_and_leaves_no_half_file(
    store: LocalBlobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(os, call, failing_with(number))
        with pytest.raises(BlobStoreFull, match="No space"):
            await store.put("k", bytes(3 * BATCH_BYTES))
        with pytest.raises(BlobStoreUnavailable, match="free space"):
            await store.check()
    assert unfinished(tmp_path) == []
    assert await store.stat("k") is None
    await store.check()


async def test_a_failing_disk_is_unavailable(store: LocalBlobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", failing_with(errno.EIO))
    with pytest.raises(BlobStoreUnavailable, match="Input/output error"):
        await store.put("k", b"x")


async def test_a_write_that_the_disk_takes_in_bites_arrives_whole(
    store: LocalBlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "writev", lambda descriptor, pieces: os.write(descriptor, pieces[0][:1000]))
    async with store.writer("k") as writer:
        for _ in range(7):
            await writer.write(b"0123456789" * 111)
        await writer.commit()
    assert await store.get("k") == b"0123456789" * 777


async def test_a_directory_that_went_away_is_unavailable_and_named(store: LocalBlobStore, tmp_path: Path) -> None:
    (tmp_path / "blobs").rename(tmp_path / "elsewhere")
    with pytest.raises(BlobStoreUnavailable, match=f"Make {tmp_path / 'blobs'} a writable directory"):
        await store.check()


def test_a_root_that_cannot_be_a_directory_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(BlobStoreUnavailable, match="file"):
        LocalBlobStore(tmp_path / "file")


async def test_what_a_dead_process_left_is_removed_after_a_day(tmp_path: Path) -> None:
    directory = tmp_path / "blobs" / ".tmp"
    directory.mkdir(parents=True)
    for name, age in (("old", timedelta(hours=25)), ("young", timedelta(hours=23))):
        (directory / name).write_bytes(b"half a blob")
        os.utime(directory / name, times=((NOW - age).timestamp(),) * 2)
    store = LocalBlobStore(tmp_path / "blobs", clock=lambda: NOW)
    assert unfinished(tmp_path) == ["young"]
    assert [info async for info in store.list("")] == []
    await store.close()


async def test_a_commit_cancelled_on_the_disk_leaves_no_half_file(
    store: LocalBlobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_syncing, may_go_on = asyncio.Event(), threading.Event()
    loop, sync = asyncio.get_running_loop(), os.fsync

    def slow_sync(descriptor: int) -> None:
        loop.call_soon_threadsafe(is_syncing.set)
        may_go_on.wait(10)
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", slow_sync)
    task = asyncio.create_task(store.put("k", b"whole"))
    await is_syncing.wait()
    task.cancel()
    loop.call_soon(may_go_on.set)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert unfinished(tmp_path) == []
    assert await store.stat("k") is None or await store.get("k") == b"whole"


async def test_a_put_that_is_cancelled_while_its_store_closes_is_cancelled(
    store: LocalBlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_syncing, may_go_on = asyncio.Event(), threading.Event()
    loop, sync = asyncio.get_running_loop(), os.fsync

    def slow_sync(descriptor: int) -> None:
        loop.call_soon_threadsafe(is_syncing.set)
        may_go_on.wait(20)
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", slow_sync)
    putting = asyncio.create_task(store.put("k", b"1"))
    await is_syncing.wait()
    closing = asyncio.create_task(store.close())
    await asyncio.sleep(0)
    putting.cancel()
    await asyncio.wait({putting})
    may_go_on.set()
    await closing
    assert putting.cancelled()


async def test_a_writer_given_up_before_its_thread_began_writes_nothing(tmp_path: Path) -> None:
    root = tmp_path / "blobs"
    (root / ".tmp").mkdir(parents=True)
    pending = durable.PendingFile(root, "k")
    pending.discard()
    with pytest.raises(OSError, match="given up"):
        pending.write_end([b"late"])
    assert unfinished(tmp_path) == []
    assert not (root / "k").exists()


async def test_deleting_the_last_blob_of_a_directory_removes_it_but_for_what_lies_right_below_the_root(
    store: LocalBlobStore, tmp_path: Path
) -> None:
    for key in ("documents/d1/source", "documents/d1/vectors/0", "documents/d2/source"):
        await store.put(key, b"x")
    await store.delete_prefix("documents/d1/")
    assert sorted(path.name for path in (tmp_path / "blobs" / "documents").iterdir()) == ["d2"]
    await store.delete("documents/d2/source")
    assert sorted(path.name for path in (tmp_path / "blobs").iterdir()) == [".tmp", "documents"]
    assert list((tmp_path / "blobs" / "documents").iterdir()) == []


async def test_writers_and_a_deleter_of_one_directory_do_not_trip_each_other(store: LocalBlobStore) -> None:
    async def write(number: int) -> None:
        for _ in range(10):
            await store.put(f"shared/deep/{number}", b"x")
            assert await store.delete(f"shared/deep/{number}")

    await asyncio.gather(*(write(number) for number in range(8)))
    assert [info async for info in store.list("")] == []


async def test_two_stores_on_one_directory_see_each_other(store: LocalBlobStore, tmp_path: Path) -> None:
    other = LocalBlobStore(tmp_path / "blobs")
    await store.put("a/b", b"1")
    assert await other.get("a/b") == b"1"
    await other.close()


async def test_an_error_behind_a_caller_who_was_cancelled_is_nobodys_surprise(store: LocalBlobStore) -> None:
    """The blob was given up meanwhile, say; the event loop would log an error that nobody asked for."""
    logged: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: logged.append(context))
    began, goes_on, ended = threading.Event(), threading.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def late() -> None:
        began.set()
        goes_on.wait(5)
        loop.call_soon_threadsafe(loop.call_later, 0, ended.set)
        raise OSError(errno.ECANCELED, "given up")

    caller = asyncio.create_task(store.run("k", late))
    await asyncio.to_thread(began.wait, 5)
    caller.cancel()
    await asyncio.wait([caller])
    goes_on.set()
    await ended.wait()
    await store.close()
    gc.collect()
    await asyncio.sleep(0)
    assert caller.cancelled()
    assert logged == []
