"""As few syncs as make a rename last, and no fewer."""

import asyncio
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from blobs.directories import DirectorySyncs
from blobs.errors import BlobExists
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


def test_syncs_asked_for_while_one_is_under_way_share_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    syncs, began, goes_on = DirectorySyncs(tmp_path), threading.Event(), threading.Event()
    count = 0

    def slow_sync(_descriptor: int) -> None:
        nonlocal count
        count += 1
        began.set()
        assert goes_on.wait(10)

    monkeypatch.setattr(os, "fsync", slow_sync)
    with ThreadPoolExecutor(8) as threads:
        first = threads.submit(syncs.sync, tmp_path)
        assert began.wait(10)
        others = [threads.submit(syncs.sync, tmp_path) for _ in range(7)]
        while syncs._turns[tmp_path].requested < 8:
            threading.Event().wait(0.001)
        goes_on.set()
        for done in (first, *others):
            done.result(10)
    assert count == 2
    assert syncs._turns == {}
