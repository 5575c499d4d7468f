"""As few syncs as make a rename last, and no fewer."""

import asyncio
import errno
import os
import threading
from pathlib import Path

import pytest

from blobs.directories import LastingDirectories
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
    assert synced[1:] == [tmp_path / "documents" / "d1", tmp_path / "documents"]
    await store.close()


async def test_a_directory_that_is_being_removed_is_new_to_whoever_finds_it_made_again(
    tmp_path: Path, synced: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = LocalBlobStore(tmp_path)
    directory = tmp_path / "documents" / "d1"
    await store.put("documents/d1/source", b"1")
    removed, goes_on = threading.Event(), threading.Event()
    remove = Path.rmdir

    def slow(path: Path) -> None:
        remove(path)
        removed.set()
        goes_on.wait(10)

    monkeypatch.setattr(Path, "rmdir", slow)
    deleting = asyncio.create_task(store.delete("documents/d1/source"))
    await asyncio.to_thread(removed.wait, 10)
    directory.mkdir()  # by a writer that has not synced what it lies in
    synced.clear()
    await store.put("documents/d1/text", b"2")
    assert synced[1:] == [directory, directory.parent]
    goes_on.set()
    await deleting
    await store.close()


async def test_what_another_process_removes_makes_no_directory_new_that_writers_share(
    tmp_path: Path, synced: list[Path]
) -> None:
    store, other = LocalBlobStore(tmp_path), LocalBlobStore(tmp_path)
    await store.put("documents/d1/source", b"1")
    await other.put("documents/d1/text", b"1")
    await other.delete_prefix("documents/d1/")
    synced.clear()
    await other.put("documents/d2/source", b"2")
    await store.put("documents/d3/source", b"3")
    assert tmp_path not in synced, "neither has to wait until the other has synced it"
    assert not (tmp_path / "documents" / "d1").exists()
    await store.close()
    await other.close()


async def test_directories_of_one_parent_that_are_new_together_share_its_sync(
    tmp_path: Path, synced: list[Path]
) -> None:
    new = [tmp_path / "documents" / f"d{number}" for number in range(7)]
    for directory in new:
        directory.mkdir(parents=True)
    lasting, names = LastingDirectories(tmp_path), list(map(str, new))
    lasting.make_last(names, made=names)
    assert synced == [tmp_path / "documents", tmp_path]
    lasting.make_last(names, made=())
    assert len(synced) == 2


async def test_a_sync_that_fails_leaves_nothing_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = tmp_path / "documents"
    directory.mkdir()
    lasting = LastingDirectories(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", failing_sync)
        with pytest.raises(OSError, match="away"):
            lasting.make_last([str(directory)], made=())
    synced_since: list[int] = []
    monkeypatch.setattr(os, "fsync", synced_since.append)
    lasting.make_last([str(directory)], made=())
    assert len(synced_since) == 1


def failing_sync(_descriptor: int) -> None:
    raise OSError(errno.EIO, "the disk is away")
