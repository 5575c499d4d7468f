"""Resumable uploads over real HTTP: tus 1.0.0 from creation to the task."""

import base64
import hashlib
from collections.abc import AsyncIterator
from email.utils import parsedate_to_datetime
from pathlib import Path

import msgspec
import pytest

from events.ids import KnowledgeBaseId
from tests.integration.ingest_app import Mill, make_services, running_mill
from tests.integration.resumable_world import (
    BODY,
    SETTINGS,
    TEXT,
    TUS,
    UPLOADS,
    assert_became,
    create,
    created,
    metadata,
    offset_of,
    patch,
)


@pytest.fixture
async def mill(tmp_path: Path) -> AsyncIterator[Mill]:
    async with running_mill(make_services(tmp_path, SETTINGS)) as mill:
        yield mill


@pytest.fixture
async def kb(mill: Mill) -> KnowledgeBaseId:
    return await mill.knowledge_base()


async def test_an_upload_in_two_requests_becomes_a_task(mill: Mill, kb: KnowledgeBaseId) -> None:
    answer = await create(mill, kb)
    url = answer.headers["location"]
    assert parsedate_to_datetime(answer.headers["upload-expires"]).year > 2025
    half = await patch(mill, url, 0, TEXT[:70_000])
    assert (half.status_code, half.headers["upload-offset"]) == (204, "70000")
    head = await mill.client.head(url, headers=TUS)
    assert (head.headers["upload-offset"], head.headers["upload-length"]) == ("70000", str(len(TEXT)))
    assert head.headers["cache-control"] == "no-store"
    assert head.headers["upload-metadata"] == metadata(knowledge_base=kb, filename="mill.txt")
    whole = await patch(mill, url, 70_000, TEXT[70_000:])
    assert (whole.status_code, whole.headers["upload-offset"]) == (204, str(len(TEXT)))
    fact = await assert_became(mill, whole)
    assert (fact.filename, fact.media_type) == ("mill.txt", "text/plain")
    assert [key for key in await mill.blobs() if key.startswith("uploads/")] == []
    again = await mill.client.head(url, headers=TUS)
    assert again.headers["millstream-task-id"] == fact.task_id
    assert {one.headers["tus-resumable"] for one in (answer, half, head, whole, again)} == {"1.0.0"}


async def test_a_request_that_creates_may_bring_the_bytes(mill: Mill, kb: KnowledgeBaseId) -> None:
    whole = await create(mill, kb, headers=BODY, content=TEXT)
    assert (whole.status_code, whole.headers["upload-offset"]) == (201, str(len(TEXT)))
    await assert_became(mill, whole)
    other = TEXT.swapcase()
    first = await create(mill, kb, headers=BODY, content=other[:1_000])
    assert (first.status_code, first.headers["upload-offset"]) == (201, "1000")
    await assert_became(mill, await patch(mill, first.headers["location"], 1_000, other[1_000:]), other)


async def test_a_length_may_be_told_later_and_once(mill: Mill, kb: KnowledgeBaseId) -> None:
    url = await created(mill, kb, None)
    head = await mill.client.head(url, headers=TUS)
    assert (head.headers["upload-defer-length"], head.headers.get("upload-length")) == ("1", None)
    await patch(mill, url, 0, TEXT[:1_000])
    shorter = await patch(mill, url, 1_000, Upload_Length="999")
    assert shorter.status_code == 400
    told = await patch(mill, url, 1_000, TEXT[1_000:2_000], Upload_Length=str(len(TEXT)))
    assert told.status_code == 204
    other = await patch(mill, url, 2_000, b"", Upload_Length=str(len(TEXT) + 1))
    assert (other.status_code, await offset_of(mill, url)) == (400, 2_000)
    await assert_became(mill, await patch(mill, url, 2_000, TEXT[2_000:], Upload_Length=str(len(TEXT))))


async def test_a_length_told_when_all_bytes_are_there_finishes_the_upload(mill: Mill, kb: KnowledgeBaseId) -> None:
    url = await created(mill, kb, None)
    await patch(mill, url, 0, TEXT)
    await assert_became(mill, await patch(mill, url, len(TEXT), Upload_Length=str(len(TEXT))))


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "md5"])
async def test_bytes_count_only_with_the_checksum_that_came_with_them(
    mill: Mill, kb: KnowledgeBaseId, algorithm: str
) -> None:
    url = await created(mill, kb)
    digest = base64.b64encode(hashlib.new(algorithm, TEXT).digest()).decode()
    wrong = await patch(mill, url, 0, TEXT[:-1] + b"!", Upload_Checksum=f"{algorithm} {digest}")
    assert (wrong.status_code, wrong.json()["code"]) == (460, "checksum_mismatch")
    assert (await offset_of(mill, url), await mill.blobs()) == (0, {})
    await assert_became(mill, await patch(mill, url, 0, TEXT, Upload_Checksum=f"{algorithm} {digest}"))


async def test_partial_uploads_become_one_in_the_order_asked_for(mill: Mill, kb: KnowledgeBaseId) -> None:
    parts = [TEXT[:30_000], TEXT[30_000:100_000], TEXT[100_000:]]
    urls = [await created(mill, None, len(part), headers={"Upload-Concat": "partial"}) for part in parts]
    about = {**TUS, "Upload-Metadata": metadata(knowledge_base=kb, filename="mill.txt")}
    final = {**about, "Upload-Concat": f"final;{urls[0]} http://mill.example{urls[1]} {urls[2]}"}
    for url, part in list(zip(urls, parts, strict=True))[:2]:
        assert (await patch(mill, url, 0, part)).status_code == 204
    early = await mill.client.post(UPLOADS, headers=final)
    assert (early.status_code, early.json()["code"]) == (409, "upload_unfinished")
    assert (await patch(mill, urls[2], 0, parts[2])).status_code == 204
    answer = await mill.client.post(UPLOADS, headers=final)
    assert answer.status_code == 201, answer.text
    fact = await assert_became(mill, answer)
    url = answer.headers["location"]
    head = await mill.client.head(url, headers=TUS)
    assert head.headers["upload-offset"] == head.headers["upload-length"] == str(len(TEXT))
    assert head.headers["upload-concat"] == final["Upload-Concat"]
    assert (await mill.client.head(urls[0], headers=TUS)).headers["upload-concat"] == "partial"
    assert (await patch(mill, url, 0, b"x")).status_code == 403
    again = await mill.client.post(UPLOADS, headers=final)
    assert (again.headers["location"], again.headers["millstream-task-id"]) == (url, fact.task_id)


async def test_an_upload_that_is_deleted_is_gone_with_its_bytes(mill: Mill, kb: KnowledgeBaseId) -> None:
    url = await created(mill, kb)
    await patch(mill, url, 0, TEXT[:100])
    override = await mill.client.post(url, headers={**TUS, "X-HTTP-Method-Override": "DELETE"})
    assert override.status_code == 204
    assert (await mill.client.head(url, headers=TUS)).status_code == 404
    assert await mill.blobs() == {}


async def test_what_is_spoken_here_is_told_without_a_version(mill: Mill) -> None:
    for url in (UPLOADS, f"{UPLOADS}/{'0' * 32}"):
        answer = await mill.client.options(url)
        assert answer.status_code == 204
        assert answer.headers["tus-version"] == "1.0.0"
        assert answer.headers["tus-max-size"] == str(SETTINGS.upload_bytes_max)
        assert answer.headers["tus-extension"].split(",") == [
            *("creation", "creation-with-upload", "creation-defer-length", "checksum", "expiration", "termination"),
            "concatenation",
        ]
        assert "sha1" in answer.headers["tus-checksum-algorithm"].split(",")


async def test_options_are_judged_at_creation(mill: Mill, kb: KnowledgeBaseId) -> None:
    wrong = metadata(knowledge_base=kb, filename="a.txt", options=b'{"lane": "fast"}')
    answer = await create(mill, kb, headers={"Upload-Metadata": wrong})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/options/lane")
    right = metadata(
        knowledge_base=kb, filename="a.txt", filetype="text/plain", options=b'{"metadata": {"year": 2024}}'
    )
    done = await create(mill, kb, headers={"Upload-Metadata": f"{right},relativePath", **BODY}, content=TEXT)
    fact = await assert_became(mill, done)
    assert (fact.metadata, fact.declared_media_type) == ({"year": 2024}, "text/plain")


async def test_a_finished_upload_takes_no_bytes_but_a_repeated_end_is_no_error(mill: Mill, kb: KnowledgeBaseId) -> None:
    done = await create(mill, kb, headers=BODY, content=TEXT)
    url, task = done.headers["location"], done.headers["millstream-task-id"]
    for offset, data, code in ((len(TEXT), b"x", "upload_finished"), (0, TEXT, "upload_finished")):
        refused = await patch(mill, url, offset, data)
        assert (refused.status_code, refused.json()["code"]) == (409, code)
    again = await patch(mill, url, len(TEXT))
    assert (again.status_code, again.headers["millstream-task-id"]) == (204, task)


async def test_an_upload_that_waited_too_long_has_expired(tmp_path: Path) -> None:
    now_us = 1_800_000_000_000_000
    services = msgspec.structs.replace(make_services(tmp_path, SETTINGS), clock_us=lambda: now_us)
    async with running_mill(services) as mill:
        kb = await mill.knowledge_base()
        url, other = await created(mill, kb), await created(mill, kb)
        now_us += 86_399_000_000
        assert (await patch(mill, other, 0, b"more")).status_code == 204
        now_us += 2_000_000
        for answer in (await patch(mill, url, 0, b"x"), await mill.client.head(url, headers=TUS)):
            assert answer.status_code == 410
        assert await offset_of(mill, other) == 4, "a byte in time buys another day"


async def test_nobody_has_more_uploads_open_than_allowed(tmp_path: Path) -> None:
    settings = msgspec.structs.replace(SETTINGS, resumable_open_max=2)
    async with running_mill(make_services(tmp_path, settings)) as mill:
        kb = await mill.knowledge_base()
        urls = [await created(mill, kb) for _ in range(2)]
        refused = await create(mill, kb)
        assert (refused.status_code, refused.json()["code"]) == (429, "too_many_uploads")
        assert int(refused.headers["retry-after"]) > 0
        await patch(mill, urls[0], 0, TEXT)
        await created(mill, kb)


async def test_a_key_makes_one_upload_however_often_it_is_asked_for(mill: Mill, kb: KnowledgeBaseId) -> None:
    urls = {await created(mill, kb, headers={"Idempotency-Key": "k"}) for _ in range(3)}
    assert len(urls) == 1
    other = await create(mill, kb, 7, headers={"Idempotency-Key": "k"})
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


async def test_a_file_of_no_known_type_ends_its_upload_with_the_first_piece(mill: Mill, kb: KnowledgeBaseId) -> None:
    noise = bytes(range(256)) * 800
    url = await created(mill, kb, len(noise))
    refused = await patch(mill, url, 0, noise[:80_000])
    assert (refused.status_code, refused.json()["code"]) == (415, "unsupported_type")
    assert (await mill.client.head(url, headers=TUS)).status_code == 415
    assert await mill.blobs() == {}
    parts = [await created(mill, None, len(noise), headers={"Upload-Concat": "partial"})]
    await patch(mill, parts[0], 0, noise)
    about = {"Upload-Metadata": metadata(knowledge_base=kb), "Upload-Concat": f"final;{parts[0]}"}
    assert (await mill.client.post(UPLOADS, headers={**TUS, **about})).status_code == 415


async def test_a_knowledge_base_that_was_deleted_meanwhile_ends_the_upload(mill: Mill, kb: KnowledgeBaseId) -> None:
    url = await created(mill, kb)
    await patch(mill, url, 0, TEXT[:1_000])
    await mill.client.delete(f"/api/v1/knowledge-bases/{kb}")
    for answer in (await patch(mill, url, 1_000, TEXT[1_000:]), await mill.client.head(url, headers=TUS)):
        assert answer.status_code == 409
    assert await mill.blobs() == {}
