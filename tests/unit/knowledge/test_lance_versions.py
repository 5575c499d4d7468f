"""Versions of a table where a register decides: none is lost or changed, whoever dies or comes late."""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.lance_versions import (
    Entry,
    MemoryVersionRegister,
    NoSuchVersion,
    TableVersions,
    VersionRegister,
    VersionTaken,
    path_of,
    version_of,
)

TABLE = "kb_07test.1"


class Bucket:
    """`Manifests` in memory; before every call, and before those of the register, `pause` is awaited."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {path_of(TABLE, 1): b"1"}

    async def pause(self) -> None:
        return None

    async def read(self, name: str) -> bytes | None:
        await self.pause()
        return self.objects.get(name)

    async def write(self, name: str, content: bytes) -> None:
        await self.pause()
        self.objects[name] = content

    async def delete(self, name: str) -> None:
        await self.pause()
        self.objects.pop(name, None)

    async def is_there(self, name: str) -> bool:
        await self.pause()
        return name in self.objects

    async def names(self, beginning: str) -> Sequence[str]:
        await self.pause()
        return sorted(name for name in self.objects if name.startswith(beginning))

    def stage(self, version: int, writer: str) -> str:
        name = f"{path_of(TABLE, version)}-{writer}"
        self.objects[name] = writer.encode()
        return name

    def content(self, version: int) -> bytes | None:
        return self.objects.get(path_of(TABLE, version))


def world() -> tuple[Bucket, VersionRegister, TableVersions]:
    bucket, register = Bucket(), MemoryVersionRegister()
    return bucket, register, TableVersions(register, bucket)


@given(st.integers(1, 2**64 - 1))
def test_names_lead_back_to_versions_and_newer_ones_come_first(version: int) -> None:
    assert version_of(path_of(TABLE, version)) == version
    assert path_of(TABLE, version) < path_of(TABLE, version - 1)


async def test_a_version_is_entered_once_and_lies_at_its_place() -> None:
    bucket, register, versions = world()
    assert await versions.newest(TABLE) == 1
    await versions.enter(TABLE, 2, bucket.stage(2, "a"))
    with pytest.raises(VersionTaken):
        await versions.enter(TABLE, 2, bucket.stage(2, "b"))
    with pytest.raises(VersionTaken):
        await versions.enter(TABLE, 4, bucket.stage(4, "b"))
    assert (bucket.content(2), await versions.newest(TABLE)) == (b"a", 2)
    assert await register.newest(TABLE) == Entry(2)
    assert await versions.find(TABLE, 2) == path_of(TABLE, 2)
    with pytest.raises(NoSuchVersion):
        await versions.find(TABLE, 3)
    assert not [name for name in bucket.objects if name.endswith("-a")]


@pytest.mark.parametrize("who", ["a reader", "the next writer"])
async def test_whoever_comes_next_puts_in_place_what_a_dead_writer_had_entered(who: str) -> None:
    bucket, register, versions = world()
    await register.replace(TABLE, None, Entry(2, bucket.stage(2, "dead")))
    if who == "a reader":
        assert await versions.newest(TABLE) == 2
    else:
        with pytest.raises(VersionTaken):
            await versions.enter(TABLE, 2, bucket.stage(2, "next"))
    assert bucket.content(2) == b"dead"
    await versions.enter(TABLE, 3, bucket.stage(3, "next"))
    assert bucket.content(3) == b"next"


async def test_a_register_that_lost_everything_learns_from_the_bucket() -> None:
    bucket, register, versions = world()
    for version in (2, 3):
        await versions.enter(TABLE, version, bucket.stage(version, "a"))
    await register.replace(TABLE, Entry(3), None)
    assert await versions.newest(TABLE) == 3
    with pytest.raises(VersionTaken):
        await versions.enter(TABLE, 2, bucket.stage(2, "b"))
    await versions.enter(TABLE, 4, bucket.stage(4, "b"))
    assert [bucket.content(version) for version in (2, 3, 4)] == [b"a", b"a", b"b"]


async def test_a_register_that_lost_its_end_is_corrected_before_anything_is_replaced() -> None:
    bucket, register, versions = world()
    for version in (2, 3, 4):
        await versions.enter(TABLE, version, bucket.stage(version, "a"))
    await register.replace(TABLE, Entry(4), Entry(2))
    with pytest.raises(VersionTaken):
        await versions.enter(TABLE, 3, bucket.stage(3, "b"))
    assert (await versions.newest(TABLE), bucket.content(3)) == (4, b"a")


async def test_a_table_that_was_dropped_begins_again_though_the_register_was_not_told() -> None:
    bucket, register, versions = world()
    await versions.enter(TABLE, 2, bucket.stage(2, "a"))
    bucket.objects = {path_of(TABLE, 1): b"again"}
    await versions.look_again(TABLE)
    assert await versions.newest(TABLE) == 1
    bucket.objects.clear()
    await versions.look_again(TABLE)
    assert (await register.newest(TABLE), await versions.newest(TABLE)) == (None, None)


async def test_who_sleeps_through_a_drop_is_told() -> None:
    bucket, register, versions = world()
    await register.replace(TABLE, None, Entry(2, bucket.stage(2, "a")))
    bucket.objects.clear()
    with pytest.raises(NoSuchVersion):
        await versions.enter(TABLE, 3, "gone")


WRITERS = ("a", "b", "c")


@given(st.lists(st.tuples(st.sampled_from(WRITERS), st.booleans()), max_size=120))
def test_no_commit_that_was_answered_is_ever_lost_or_changed(steps: list[tuple[str, bool]]) -> None:
    """Writers go on one call at a time in any order; one may die at any call, and another takes its place."""
    bucket, register = Bucket(), MemoryVersionRegister()
    answered: dict[int, bytes] = {}

    async def write(name: str) -> None:
        versions = TableVersions(Paused(register), bucket)
        for number in range(20):
            version = (await versions.newest(TABLE) or 0) + 1
            staged = bucket.stage(version, f"{name}{number}")
            content = bucket.objects[staged]
            try:
                await versions.enter(TABLE, version, staged)
            except VersionTaken:
                continue
            assert version not in answered
            answered[version] = content

    bucket.pause = pause  # type: ignore[method-assign]
    running: dict[str, Coroutine[Any, Any, None]] = {name: write(name) for name in WRITERS}
    for place, (name, dies) in enumerate(steps):
        if dies:
            running[name].close()
            running[name] = write(f"{name}{place}-")
        try:
            running[name].send(None)
        except StopIteration:
            running[name] = write(f"{name}{place}-")
        for version, content in answered.items():
            assert bucket.content(version) == content
    for one in running.values():
        one.close()
    bucket.pause = Bucket().pause  # type: ignore[method-assign]
    newest = asyncio.run(TableVersions(register, bucket).newest(TABLE))
    assert newest is not None
    assert newest >= max(answered, default=1)
    assert all(bucket.content(version) for version in range(1, newest + 1))


class Paused:
    """A register that lets others go first."""

    def __init__(self, register: VersionRegister) -> None:
        self._register = register

    async def newest(self, table: str) -> Entry | None:
        await pause()
        return await self._register.newest(table)

    async def replace(self, table: str, seen: Entry | None, entry: Entry | None) -> bool:
        await pause()
        return await self._register.replace(table, seen, entry)


class _Turn:
    def __await__(self) -> Any:
        yield


async def pause() -> None:
    await _Turn()
