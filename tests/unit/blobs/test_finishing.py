"""Files that end while the disk is at work end together, each with an outcome of its own."""

import asyncio
import errno
import io
import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blobs.directories import LastingDirectories
from blobs.durable import Failure, PendingFile, TargetExists
from blobs.errors import BlobStoreUnavailable
from blobs.finishing import CALL_BYTES_MAX, CALLS_MAX, DIRECTORIES_MAX, Finishing, finish_files
from blobs.writer import Tail, pieces_of

BLOCK = bytes(64 * 1024)


class SlowDisk:
    """Calls that end when they are told to; the names of the files of each."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.directories: list[int] = []
        self.sizes: list[int] = []
        self.goes_on = asyncio.Event()
        self.under_way = self.most = 0
        self.failure: Exception | None = None

    async def finish(self, files: Sequence[PendingFile], tails: Sequence[Tail]) -> Sequence[Failure | None]:
        self.calls.append([f"{file.folder}/{number}" for number, file in enumerate(files)])
        self.directories.append(len({file.folder for file in files}))
        self.sizes.append(sum(len(piece) for tail in tails for piece in pieces_of(tail)))
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        await self.goes_on.wait()
        self.under_way -= 1
        if self.failure is not None:
            raise self.failure
        return [None] * len(files)


def pending(root: Path, document: int, name: str = "source") -> PendingFile:
    return PendingFile(root, f"documents/d{document}/{name}")


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_what_ends_while_every_call_is_busy_ends_together(tmp_path: Path) -> None:
    disk = SlowDisk()
    finishing = Finishing(disk.finish)
    waiting = [asyncio.create_task(finishing.add(pending(tmp_path, number), [b"1"])) for number in range(CALLS_MAX)]
    await settled()
    assert [len(call) for call in disk.calls] == [1] * CALLS_MAX
    waiting += [asyncio.create_task(finishing.add(pending(tmp_path, number), [b"1"])) for number in range(10, 30)]
    await settled()
    assert len(disk.calls) == CALLS_MAX
    disk.goes_on.set()
    assert await asyncio.gather(*waiting) == [None] * len(waiting)
    assert len(disk.calls) <= 2 * CALLS_MAX


async def test_a_source_and_its_sidecar_never_part(tmp_path: Path) -> None:
    disk = SlowDisk()
    finishing = Finishing(disk.finish)
    waiting = [
        asyncio.create_task(finishing.add(pending(tmp_path, number, name), [b"1"]))
        for number in range(DIRECTORIES_MAX * CALLS_MAX + 1)
        for name in ("source", "source.json")
    ]
    disk.goes_on.set()
    await asyncio.gather(*waiting)
    assert sum(disk.directories) == DIRECTORIES_MAX * CALLS_MAX + 1
    assert max(disk.directories) <= DIRECTORIES_MAX
    assert disk.most <= CALLS_MAX


@given(blocks=st.lists(st.integers(0, CALL_BYTES_MAX // len(BLOCK) + 1), min_size=1, max_size=40))
def test_no_call_writes_much_unless_one_file_is_that_long(blocks: list[int]) -> None:
    async def finish_all() -> SlowDisk:
        disk = SlowDisk()
        disk.goes_on.set()
        finishing, root = Finishing(disk.finish), Path("/nowhere")
        await asyncio.gather(*(finishing.add(pending(root, at), [BLOCK] * size) for at, size in enumerate(blocks)))
        return disk

    disk = asyncio.run(finish_all())
    assert sum(disk.sizes) == sum(blocks) * len(BLOCK)
    assert all(size <= CALL_BYTES_MAX or len(call) == 1 for size, call in zip(disk.sizes, disk.calls, strict=True))


async def test_who_stops_waiting_stops_nobody_else(tmp_path: Path) -> None:
    disk = SlowDisk()
    finishing = Finishing(disk.finish)
    one, other = (
        asyncio.create_task(finishing.add(pending(tmp_path, 1, name), [b"1"])) for name in ("source", "source.json")
    )
    await settled()
    one.cancel()
    disk.goes_on.set()
    assert await other is None
    with pytest.raises(asyncio.CancelledError):
        await one


async def test_a_call_that_cannot_be_made_fails_all_that_it_was_for_and_none_after(tmp_path: Path) -> None:
    disk = SlowDisk()
    disk.goes_on.set()
    disk.failure = BlobStoreUnavailable("closed")
    finishing = Finishing(disk.finish)
    both = [finishing.add(pending(tmp_path, 1, name), [b"1"]) for name in ("source", "source.json")]
    failed = await asyncio.gather(*both, return_exceptions=True)
    assert [type(one) for one in failed] == [BlobStoreUnavailable, BlobStoreUnavailable]
    disk.failure = None
    assert await finishing.add(pending(tmp_path, 1), [b"1"]) is None


async def test_a_long_file_waits_for_nobody_and_nobody_for_it(tmp_path: Path) -> None:
    disk = SlowDisk()
    finishing = Finishing(disk.finish)
    (tmp_path / ".tmp").mkdir()
    long = [pending(tmp_path, number) for number in range(CALLS_MAX + 1)]
    for file in long:
        file.append(io.BytesIO(b"begun"))
    waiting = [asyncio.create_task(finishing.add(file, [b"1"])) for file in long]
    await settled()
    short = asyncio.create_task(finishing.add(pending(tmp_path, 99), [b"1"]))
    await settled()
    assert len(disk.calls) == CALLS_MAX + 2
    disk.goes_on.set()
    await asyncio.gather(*waiting, short)
    for file in long:
        file.discard()


def test_of_files_that_end_together_one_that_fails_takes_none_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".tmp").mkdir()
    taken = tmp_path / "documents" / "d1"
    taken.mkdir(parents=True)
    (taken / "source").write_bytes(b"there")
    files = [
        PendingFile(tmp_path, "documents/d1/source", is_new=True),
        *(pending(tmp_path, number) for number in (2, 3)),
    ]
    lost, sync = tmp_path / "documents" / "d3", os.fsync

    def failing_sync(descriptor: int) -> None:
        if Path(f"/proc/self/fd/{descriptor}").readlink() == lost:
            raise OSError(errno.EIO, "the disk is away")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", failing_sync)
    failures = finish_files(files, [[b"1"], [b"2"], [b"3"]], LastingDirectories(tmp_path))
    assert [type(one) for one in failures] == [TargetExists, type(None), OSError]
    assert (taken / "source").read_bytes() == b"there"
    assert (tmp_path / "documents" / "d2" / "source").read_bytes() == b"2"
    assert list((tmp_path / ".tmp").iterdir()) == []


def test_a_file_that_is_given_up_while_others_are_synced_leaves_no_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".tmp").mkdir()
    given_up, other = files = [pending(tmp_path, number) for number in (1, 2)]
    sync, synced = os.fsync, list[int]()

    def giving_up(descriptor: int) -> None:
        sync(descriptor)
        synced.append(descriptor)
        if len(synced) == 2:
            given_up.discard()

    monkeypatch.setattr(os, "fsync", giving_up)
    failures = finish_files(files, [[b"1"], [b"2"]], LastingDirectories(tmp_path))
    assert [type(one) for one in failures] == [OSError, type(None)]
    assert sorted(path.name for path in tmp_path.rglob("*")) == [".tmp", "d2", "documents", "source"]
    assert Path(other.folder, "source").read_bytes() == b"2"
