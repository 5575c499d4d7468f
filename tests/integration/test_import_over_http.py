"""Imports: what is asked for by URL, by key or as a text, what is refused, what is in the log, what is answered."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from domain.deciders import TASK
from domain.handle import load
from domain.request_sidecar import decode_request_sidecar
from domain.task import OpenTask
from events.document import DocumentAccepted, DocumentRequested
from events.ids import parse_task_id
from events.steps import Lane
from events.task import TaskSource
from millstream.client import Client
from millstream.errors import Stop
from tests.integration.ingest_app import SMALL, Mill, make_services, running_mill
from tests.outbound_world import guard_over

NAMES = {
    "good.example": ["93.184.215.14"],
    "inside.example": ["10.0.0.7"],
    "mixed.example": ["93.184.215.14", "::1"],
    "metadata.google.internal": ["169.254.169.254"],
}
URL = "https://good.example/reports/annual%20report.pdf?token=1"


@pytest.fixture
async def mill(tmp_path: Path) -> AsyncIterator[Mill]:
    settings = msgspec.structs.replace(SMALL, import_items_max=5, import_text_bytes_max=1_000)
    services = make_services(tmp_path, settings)
    services = msgspec.structs.replace(services, check_url=guard_over(NAMES).check_url, has_import_bucket=True)
    async with running_mill(services) as running:
        yield running


async def post(mill: Mill, kb: str, body: Any, **headers: str) -> httpx.Response:
    return await mill.client.post(f"/api/v1/knowledge-bases/{kb}/documents/import", json=body, headers=headers)


async def requested(mill: Mill) -> list[DocumentRequested]:
    return [one.event for one in await mill.facts() if isinstance(one.event, DocumentRequested)]


async def test_urls_become_one_task_whose_documents_are_to_be_fetched(mill: Mill) -> None:
    kb = await mill.knowledge_base()
    options = {"metadata": {"year": 2026}, "lane": "bulk", "not_before": "2026-01-01T00:00:00Z"}

    answer = await post(mill, kb, {"urls": [URL, "http://good.example/"], "options": options})

    assert answer.status_code == 202, answer.text
    body = answer.json()
    assert answer.headers["location"] == f"/api/v1/tasks/{body['task_id']}"
    assert [(line["filename"], line["status"]) for line in body["documents"]] == [
        ("annual report.pdf", "queued"),
        ("good.example", "queued"),
    ]
    first, second = await requested(mill)
    assert (first.url, second.url, first.object_key) == (URL, "http://good.example/", None)
    assert (first.metadata, first.lane, first.not_before_us) == ({"year": 2026}, Lane.BULK, 1_767_225_600_000_000)
    task = (await load(mill.services.log, TASK, parse_task_id(body["task_id"]))).state
    assert isinstance(task, OpenTask)
    assert (task.submitted.source, task.submitted.documents) == (TaskSource.URL, 2)
    stored = await mill.blobs()
    assert list(stored) == [first.sidecar_blob] == [second.sidecar_blob], "what was asked for outlives the log's end"
    sidecar = decode_request_sidecar(first.sidecar_blob, stored[first.sidecar_blob])
    assert sidecar is not None
    assert [one.url for one in sidecar.requests] == [URL, "http://good.example/"]


async def test_objects_of_the_import_bucket_become_a_task_too(mill: Mill) -> None:
    kb = await mill.knowledge_base()
    answer = await post(mill, kb, {"objects": ["reports/年报.pdf", "a b.txt"]})

    assert answer.status_code == 202, answer.text
    assert [(one.object_key, one.url, one.filename) for one in await requested(mill)] == [
        ("reports/年报.pdf", None, "年报.pdf"),
        ("a b.txt", None, "a b.txt"),
    ]
    task = (await load(mill.services.log, TASK, parse_task_id(answer.json()["task_id"]))).state
    assert isinstance(task, OpenTask)
    assert task.submitted.source is TaskSource.OBJECT


@pytest.mark.parametrize(
    ("body", "filename", "media_type"),
    [
        ({"text": "面粉 flour"}, "text.txt", "text/plain"),
        ({"text": "# Flour", "filename": "a/b/flour.md"}, "flour.md", "text/markdown"),
        ({"text": "a,b\n1,2\n", "filename": "prices.csv"}, "prices.csv", "text/csv"),
        ({"text": "%PDF-1.7 is how a PDF begins", "filename": "notes.pdf"}, "notes.pdf", "text/plain"),
        ({"text": "MZ" + "x" * 70}, "text.txt", "text/plain"),
    ],
)
async def test_a_text_is_stored_at_once_as_a_text(mill: Mill, body: Any, filename: str, media_type: str) -> None:
    kb = await mill.knowledge_base()
    answer = await post(mill, kb, body)

    assert answer.status_code == 202, answer.text
    (fact,) = [one.event for one in await mill.facts() if isinstance(one.event, DocumentAccepted)]
    assert (fact.filename, fact.media_type) == (filename, media_type)
    assert (await mill.blobs())[fact.source_blob].decode() == body["text"]
    task = (await load(mill.services.log, TASK, parse_task_id(answer.json()["task_id"]))).state
    assert isinstance(task, OpenTask)
    assert task.submitted.source is TaskSource.TEXT


UNCLEAR: Sequence[tuple[Any, str]] = (
    ({}, ""),
    ({"options": {}}, ""),
    ({"urls": [URL], "text": "x"}, ""),
    ({"urls": [URL], "objects": ["a"]}, ""),
    ({"urls": []}, "/urls"),
    ({"urls": [URL] * 6}, "/urls"),
    ({"urls": [""]}, "/urls/0"),
    ({"urls": ["http://good.example/" + "a" * 2_048]}, "/urls/0"),
    ({"urls": URL}, "/urls"),
    ({"urls": [1]}, "/urls/0"),
    ({"url": URL}, "/url"),
    ({"objects": []}, "/objects"),
    ({"objects": ["a"] * 6}, "/objects"),
    ({"objects": ["good", "../secret"]}, "/objects/1"),
    ({"objects": ["/etc/passwd"]}, "/objects/0"),
    ({"objects": ["a\0b"]}, "/objects/0"),
    ({"text": ""}, "/text"),
    ({"text": "a\0b"}, "/text"),
    ({"text": "x", "filename": "a\x1b.txt"}, "/filename"),
    ({"urls": [URL], "filename": "a.txt"}, "/filename"),
    ({"urls": [URL], "options": {"lane": "fast"}}, "/options/lane"),
    ({"urls": [URL], "options": {"metadata": {"a": [1]}}}, "/options/metadata"),
    ({"urls": [URL], "options": {"not_before": "9999-01-01T00:00:00Z"}}, "/options/not_before"),
)


async def test_a_request_that_is_not_clear_is_refused_and_leaves_nothing(mill: Mill) -> None:
    kb = await mill.knowledge_base()
    before = len(await mill.facts())
    for body, pointer in UNCLEAR:
        answer = await post(mill, kb, body)
        assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed"), (body, answer.text)
        assert answer.json()["errors"][0]["pointer"].startswith(pointer), (body, answer.text)
    assert (len(await mill.facts()), await mill.blobs()) == (before, {})


NOT_CALLED = (
    ("file:///etc/passwd", "url_scheme_not_allowed"),
    ("gopher://good.example/", "url_scheme_not_allowed"),
    ("good.example", "url_scheme_not_allowed"),
    ("http:///x", "url_scheme_not_allowed"),
    ("http://user:secret@good.example/", "url_invalid"),
    ("http://127.0.0.1/", "url_address_denied"),
    ("http://2130706433/", "url_address_denied"),
    ("http://①②⑦.⓪.⓪.①/", "url_address_denied"),
    ("http://[::ffff:127.0.0.1]/", "url_address_denied"),
    ("http://169.254.169.254/latest/meta-data/", "url_address_denied"),
    ("http://localhost.:6379/", "url_address_denied"),
    ("http://inside.example/", "url_address_denied"),
    ("http://mixed.example/", "url_address_denied"),
    ("http://metadata.google.internal/", "url_address_denied"),
    ("http://good.example:22/", "url_address_denied"),
    ("http://redis/", "url_unresolvable"),
    ("http://nowhere.example/", "url_unresolvable"),
)


async def test_a_url_that_is_not_called_is_named_by_its_place(mill: Mill) -> None:
    kb = await mill.knowledge_base()
    for url, code in NOT_CALLED:
        answer = await post(mill, kb, {"urls": [URL, url, URL, "http://10.0.0.1/"]})
        assert (answer.status_code, answer.json()["code"]) == (422, code), (url, answer.text)
        assert [flaw["pointer"] for flaw in answer.json()["errors"]] == ["/urls/1", "/urls/3"]
        assert answer.json()["errors"][0]["message"].startswith(f"{code}: ")
        assert "secret" not in answer.text
    assert await requested(mill) == []


async def test_without_an_import_bucket_there_are_no_objects(tmp_path: Path) -> None:
    async with running_mill(make_services(tmp_path)) as mill:
        kb = await mill.knowledge_base()
        answer = await post(mill, kb, {"objects": ["a"]})
    assert (answer.status_code, answer.json()["code"]) == (409, "no_import_bucket")


async def test_a_text_that_is_too_long_or_empty_is_refused(mill: Mill) -> None:
    kb = await mill.knowledge_base()
    for text, status, code in (
        ("粉" * 334, 413, "payload_too_large"),
        (" \n", 422, "empty_file"),
        ("x" * 3_000_000, 413, "payload_too_large"),
    ):
        answer = await post(mill, kb, {"text": text})
        assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert await mill.blobs() == {}


@pytest.mark.parametrize("body", [{"urls": [URL]}, {"text": "flour"}, {"objects": ["a"]}])
async def test_a_repeated_request_meets_its_own_task(mill: Mill, body: Any) -> None:
    kb = await mill.knowledge_base()
    headers = {"Idempotency-Key": "again"}
    first = await post(mill, kb, body, **headers)
    count, stored = len(await mill.facts()), await mill.blobs()
    second = await post(mill, kb, body, **headers)

    assert (first.status_code, second.status_code) == (202, 202)
    assert second.json()["task_id"] == first.json()["task_id"]
    assert (len(await mill.facts()), await mill.blobs()) == (count, stored)
    other = await post(mill, kb, {"text": "something else"}, **headers)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


async def test_a_repeated_request_is_answered_though_its_host_is_gone(tmp_path: Path) -> None:
    guard = guard_over(NAMES)
    services = msgspec.structs.replace(make_services(tmp_path), check_url=guard.check_url)
    async with running_mill(services) as mill:
        kb = await mill.knowledge_base()
        first = await post(mill, kb, {"urls": [URL]}, **{"Idempotency-Key": "again"})
        guard._resolver.answers.clear()  # type: ignore[attr-defined]  # the name is gone
        second = await post(mill, kb, {"urls": [URL]}, **{"Idempotency-Key": "again"})
        third = await post(mill, kb, {"urls": [URL]})
    assert second.json()["task_id"] == first.json()["task_id"]
    assert third.json()["code"] == "url_unresolvable"


async def test_the_client_asks_for_each_kind_of_import(mill: Mill) -> None:
    kb = await mill.knowledge_base()

    def ask() -> list[str]:
        with Client(f"http://127.0.0.1:{mill.port}") as client:
            answers = [
                client.import_urls(kb, [URL], options={"lane": "bulk"}, idempotency_key="one"),
                client.import_urls(kb, [URL], options={"lane": "bulk"}, idempotency_key="one"),
                client.import_objects(kb, ["a.txt"]),
                client.import_text(kb, "# Flour", filename="flour.md"),
            ]
            with pytest.raises(Stop, match=r"10\.0\.0\.1"):
                client.import_urls(kb, ["http://10.0.0.1/"])
        return [answer.task_id for answer in answers]

    first, repeated, *others = await asyncio.to_thread(ask)
    assert first == repeated
    assert len({first, *others}) == 3
    assert [one.lane for one in await requested(mill)] == [Lane.BULK, Lane.INTERACTIVE]


async def test_nothing_enters_a_knowledge_base_that_is_not_there(mill: Mill) -> None:
    kb = await mill.knowledge_base()
    unknown = await post(mill, kb[:-1] + ("0" if kb[-1] != "0" else "1"), {"urls": [URL]})
    assert unknown.status_code == 404
    await mill.client.delete(f"/api/v1/knowledge-bases/{kb}")
    assert (await post(mill, kb, {"urls": [URL]})).status_code in {404, 409}
    assert await requested(mill) == []
