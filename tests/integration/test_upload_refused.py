"""Refused for headers, size, or what is asked of: a problem document, no event, no blob, a server that goes on.

Forms that are broken in themselves are in `test_bad_forms.py`.
"""

from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path

import httpx
import pytest
from msgspec.structs import replace

from events.ids import KnowledgeBaseId
from ingest.settings import KIB
from tests.integration.ingest_app import Mill, make_services, problem_of, running_mill
from tests.multipart_forms import CONTENT_TYPE, file_part, form

ANY_ID = "01" + "0" * 12 + "7" + "0" * 3 + "8" + "0" * 15
UPLOAD_MAX = 256 * KIB


@pytest.fixture
async def mill(tmp_path: Path) -> AsyncIterator[Mill]:
    async with running_mill(make_services(tmp_path)) as mill:
        yield mill


@pytest.fixture
async def kb(mill: Mill) -> KnowledgeBaseId:
    return await mill.knowledge_base()


def files_under(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file()]


async def check_nothing_stays(mill: Mill, tmp_path: Path) -> None:
    """Only the knowledge base is there, and the next good upload is accepted."""
    facts = await mill.facts()
    assert [one.type for one in facts] == ["KnowledgeBaseCreated"]
    assert await mill.blobs() == {}
    assert files_under(tmp_path) == []
    url = f"/api/v1/knowledge-bases/{facts[0].stream_id}/documents"
    assert (await mill.client.post(url, files={"file": ("good.txt", b"good")})).status_code == 202


def check_problem(answer: httpx.Response, status: int, code: str) -> None:
    document = answer.json()
    assert (answer.status_code, document.get("code")) == (status, code), document
    assert answer.headers["content-type"] == "application/problem+json"
    assert document["request_id"] == answer.headers["x-request-id"]
    assert "Traceback" not in answer.text
    assert '.py"' not in answer.text


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"Content-Type": CONTENT_TYPE, "Content-Encoding": "gzip"}, 415, "content_encoding_not_supported"),
        ({"Content-Type": CONTENT_TYPE, "Idempotency-Key": "a" * 256}, 400, "bad_idempotency_key"),
        ({"Content-Type": CONTENT_TYPE, "Idempotency-Key": ""}, 400, "bad_idempotency_key"),
    ],
)
async def test_bad_headers_are_refused(
    mill: Mill, kb: KnowledgeBaseId, tmp_path: Path, headers: dict[str, str], status: int, code: str
) -> None:
    url = f"/api/v1/knowledge-bases/{kb}/documents"
    check_problem(await mill.client.post(url, content=form(file_part(b"x")), headers=headers), status, code)
    await check_nothing_stays(mill, tmp_path)


@pytest.mark.parametrize(
    "kb_id",
    [
        f"kb_{ANY_ID}",
        f"kb_ff{ANY_ID[2:]}",
        f"task_{ANY_ID}",
        f"KB_{ANY_ID}",
        "%2e%2e",
        "*",
        "kb_%00",
        "kb_[a-z]*",
        "0-0",
        "x" * 7_000,
    ],
)
async def test_an_unknown_knowledge_base_is_not_found(
    mill: Mill, kb: KnowledgeBaseId, tmp_path: Path, kb_id: str
) -> None:
    url = f"/api/v1/knowledge-bases/{kb_id}/documents"
    answer = await mill.client.post(url, files={"file": ("a.txt", b"text")})
    check_problem(answer, 404, "unknown_knowledge_base" if kb_id == f"kb_{ANY_ID}" else "not_found")
    await check_nothing_stays(mill, tmp_path)


async def test_a_deleted_knowledge_base_takes_nothing(mill: Mill, kb: KnowledgeBaseId) -> None:
    assert (await mill.client.delete(f"/api/v1/knowledge-bases/{kb}")).status_code == 202
    answer = await mill.client.post(f"/api/v1/knowledge-bases/{kb}/documents", files={"file": ("a.txt", b"text")})
    check_problem(answer, 409, "knowledge_base_deleted")
    assert await mill.blobs() == {}


async def test_one_that_was_deleted_a_moment_after_an_upload_takes_no_other(mill: Mill, kb: KnowledgeBaseId) -> None:
    url = f"/api/v1/knowledge-bases/{kb}/documents"
    assert (await mill.client.post(url, files={"file": ("a.txt", b"text")})).status_code == 202
    before = await mill.blobs()
    assert (await mill.client.delete(f"/api/v1/knowledge-bases/{kb}")).status_code == 202
    check_problem(await mill.client.post(url, files={"file": ("b.txt", b"other")}), 409, "knowledge_base_deleted")
    assert await mill.blobs() == before


def request_head(kb: str, *headers: str) -> bytes:
    lines = [f"POST /api/v1/knowledge-bases/{kb}/documents HTTP/1.1", "Host: mill", f"Content-Type: {CONTENT_TYPE}"]
    return "\r\n".join([*lines, *headers, "", ""]).encode()


async def test_a_length_over_the_limit_is_refused_before_a_byte_of_the_body(
    mill: Mill, kb: KnowledgeBaseId, tmp_path: Path
) -> None:
    answer = await mill.send_raw(request_head(kb, f"Content-Length: {1024 * KIB + 1}"))
    status, document = problem_of(answer)
    assert (status, document["code"]) == (413, "payload_too_large")
    assert b"connection: close" in answer.lower()
    await check_nothing_stays(mill, tmp_path)


async def test_a_client_that_waits_for_100_continue_is_refused_without_it(mill: Mill, kb: KnowledgeBaseId) -> None:
    answer = await mill.send_raw(request_head(kb, "Content-Length: 2000000", "Expect: 100-continue"))
    assert answer.startswith(b"HTTP/1.1 413")
    assert b"100 Continue" not in answer


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.999, 1.0])
async def test_a_client_that_goes_away_leaves_nothing(
    mill: Mill, kb: KnowledgeBaseId, tmp_path: Path, share: float
) -> None:
    body = form(file_part(b"x" * 100_000), file_part(b"y" * 100_000))
    sent = body[: int(len(body) * share)]
    # The declared length is one byte more than the whole body: even all of it is not enough.
    ended = mill.requests.ended
    answer = await mill.send_raw(request_head(kb, f"Content-Length: {len(body) + 1}") + sent, half_close=True)
    assert answer == b""
    await mill.requests.wait_for_ended(ended + 1)
    await check_nothing_stays(mill, tmp_path)


async def test_bytes_behind_the_declared_length_are_no_part_of_a_document(mill: Mill, kb: KnowledgeBaseId) -> None:
    """The server reads them as the next request, which is judged once the first is answered."""
    body = form(file_part(b"text"))
    answer = await mill.send_raw(request_head(kb, f"Content-Length: {len(body)}") + body + b"GARBAGE\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 202")
    await mill.requests.wait_for_ended(2)
    sources = [data for key, data in (await mill.blobs()).items() if not key.endswith(".json")]
    assert sources == [b"text"]
    assert len(sources) == len([one for one in await mill.facts() if one.type == "DocumentAccepted"])


async def test_a_client_that_sends_blindly_still_gets_its_refusal(mill: Mill, kb: KnowledgeBaseId) -> None:
    body = form(file_part(b"x" * (8 * 1024 * KIB)))
    status, document = problem_of(await mill.send_raw(request_head(kb, f"Content-Length: {len(body)}") + body))
    assert (status, document["code"]) == (413, "payload_too_large")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", f"/api/v1/tasks/task_{ANY_ID}/cancel"),
        ("POST", f"/api/v1/tasks/doc_{ANY_ID}/cancel"),
        ("POST", "/api/v1/tasks/*/cancel"),
        ("DELETE", f"/api/v1/knowledge-bases/kb_{ANY_ID}"),
        ("DELETE", f"/api/v1/knowledge-bases/kb_{ANY_ID}/documents/doc_{ANY_ID}"),
        ("DELETE", f"/api/v1/knowledge-bases/kb_{ANY_ID}/documents/..%2f"),
        ("GET", "/nowhere"),
    ],
)
async def test_an_unknown_id_or_path_is_not_found(mill: Mill, method: str, path: str) -> None:
    answer = await mill.client.request(method, path)
    check_problem(answer, 404, answer.json()["code"])
    assert await mill.facts() == []


async def test_another_method_is_answered_with_those_allowed(mill: Mill) -> None:
    answer = await mill.client.put("/api/v1/knowledge-bases")
    check_problem(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == "POST"


async def test_an_upload_that_takes_so_long_that_its_first_file_looks_forgotten_is_refused(tmp_path: Path) -> None:
    services = make_services(tmp_path)
    hours = count(0, 3_600_000_000)
    slow = replace(services, clock_us=lambda: next(hours), settings=replace(services.settings, upload_s_max=60))
    async with running_mill(slow) as mill:
        kb = await mill.knowledge_base()
        answer = await mill.client.post(f"/api/v1/knowledge-bases/{kb}/documents", files={"file": ("a.txt", b"text")})
        check_problem(answer, 408, "upload_too_slow")
        assert await mill.blobs() == {}
        assert [one.type for one in await mill.facts()] == ["KnowledgeBaseCreated"]
