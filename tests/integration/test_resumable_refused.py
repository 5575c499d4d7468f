"""Resumable uploads that break a rule are refused and change nothing (B-046 to B-048 of the bad inputs)."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
import pytest_asyncio

from events.ids import KnowledgeBaseId
from tests.integration.ingest_app import Mill, make_services, running_mill
from tests.integration.resumable_world import BODY, SETTINGS, TEXT, TUS, UPLOADS, created, metadata, offset_of, patch

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mill(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Mill]:
    """One for all: nothing of what is refused here stays."""
    async with running_mill(make_services(tmp_path_factory.mktemp("blobs"), SETTINGS)) as mill:
        yield mill


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def kb(mill: Mill) -> KnowledgeBaseId:
    return await mill.knowledge_base()


@pytest.mark.parametrize(
    ("offset", "status", "code"),
    [
        *(("1", 409, "offset_mismatch"), ("99999", 409, "offset_mismatch"), ("-1", 400, "bad_request")),
        *(("abc", 400, "bad_request"), (str(2**63), 400, "bad_request"), ("", 400, "bad_request")),
        *(("1.0", 400, "bad_request"), ("٣", 400, "bad_request"), (None, 400, "bad_request")),
    ],
)
async def test_b046_an_offset_that_is_not_the_present_one_changes_nothing(
    mill: Mill, kb: KnowledgeBaseId, offset: str | None, status: int, code: str
) -> None:
    url = await created(mill, kb)
    headers = {key.encode(): value.encode() for key, value in {**TUS, **BODY}.items()}
    if offset is not None:
        headers[b"Upload-Offset"] = offset.encode()
    answer = await mill.client.patch(url, headers=headers, content=b"bytes")
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert (await offset_of(mill, url), await mill.blobs()) == (0, {})


PATCHES: Final[dict[str, tuple[dict[str, str], bytes, int, str]]] = {
    "another content type": ({"Content-Type": "text/plain"}, b"x", 415, "unsupported_media_type"),
    "no content type": ({"Content-Type": ""}, b"x", 415, "unsupported_media_type"),
    "a version nobody speaks": ({"Tus-Resumable": "9"}, b"x", 412, "tus_version"),
    "no version": ({"Tus-Resumable": ""}, b"x", 412, "tus_version"),
    "more than the length": ({}, TEXT + b"x", 413, "payload_too_large"),
    "an algorithm nobody knows": ({"Upload-Checksum": "crc32 AAAA"}, b"x", 400, "bad_request"),
    "a checksum that is none": ({"Upload-Checksum": "sha1 AAAA"}, b"x", 400, "bad_request"),
    "a checksum in no base64": ({"Upload-Checksum": "sha1 ***"}, b"x", 400, "bad_request"),
    "another length": ({"Upload-Length": "7"}, b"x", 400, "bad_request"),
    "a length that is none": ({"Upload-Length": "many"}, b"x", 400, "bad_request"),
    "a compressed body": ({"Content-Encoding": "gzip"}, b"x", 415, "content_encoding_not_supported"),
}


@pytest.mark.parametrize("name", PATCHES)
async def test_b047_a_request_that_breaks_a_rule_changes_nothing(mill: Mill, kb: KnowledgeBaseId, name: str) -> None:
    headers, data, status, code = PATCHES[name]
    url = await created(mill, kb)
    sent = {**TUS, **BODY, "Upload-Offset": "0", **headers}
    answer = await mill.client.patch(url, headers={k: v for k, v in sent.items() if v}, content=data)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["tus-resumable"] == "1.0.0"
    assert answer.headers.get("tus-version") == ("1.0.0" if status == 412 else None)
    assert (await offset_of(mill, url), await mill.blobs()) == (0, {})


CREATIONS: Final[dict[str, tuple[dict[str, str], int, str]]] = {
    "no length": ({"Upload-Length": ""}, 400, "bad_request"),
    "both lengths": ({"Upload-Defer-Length": "1"}, 400, "bad_request"),
    "a length deferred by 2": ({"Upload-Length": "", "Upload-Defer-Length": "2"}, 400, "bad_request"),
    "a negative length": ({"Upload-Length": "-1"}, 400, "bad_request"),
    "too long": ({"Upload-Length": str(SETTINGS.upload_bytes_max + 1)}, 413, "payload_too_large"),
    "an empty file": ({"Upload-Length": "0"}, 422, "empty_file"),
    "metadata in no base64": ({"Upload-Metadata": "filename ***"}, 400, "bad_request"),
    "a key twice": ({"Upload-Metadata": "a YQ==,a YQ=="}, 400, "bad_request"),
    "much metadata": ({"Upload-Metadata": "a " + "YWFh" * 7_000}, 400, "bad_request"),
    "no knowledge base": ({"Upload-Metadata": metadata(filename="a.txt")}, 422, "validation_failed"),
    "no such knowledge base": (
        {"Upload-Metadata": metadata(knowledge_base=f"kb_00{'0' * 12}7{'0' * 3}8{'0' * 15}")},
        404,
        "unknown_knowledge_base",
    ),
    "an id that is none": ({"Upload-Metadata": metadata(knowledge_base="handbook")}, 404, "not_found"),
    "a concatenation of nothing": ({"Upload-Concat": "final;", "Upload-Length": ""}, 400, "bad_request"),
    "a concatenation of another kind": ({"Upload-Concat": "whole"}, 400, "bad_request"),
    "a concatenation of others": (
        {"Upload-Concat": f"final;{UPLOADS}/{'1' * 32}", "Upload-Length": ""},
        404,
        "unknown_upload",
    ),
    "a final upload with a length": ({"Upload-Concat": f"final;{UPLOADS}/{'1' * 32}"}, 400, "bad_request"),
    "a version nobody speaks": ({"Tus-Resumable": "0.2.2"}, 412, "tus_version"),
}


@pytest.mark.parametrize("name", CREATIONS)
async def test_b047_a_creation_that_breaks_a_rule_creates_nothing(mill: Mill, kb: KnowledgeBaseId, name: str) -> None:
    headers, status, code = CREATIONS[name]
    sent = {**TUS, "Upload-Length": "5", "Upload-Metadata": metadata(knowledge_base=kb, filename="a.txt"), **headers}
    answer = await mill.client.post(UPLOADS, headers={k: v for k, v in sent.items() if v})
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert answer.headers["tus-resumable"] == "1.0.0"


async def test_unknown_uploads_are_not_there_for_anybody(mill: Mill) -> None:
    url = f"{UPLOADS}/{'0' * 32}"
    assert (await mill.client.head(url, headers=TUS)).status_code == 404
    assert (await patch(mill, url, 0, b"x")).status_code == 404
    assert (await mill.client.delete(url, headers=TUS)).status_code == 404


async def test_b048_another_callers_upload_is_not_there(tmp_path: Path) -> None:
    def actor_of(request: Any) -> str:
        return str(request.headers.get("x-actor", "somebody"))

    services = msgspec.structs.replace(make_services(tmp_path, SETTINGS), actor_of=actor_of)
    async with running_mill(services) as mill:
        kb = await mill.knowledge_base()
        url = await created(mill, kb)
        other = {**TUS, "X-Actor": "another"}
        assert (await mill.client.head(url, headers=other)).status_code == 404
        assert (await patch(mill, url, 0, b"x", X_Actor="another")).status_code == 404
        assert (await mill.client.delete(url, headers=other)).status_code == 404
        assert await offset_of(mill, url) == 0
