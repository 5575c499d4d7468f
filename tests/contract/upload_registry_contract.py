"""What every registry of resumable uploads does, wherever it keeps them."""

import asyncio
from typing import Any, Final

from events.ids import TaskId
from ingest.problems import ProblemCode
from ingest.upload_registry import Ended, Finished, NewUpload, Piece, Upload, UploadKind, UploadRegistry

NOW_US: Final = 4_000_000_000_000_000
"""In the year 2096: what is to expire then is there as long as these tests run."""

HOUR_US: Final = 3_600_000_000
LATER_US: Final = NOW_US + HOUR_US


def new_upload(upload_id: str = "a" * 32, **about: Any) -> NewUpload:
    return NewUpload(**{"upload_id": upload_id, "actor": "me", "length": 100, "metadata": "filename YQ==", **about})


def piece(offset: int, size_bytes: int) -> Piece:
    return Piece(offset, size_bytes, f"uploads/{'a' * 32}/{offset}@{offset:x}")


async def created(registry: UploadRegistry, upload_id: str = "a" * 32, **about: Any) -> Upload:
    new = new_upload(upload_id, **about)
    upload = await registry.create(new, expires_us=LATER_US, now_us=NOW_US, open_max=10)
    assert upload is not None
    return upload


async def taken(registry: UploadRegistry, offset: int, **more: Any) -> Upload:
    upload = await registry.take("a" * 32, offset=offset, **more)
    assert upload is not None
    return upload


class UploadRegistryContract:
    """Subclasses provide the fixture `registry`, empty."""

    async def test_a_new_upload_stands_at_0_and_is_what_was_asked_for(self, registry: UploadRegistry) -> None:
        upload = await created(registry)
        assert upload == Upload(about=new_upload(), length=100, offset=0, fence=0, pieces=0, expires_us=LATER_US)
        assert await registry.get("a" * 32) == upload
        assert await registry.get("b" * 32) is None
        assert await registry.pieces("a" * 32) == ()

    async def test_an_id_makes_one_upload_whatever_is_asked_for_next(self, registry: UploadRegistry) -> None:
        first = await created(registry)
        assert await created(registry, length=7, metadata="") == first

    async def test_an_upload_keeps_whatever_text_its_client_sent(self, registry: UploadRegistry) -> None:
        about: dict[str, Any] = {
            "actor": 'k"\x00é\n',
            "metadata": 'a YQ==,"b' + "\\",
            "concat": "final;/x /y",
            "parts": ("x", "y"),
        }
        upload = await created(registry, kind=UploadKind.FINAL, length=None, **about)
        assert await registry.get("a" * 32) == upload
        assert (upload.about, upload.length) == (new_upload(kind=UploadKind.FINAL, length=None, **about), None)

    async def test_pieces_count_in_the_order_in_which_they_are_recorded(self, registry: UploadRegistry) -> None:
        await created(registry)
        fence = (await taken(registry, 0)).fence
        assert await registry.record("a" * 32, fence, [piece(0, 10)], expires_us=LATER_US + 1)
        assert await registry.record("a" * 32, fence, [piece(10, 20), piece(30, 5)], expires_us=LATER_US + 2)
        upload = await registry.get("a" * 32)
        assert upload is not None
        assert (upload.offset, upload.pieces, upload.expires_us) == (35, 3, LATER_US + 2)
        assert await registry.pieces("a" * 32) == (piece(0, 10), piece(10, 20), piece(30, 5))

    async def test_what_is_recorded_twice_counts_once(self, registry: UploadRegistry) -> None:
        await created(registry)
        fence = (await taken(registry, 0)).fence
        for _ in range(2):
            assert await registry.record("a" * 32, fence, [piece(0, 10)], expires_us=LATER_US)
        assert await registry.pieces("a" * 32) == (piece(0, 10),)

    async def test_whoever_takes_an_upload_shuts_out_all_before(self, registry: UploadRegistry) -> None:
        await created(registry)
        older, newer = await taken(registry, 0), await taken(registry, 0)
        assert newer.fence > older.fence
        assert not await registry.record("a" * 32, older.fence, [piece(0, 10)], expires_us=LATER_US)
        assert await registry.record("a" * 32, newer.fence, [piece(0, 20)], expires_us=LATER_US)
        assert await registry.pieces("a" * 32) == (piece(0, 20),)

    async def test_nobody_takes_an_upload_at_another_offset(self, registry: UploadRegistry) -> None:
        await created(registry)
        holder = await taken(registry, 0)
        for offset in (1, 100):
            assert await taken(registry, offset) == holder
        assert await registry.record("a" * 32, holder.fence, [piece(0, 10)], expires_us=LATER_US)

    async def test_a_length_is_fixed_once(self, registry: UploadRegistry) -> None:
        await created(registry, length=None)
        assert (await taken(registry, 0)).length is None
        holder = await taken(registry, 0, length=50)
        assert holder.length == 50
        assert await taken(registry, 0, length=51) == holder
        assert (await taken(registry, 0, length=50)).fence > holder.fence

    async def test_a_final_upload_is_nobodys_to_take(self, registry: UploadRegistry) -> None:
        upload = await created(registry, kind=UploadKind.FINAL)
        assert await taken(registry, 0) == upload

    async def test_of_many_that_take_at_once_the_last_alone_records(self, registry: UploadRegistry) -> None:
        await created(registry)

        async def write(size_bytes: int) -> bool:
            holder = await taken(registry, 0)
            return await registry.record("a" * 32, holder.fence, [piece(0, size_bytes)], expires_us=LATER_US)

        counted = await asyncio.gather(*(write(size) for size in range(1, 20)))
        upload = await registry.get("a" * 32)
        assert upload is not None
        assert [size for size, counts in enumerate(counted, start=1) if counts] == [upload.offset]
        assert await registry.pieces("a" * 32) == (piece(0, upload.offset),)

    async def test_one_finishes_until_its_time_is_over(self, registry: UploadRegistry) -> None:
        await created(registry)
        for holder, now_us, begins in (
            *(("one", NOW_US, True), ("two", NOW_US, False), ("one", NOW_US, True)),
            *(("two", NOW_US + 10, True), ("one", NOW_US + 10, False)),
        ):
            assert await registry.begin_finish("a" * 32, holder, now_us=now_us, until_us=now_us + 10) is begins
        await registry.stop_finish("a" * 32)
        assert await registry.begin_finish("a" * 32, "one", now_us=NOW_US, until_us=NOW_US + 10)
        assert not await registry.begin_finish("b" * 32, "one", now_us=NOW_US, until_us=NOW_US)

    async def test_an_outcome_is_the_first_and_nothing_counts_behind_it(self, registry: UploadRegistry) -> None:
        await created(registry)
        fence = (await taken(registry, 0)).fence
        await registry.record("a" * 32, fence, [piece(0, 100)], expires_us=LATER_US)
        finished = Finished(TaskId("task_1"))
        for outcome in (finished, Ended(ProblemCode.UPLOAD_LOST, "gone")):
            ended = await registry.end("a" * 32, outcome, kept_until_us=LATER_US)
            assert ended is not None
            assert (ended.outcome, ended.offset) == (finished, 100)
        assert await registry.pieces("a" * 32) == ()
        assert not await registry.record("a" * 32, fence, [piece(100, 1)], expires_us=LATER_US)
        assert (await taken(registry, 100)).fence == fence
        assert not await registry.begin_finish("a" * 32, "one", now_us=NOW_US, until_us=LATER_US)
        assert await registry.end("b" * 32, finished, kept_until_us=LATER_US) is None

    async def test_a_reason_to_end_is_told_as_it_was(self, registry: UploadRegistry) -> None:
        await created(registry)
        reason = Ended(ProblemCode.UNSUPPORTED_TYPE, 'no "type" — 文')
        await registry.end("a" * 32, reason, kept_until_us=LATER_US)
        upload = await registry.get("a" * 32)
        assert upload is not None
        assert upload.outcome == reason

    async def test_a_removed_upload_is_as_if_it_never_was(self, registry: UploadRegistry) -> None:
        await created(registry)
        fence = (await taken(registry, 0)).fence
        await registry.record("a" * 32, fence, [piece(0, 10)], expires_us=LATER_US)
        assert await registry.remove("a" * 32)
        assert not await registry.remove("a" * 32)
        assert await registry.get("a" * 32) is None
        assert not await registry.record("a" * 32, fence, [piece(10, 10)], expires_us=LATER_US)
        assert await registry.take("a" * 32, offset=10) is None
        assert (await created(registry)).offset == 0
        assert await registry.pieces("a" * 32) == ()

    async def test_an_actor_has_so_many_open_and_what_ended_or_expired_is_not(self, registry: UploadRegistry) -> None:
        async def is_taken(number: int, actor: str = "me", now_us: int = NOW_US) -> bool:
            new = new_upload(f"{number:032x}", actor=actor)
            made = await registry.create(new, expires_us=now_us + HOUR_US, now_us=now_us, open_max=2)
            return made is not None

        assert [await is_taken(number) for number in (1, 2, 3)] == [True, True, False]
        assert await is_taken(4, "another")
        assert await is_taken(1), "it is there already"
        await registry.forget(f"{1:032x}", "me")
        assert [await is_taken(number) for number in (5, 6)] == [True, False]
        assert await is_taken(7, now_us=LATER_US + 1)

    async def test_what_is_due_is_what_was_to_be_looked_at_by_then(self, registry: UploadRegistry) -> None:
        for name, at_us in (("a", 30), ("b", 10), ("c", 20)):
            await created(registry, name * 32)
            await registry.look_at(name * 32, "me", NOW_US + at_us)
        assert await registry.due(NOW_US + 9, 10) == ()
        assert await registry.due(NOW_US + 20, 10) == ("b" * 32, "c" * 32)
        assert await registry.due(NOW_US + 99, 1) == ("b" * 32,)
        await registry.forget("b" * 32, "me")
        await registry.forget("c" * 32, None)
        assert await registry.due(NOW_US + 99, 10) == ("a" * 32,)

    async def test_a_new_upload_is_due_when_it_expires(self, registry: UploadRegistry) -> None:
        await created(registry)
        assert await registry.due(LATER_US - 1, 10) == ()
        assert await registry.due(LATER_US, 10) == ("a" * 32,)
