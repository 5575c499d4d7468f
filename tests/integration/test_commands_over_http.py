"""Commands on knowledge bases, tasks and documents over HTTP."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from events.ids import KnowledgeBaseId
from ingest.settings import MIB
from tests.integration.ingest_app import Mill, make_services, running_mill

KBS = "/api/v1/knowledge-bases"
JSON = {"Content-Type": "application/json"}


@pytest.fixture
async def mill(tmp_path: Path) -> AsyncIterator[Mill]:
    async with running_mill(make_services(tmp_path)) as mill:
        yield mill


async def test_a_knowledge_base_is_created(mill: Mill) -> None:
    answer = await mill.client.post(KBS, json={"name": " 磨坊 ", "settings": {"chunk_tokens": 512}})
    body = answer.json()
    assert answer.status_code == 201
    assert answer.headers["location"] == f"{KBS}/{body['knowledge_base_id']}"
    assert (body["name"], body["description"], body["version"]) == ("磨坊", "", 1)
    assert (body["settings"]["chunk_tokens"], body["settings"]["chunk_overlap_tokens"]) == (512, 32)
    assert body["documents"]["total"] == 0


@pytest.mark.parametrize(
    ("body", "status", "code", "pointer"),
    [
        (b"", 400, "invalid_json", None),
        (b'{"name": "a"', 400, "invalid_json", None),
        (b'{"name": "a"} x', 400, "invalid_json", None),
        (b'\xef\xbb\xbf{"name": "a"}', 400, "invalid_json", None),
        (b'{"name": "\xff"}', 400, "invalid_json", None),
        (b'{"name": "\\ud800"}', 400, "invalid_json", None),
        (b'{"name": "a", "settings": ' + b"[" * 100_000, 422, "validation_failed", "/settings"),
        (b'{"name": "a", "settings": {"chunk_tokens": NaN}}', 400, "invalid_json", None),
        (b"null", 422, "validation_failed", ""),
        (b"[]", 422, "validation_failed", ""),
        (b"{}", 422, "validation_failed", "/name"),
        (b'{"name": ""}', 422, "validation_failed", "/name"),
        (b'{"name": "  "}', 422, "validation_failed", "/name"),
        (b'{"name": "a\\u0000b"}', 422, "validation_failed", "/name"),
        (b'{"name": "' + b"a" * 201 + b'"}', 422, "validation_failed", "/name"),
        (b'{"name": 1}', 422, "validation_failed", "/name"),
        (b'{"name": "a", "nmae": 1}', 422, "validation_failed", "/nmae"),
        (b'{"name": "a", "description": "a\\u0000b"}', 422, "validation_failed", "/description"),
        (b'{"name": "a", "settings": {"chunks": 1}}', 422, "validation_failed", "/settings/chunks"),
        (b'{"name": "a", "settings": {"chunk_tokens": true}}', 422, "validation_failed", "/settings/chunk_tokens"),
        (b'{"name": "a", "settings": {"chunk_tokens": 5}}', 422, "validation_failed", "/settings/chunk_tokens"),
        (
            b'{"name": "a", "settings": {"chunk_tokens": 16}}',
            422,
            "validation_failed",
            "/settings/chunk_overlap_tokens",
        ),
        (b'{"name": "a", "settings": {"embedding_model": "x"}}', 422, "validation_failed", "/settings/embedding_model"),
        (
            b'{"name": "a", "settings": {"embedding_dimensions": 513}}',
            422,
            "validation_failed",
            "/settings/embedding_dimensions",
        ),
        (b'{"name": "' + b"a" * MIB + b'"}', 413, "payload_too_large", None),
    ],
    ids=lambda value: value[:40].decode("latin-1") if isinstance(value, bytes) else None,
)
async def test_a_wrong_body_is_refused_at_its_place(
    mill: Mill, body: bytes, status: int, code: str, pointer: str | None
) -> None:
    answer = await mill.client.post(KBS, content=body, headers=JSON)
    document = answer.json()
    assert (answer.status_code, document["code"]) == (status, code), document
    assert [error["pointer"] for error in document.get("errors", [])] == ([] if pointer is None else [pointer])
    assert answer.headers["content-type"] == "application/problem+json"
    assert document["request_id"] == answer.headers["x-request-id"]
    assert await mill.facts() == []


@pytest.mark.parametrize("media_type", ["", "text/plain", "application/json; charset=utf-7", "application/jsonx"])
async def test_a_body_that_is_not_declared_as_json_is_refused(mill: Mill, media_type: str) -> None:
    answer = await mill.client.post(KBS, content=b'{"name": "a"}', headers={"Content-Type": media_type})
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")


async def test_the_same_key_creates_one_knowledge_base_and_another_body_is_refused(mill: Mill) -> None:
    ids = await asyncio.gather(*(mill.knowledge_base("a", **{"Idempotency-Key": "k"}) for _ in range(5)))
    assert len(set(ids)) == 1
    assert len(await mill.facts()) == 1
    assert (await mill.client.patch(f"{KBS}/{ids[0]}", json={"name": "b"})).status_code == 200
    again = await mill.client.post(KBS, json={"name": "a"}, headers={"Idempotency-Key": "k"})
    assert (again.status_code, again.json()["name"]) == (201, "b")
    other = await mill.client.post(KBS, json={"name": "b"}, headers={"Idempotency-Key": "k"})
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"name": "new"}, {"name": "new", "description": "old"}),
        ({"description": ""}, {"name": "old", "description": ""}),
        ({}, {"name": "old", "description": "old"}),
    ],
)
async def test_only_what_is_given_is_changed(mill: Mill, change: dict[str, Any], expected: dict[str, str]) -> None:
    created = await mill.client.post(KBS, json={"name": "old", "description": "old"})
    answer = await mill.client.patch(f"{KBS}/{created.json()['knowledge_base_id']}", json=change)
    assert answer.status_code == 200
    assert {name: answer.json()[name] for name in expected} == expected
    assert answer.json()["settings"] == created.json()["settings"]


@pytest.mark.parametrize(
    ("settings", "status", "code"),
    [
        ({"vector_weight": 0.4}, 200, None),
        ({"vector_weight": 4}, 422, "validation_failed"),
        ({"weight": 0.4}, 422, "validation_failed"),
        ({"chunk_tokens": 100}, 409, "reindex_required"),
    ],
)
async def test_settings_are_merged_and_checked(
    mill: Mill, settings: dict[str, Any], status: int, code: str | None
) -> None:
    created = await mill.client.post(KBS, json={"name": "a", "settings": {"chunk_tokens": 300}})
    answer = await mill.client.patch(f"{KBS}/{created.json()['knowledge_base_id']}", json={"settings": settings})
    assert (answer.status_code, answer.json().get("code")) == (status, code)
    if code is None:
        assert answer.json()["settings"] == {**created.json()["settings"], **settings}
    if code == "validation_failed":
        assert answer.json()["errors"][0]["pointer"] == f"/settings/{next(iter(settings))}"


async def test_a_deleted_knowledge_base_is_deleted_once(mill: Mill) -> None:
    kb = await mill.knowledge_base()
    for _ in range(2):
        answer = await mill.client.delete(f"{KBS}/{kb}")
        assert (answer.status_code, answer.json()["status"]) == (202, "deleted")
    assert [one.type for one in await mill.facts()] == ["KnowledgeBaseCreated", "KnowledgeBaseDeleted"]
    changed = await mill.client.patch(f"{KBS}/{kb}", json={"name": "b"})
    assert (changed.status_code, changed.json()["code"]) == (409, "knowledge_base_deleted")


async def upload(mill: Mill, kb: KnowledgeBaseId, count: int) -> dict[str, Any]:
    files = [("file", (f"{number}.txt", f"text {number}".encode())) for number in range(count)]
    answer = await mill.client.post(f"{KBS}/{kb}/documents", files=files)
    assert answer.status_code == 202
    body: dict[str, Any] = answer.json()
    return body


async def test_a_cancelled_task_has_only_cancelled_documents(mill: Mill) -> None:
    kb = await mill.knowledge_base()
    task = await upload(mill, kb, 12)
    for _ in range(2):
        answer = await mill.client.post(f"/api/v1/tasks/{task['task_id']}/cancel", json={"reason": "a mistake"})
        assert answer.status_code == 202
        assert {line["status"] for line in answer.json()["documents"]} == {"cancelled"}
    types = [one.type for one in await mill.facts()]
    assert (types.count("TaskCancelled"), types.count("DocumentCancelled")) == (1, 12)
    tally = await mill.services.log.tally(task["task_id"])
    assert (tally.open_documents, tally.cancelled) == (0, 12)


async def test_a_task_is_cancelled_without_a_body_and_not_with_a_wrong_one(mill: Mill) -> None:
    task = await upload(mill, await mill.knowledge_base(), 1)
    url = f"/api/v1/tasks/{task['task_id']}/cancel"
    assert (await mill.client.post(url, json={"why": "x"})).status_code == 422
    assert (await mill.client.post(url)).status_code == 202


async def test_a_document_is_deleted_once_and_only_through_its_own_knowledge_base(mill: Mill) -> None:
    kb, other = await mill.knowledge_base("one"), await mill.knowledge_base("other")
    document = (await upload(mill, kb, 1))["documents"][0]["document_id"]
    foreign = await mill.client.delete(f"{KBS}/{other}/documents/{document}")
    assert (foreign.status_code, foreign.json()["code"]) == (404, "unknown_document")
    for _ in range(2):
        answer = await mill.client.delete(f"{KBS}/{kb}/documents/{document}")
        assert (answer.status_code, answer.json()) == (202, {"document_id": document, "status": "deleted"})
    assert [one.type for one in await mill.facts()].count("DocumentRemoved") == 1
