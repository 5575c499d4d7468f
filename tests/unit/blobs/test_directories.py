"""As few syncs as make a rename last, and no fewer."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from blobs.directories import DirectorySyncs
from blobs.errors import BlobExists, BlobStoreUnavailable
from blobs.local import LocalBlobStore


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The paths that were synced, in order."""
    paths: list[Path] = []
    sync = os.fsync

    def remembering_sync(descriptor: int) -> None:
        paths.append(Path(f"/proc/self/fd/{descriptor}").readlink())
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", remembering_sync)
    return paths


async def test_a_second_blob_of_a_directory_syncs_its_file_and_the_directory(
    tmp_path: Path, synced: list[Path]
) -> None:
    store = LocalBlobStore(tmp_path)
    await store.put("documents/d1/source", b"1")
    synced.clear()
    await store.put("documents/d1/text", b"2")
    assert [path.parent.name for path in synced[:1]] == [".tmp"]
    assert synced[1:] == [tmp_path / "documents" / "d1"]
    await store.close()


async def test_blobs_that_end_in_a_new_directory_together_share_its_syncs(tmp_path: Path, synced: list[Path]) -> None:
    store = LocalBlobStore(tmp_path)
    await store.put("documents/d1/source", b"1")
    synced.clear()
    await asyncio.gather(*(store.put(f"documents/d2/{name}", b"2") for name in ("source", "source.json")))
    assert [path.parent.name for path in synced[:2]] == [".tmp", ".tmp"]
    assert synced[2:] == [tmp_path / "documents" / "d2", tmp_path / "documents"]
    await store.close()


async def test_of_blobs_that_end_together_each_has_its_own_error(tmp_path: Path) -> None:
    store = LocalBlobStore(tmp_path)
    await store.put("documents/d1/source", b"1")
    one, other = await asyncio.gather(
        store.put_new("documents/d1/source", b"2"), store.put("documents/d1/text", b"2"), return_exceptions=True
    )
    assert isinstance(one, BlobExists)
    assert not isinstance(other, BaseException)
    assert (await store.get("documents/d1/source"), await store.get("documents/d1/text")) == (b"1", b"2")
    await store.close()


async def test_a_directory_made_again_after_its_removal_is_new(tmp_path: Path, synced: list[Path]) -> None:
    store = LocalBlobStore(tmp_path)
    await store.put("documents/d1/source", b"1")
    await store.delete("documents/d1/source")
    synced.clear()
    await store.put("documents/d1/source", b"2")
    assert synced[1:] == [tmp_path / "documents" / "d1", tmp_path / "documents", tmp_path]
    await store.close()


async def test_syncs_asked_for_while_one_is_under_way_share_the_next(tmp_path: Path) -> None:
    began, goes_on, synced = asyncio.Event(), asyncio.Event(), list[Path]()

    async def slow_sync(_call: Callable[[Path], None], directory: Path) -> None:
        synced.append(directory)
        began.set()
        await goes_on.wait()

    syncs = DirectorySyncs(tmp_path, slow_sync)
    first = asyncio.create_task(syncs.sync(tmp_path))
    await began.wait()
    others = [asyncio.create_task(syncs.sync(tmp_path)) for _ in range(7)]
    elsewhere = asyncio.create_task(syncs.sync(tmp_path / "other"))
    goes_on.set()
    await asyncio.gather(first, *others, elsewhere)
    assert sorted(synced) == [tmp_path, tmp_path, tmp_path / "other"]


async def test_a_sync_that_fails_fails_all_that_it_served_and_none_after(tmp_path: Path) -> None:
    fails = iter([True, False])

    async def failing_sync(_call: Callable[[Path], None], _directory: Path) -> None:
        await asyncio.sleep(0)
        if next(fails):
            raise BlobStoreUnavailable("the disk is away")

    syncs = DirectorySyncs(tmp_path, failing_sync)
    served = await asyncio.gather(syncs.sync(tmp_path), syncs.sync(tmp_path), return_exceptions=True)
    assert [type(one) for one in served] == [BlobStoreUnavailable, BlobStoreUnavailable]
    await syncs.sync(tmp_path)


async def test_who_stops_waiting_for_a_sync_stops_nobody_else(tmp_path: Path) -> None:
    goes_on = asyncio.Event()

    async def slow_sync(_call: Callable[[Path], None], _directory: Path) -> None:
        await goes_on.wait()

    syncs = DirectorySyncs(tmp_path, slow_sync)
    one, other = (asyncio.create_task(syncs.sync(tmp_path)) for _ in range(2))
    await asyncio.sleep(0)
    one.cancel()
    goes_on.set()
    await other
    with pytest.raises(asyncio.CancelledError):
        await one
