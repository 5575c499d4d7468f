"""Resumable uploads whose clients never come back: complete ones become tasks, the others expire, their bytes go."""

from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from starlette.datastructures import Headers

from domain.commands import DeleteKnowledgeBase
from domain.deciders import knowledge_base_decider
from domain.handle import handle
from events.errors import LogUnavailable
from events.failpoints import Action, FailpointReached, Failpoints, Place, Rule, arm
from events.inbox import Delivery
from events.log import Appended, Conflict, Taken, Write
from events.memory import MemoryLog
from ingest.problems import ProblemCode, Rejected
from ingest.resumable_upkeep import collect_pieces, tend_uploads
from ingest.upload_registry import Ended
from tests.unit.ingest.test_resumable_model import DATA, ME, World, patch_headers, sent

DAY_US = 86_400_000_000
MINUTE_US = 60_000_000


@pytest.fixture
def world() -> World:
    return World()


async def append(world: World, upload_id: str, offset: int, data: bytes) -> None:
    await world.process().append(upload_id, patch_headers(offset), ME, sent(data))


async def broken_at(world: World, place: Place) -> str:
    """An upload with all its bytes, whose process died there."""
    upload_id = await world.created()
    passages = 9 if place is Place.API_PIECE_RECORDED else 1
    arm(Failpoints((Rule(place, Action.RAISE, 0.0, passages),)))
    try:
        with suppress(FailpointReached):
            await append(world, upload_id, 0, DATA)
    finally:
        arm(Failpoints())
    return upload_id


@pytest.mark.parametrize(
    "place", [Place.API_PIECE_RECORDED, Place.API_PIECES_JOINED, Place.API_BEFORE_APPEND, Place.API_APPENDED]
)
async def test_a_complete_upload_becomes_its_task_though_nobody_comes_back(world: World, place: Place) -> None:
    upload_id = await broken_at(world, place)
    assert (await tend_uploads(world.services)).looked_at == 0, "its client has a while"
    world.now_us += MINUTE_US
    tended = await tend_uploads(world.services)
    assert (tended.looked_at, tended.finished) == (1, 1)
    upload = await world.services.uploads.get(upload_id)
    assert upload is not None
    assert upload.is_finished
    await world.assert_one_document()
    world.now_us += MINUTE_US
    assert (await tend_uploads(world.services)).looked_at == 0


async def test_what_waits_for_bytes_too_long_expires_with_its_pieces(world: World) -> None:
    upload_id = await world.created()
    world.now_us += DAY_US - 1
    await append(world, upload_id, 0, DATA[:3_000])
    world.now_us += 1
    assert (await tend_uploads(world.services)).expired == 0, "it got bytes in time"
    world.now_us += DAY_US - 1
    assert (await tend_uploads(world.services)).expired == 1
    assert [info.key async for info in world.services.blobs.list("uploads/")] == []
    with pytest.raises(Rejected) as refused:
        await world.process().status(upload_id, ME)
    assert refused.value.code is ProblemCode.UPLOAD_EXPIRED


async def test_a_complete_partial_upload_expires_as_any_other(world: World) -> None:
    made = Headers({"upload-length": "5", "upload-concat": "partial"})
    upload = await world.process().create(made, ME, sent(b""))
    await append(world, upload.about.upload_id, 0, b"bytes")
    world.now_us += DAY_US + 1
    assert (await tend_uploads(world.services)).expired == 1


async def test_an_upload_for_a_deleted_knowledge_base_ends(world: World) -> None:
    upload_id = await broken_at(world, Place.API_PIECE_RECORDED)
    kb = next(one.stream_id for one in await world.log.read(0) if one.stream_id.startswith("kb_"))  # type: ignore[union-attr]  # all are readable
    context = world.services.context(kb, ME)
    await handle(world.log, knowledge_base_decider(kb), kb, [DeleteKnowledgeBase()], context)  # type: ignore[arg-type]  # an id as text
    world.now_us += MINUTE_US
    assert (await tend_uploads(world.services)).finished == 0
    upload = await world.services.uploads.get(upload_id)
    assert upload is not None
    assert isinstance(upload.outcome, Ended)
    assert upload.outcome.code is ProblemCode.KNOWLEDGE_BASE_DELETED
    assert [info.key async for info in world.services.blobs.list("")] == []


class Away(MemoryLog):
    """Takes no appends for a while."""

    is_away = False

    async def append(
        self, writes: Sequence[Write], *, acknowledge: Delivery | None = None
    ) -> Appended | Conflict | Taken:
        if self.is_away:
            raise LogUnavailable("connection refused")
        return await super().append(writes, acknowledge=acknowledge)


async def test_what_cannot_be_finished_now_is_finished_later_however_long_it_takes() -> None:
    log = Away(partitions=1, clock_us=lambda: mill.now_us)
    mill = World(log)
    upload_id = await broken_at(mill, Place.API_PIECE_RECORDED)
    log.is_away = True
    for _ in range(3):
        mill.now_us += DAY_US
        assert (await tend_uploads(mill.services)).finished == 0
    log.is_away = False
    mill.now_us += MINUTE_US
    assert (await tend_uploads(mill.services)).finished == 1
    assert (await mill.process().status(upload_id, ME)).is_finished


async def test_pieces_that_no_open_upload_has_go_after_their_grace_period(world: World) -> None:
    upload_id = await world.created()
    await append(world, upload_id, 0, DATA[:3_000])
    blobs, grace = world.services.blobs, timedelta(hours=24)
    kept = [info.key async for info in blobs.list("uploads/")]
    await blobs.put(f"uploads/{upload_id}/3000@unrecorded", b"half")
    await blobs.put(f"uploads/{'f' * 32}/0@1", b"of an upload that nobody knows")
    now = datetime.now(UTC)
    young = await collect_pieces(world.services, as_of=now, grace=grace, dry_run=False)
    assert (young.pieces, young.orphans) == (len(kept) + 2, 0)
    later = now + timedelta(hours=25)
    planned = await collect_pieces(world.services, as_of=later, grace=grace, dry_run=True)
    assert planned == await collect_pieces(world.services, as_of=later, grace=grace, dry_run=False)
    assert (planned.orphans, planned.orphan_bytes) == (2, 34)
    assert [info.key async for info in blobs.list("uploads/")] == kept
