"""Resumable uploads that break off, come twice or die inside: what counts is there, and the bytes are right."""

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from events.failpoints import Action, Failpoints, Place, Rule, arm
from events.ids import KnowledgeBaseId
from tests.integration.ingest_app import Mill, make_services, problem_of, running_mill
from tests.integration.resumable_world import (
    SETTINGS,
    TEXT,
    TUS,
    assert_became,
    created,
    cut_off,
    offset_of,
    patch,
    raw_patch,
)


@pytest.fixture
async def mill(tmp_path: Path) -> AsyncIterator[Mill]:
    async with running_mill(make_services(tmp_path, SETTINGS)) as mill:
        yield mill


@pytest.fixture
async def kb(mill: Mill) -> KnowledgeBaseId:
    return await mill.knowledge_base()


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.999])
async def test_f27_what_came_before_the_line_broke_stays(mill: Mill, kb: KnowledgeBaseId, share: float) -> None:
    url, sent = await created(mill, kb), int(len(TEXT) * share)
    await cut_off(mill, url, 0, TEXT[:sent], announced=len(TEXT))
    assert await offset_of(mill, url) == sent
    await assert_became(mill, await patch(mill, url, sent, TEXT[sent:]))


async def test_f27_a_client_that_goes_behind_its_last_byte_has_its_task(mill: Mill, kb: KnowledgeBaseId) -> None:
    url = await created(mill, kb)
    await cut_off(mill, url, 0, TEXT, announced=len(TEXT))
    await assert_became(mill, await mill.client.head(url, headers=TUS))


async def test_nothing_of_a_broken_request_with_a_checksum_stays(mill: Mill, kb: KnowledgeBaseId) -> None:
    url, digest = await created(mill, kb), base64.b64encode(hashlib.sha256(TEXT).digest()).decode()
    before = mill.requests.ended
    _, writer = await asyncio.open_connection("127.0.0.1", mill.port)
    writer.write(raw_patch(url, 0, len(TEXT), f"Upload-Checksum: sha256 {digest}") + TEXT[:-1])
    await writer.drain()
    writer.close()
    await mill.requests.wait_for_ended(before + 1)
    assert (await offset_of(mill, url), await mill.blobs()) == (0, {})


async def test_f28_whoever_asks_where_to_go_on_goes_on_and_the_older_request_ends(
    mill: Mill, kb: KnowledgeBaseId
) -> None:
    url = await created(mill, kb)
    reader, writer = await asyncio.open_connection("127.0.0.1", mill.port)
    writer.write(raw_patch(url, 0, len(TEXT)) + TEXT[:1_000])
    await writer.drain()
    async with asyncio.timeout(20):
        while await offset_of(mill, url) < 1_000:  # HEAD makes the server record what it has
            pass
    whole = await patch(mill, url, 1_000, TEXT[1_000:])
    status, problem = problem_of(await reader.read(10_000))
    assert (status, problem["code"]) == (409, "upload_taken_over")
    writer.close()
    await assert_became(mill, whole)


async def test_f28_two_at_once_leave_one_document_of_the_right_bytes(mill: Mill, kb: KnowledgeBaseId) -> None:
    url = await created(mill, kb)

    async def send() -> None:
        for _ in range(50):
            head = await mill.client.head(url, headers=TUS)
            offset = int(head.headers["upload-offset"])
            if offset == len(TEXT):
                return
            answer = await patch(mill, url, offset, TEXT[offset : offset + 9_973])
            assert answer.status_code in {204, 409}, answer.text

    await asyncio.gather(send(), send(), send())
    await assert_became(mill, await mill.client.head(url, headers=TUS))


@pytest.mark.parametrize("place", [Place.API_PIECE_STORED, Place.API_PIECE_RECORDED, Place.API_PIECES_JOINED])
async def test_an_upload_that_broke_anywhere_is_taken_up_where_its_offset_says(
    mill: Mill, kb: KnowledgeBaseId, place: Place
) -> None:
    url = await created(mill, kb)
    arm(Failpoints((Rule(place, Action.RAISE, 0.0, 1),)))
    try:
        broken = await patch(mill, url, 0, TEXT)
    finally:
        arm(Failpoints())
    assert broken.status_code == 500
    offset = await offset_of(mill, url)
    await assert_became(mill, await patch(mill, url, offset, TEXT[offset:]))


async def test_l05_uploads_interleaved_and_cut_are_all_whole(mill: Mill, kb: KnowledgeBaseId) -> None:
    files = {await created(mill, kb, 100_000): b"%05d" % n * 10_000 + TEXT[:50_000] for n in range(30)}

    async def send(number: int, url: str, data: bytes) -> None:
        for turn in range(10):
            offset = await offset_of(mill, url)
            piece = data[offset : offset + 10_000]
            if (number + turn) % 3 == 0:
                _, writer = await asyncio.open_connection("127.0.0.1", mill.port)
                writer.write(raw_patch(url, offset, len(piece)) + piece[: 1 + 997 * turn])
                await writer.drain()
                writer.close()
            else:
                await patch(mill, url, offset, piece)
        while (offset := await offset_of(mill, url)) < len(data):
            await patch(mill, url, offset, data[offset:])
        await assert_became(mill, await mill.client.head(url, headers=TUS), data)

    await asyncio.gather(*(send(number, url, data) for number, (url, data) in enumerate(files.items())))
    assert [key for key in await mill.blobs() if key.startswith("uploads/")] == []
