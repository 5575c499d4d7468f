"""Resumable uploads as a client sends them, step by step, to the routes of ingest on a real server."""

import asyncio
import base64
import hashlib
from typing import Any, Final

import httpx
import msgspec

from events.document import DocumentAccepted
from ingest.settings import KIB
from tests.integration.ingest_app import SMALL, Mill

UPLOADS: Final = "/api/v1/uploads"
TUS: Final = {"Tus-Resumable": "1.0.0"}
BODY: Final = {"Content-Type": "application/offset+octet-stream"}
TEXT: Final = b"The mill grinds slowly, line by line.\n" * 3_000
"""112 KB: two pieces."""

SETTINGS: Final = msgspec.structs.replace(SMALL, piece_bytes=64 * KIB)


def metadata(**values: str | bytes) -> str:
    pairs = {key: value.encode() if isinstance(value, str) else value for key, value in values.items()}
    return ",".join(f"{key} {base64.b64encode(value).decode()}" for key, value in pairs.items())


async def create(mill: Mill, kb: str | None, length: int | None = len(TEXT), **more: Any) -> httpx.Response:
    headers = {**TUS, **more.pop("headers", {})}
    headers |= {"Upload-Defer-Length": "1"} if length is None else {"Upload-Length": str(length)}
    if kb is not None:
        headers.setdefault("Upload-Metadata", metadata(knowledge_base=kb, filename="mill.txt"))
    return await mill.client.post(UPLOADS, headers={k: v for k, v in headers.items() if v}, **more)


async def created(mill: Mill, kb: str | None, length: int | None = len(TEXT), **more: Any) -> str:
    answer = await create(mill, kb, length, **more)
    assert answer.status_code == 201, answer.text
    return answer.headers["location"]


async def patch(mill: Mill, url: str, offset: int, data: Any = b"", **headers: str) -> httpx.Response:
    sent = {**TUS, **BODY, "Upload-Offset": str(offset), **{k.replace("_", "-"): v for k, v in headers.items()}}
    return await mill.client.patch(url, headers=sent, content=data)


async def offset_of(mill: Mill, url: str) -> int:
    answer = await mill.client.head(url, headers=TUS)
    assert answer.status_code == 200
    return int(answer.headers["upload-offset"])


async def accepted(mill: Mill, task_id: str) -> DocumentAccepted:
    (fact,) = (
        one.event
        for one in await mill.facts()
        if isinstance(one.event, DocumentAccepted) and one.event.task_id == task_id
    )
    return fact


async def assert_became(mill: Mill, answer: httpx.Response, data: bytes = TEXT) -> DocumentAccepted:
    """The answer names a task whose document has these bytes; of the pieces nothing is left."""
    fact = await accepted(mill, answer.headers["millstream-task-id"])
    assert (fact.sha256, fact.size_bytes) == (hashlib.sha256(data).hexdigest(), len(data))
    assert await mill.services.blobs.get(fact.source_blob) == data
    return fact


async def cut_off(mill: Mill, url: str, offset: int, data: bytes, *, announced: int) -> None:
    """Sends less than it announces, then hangs up; returns when the server knows."""
    before = mill.requests.ended
    _, writer = await asyncio.open_connection("127.0.0.1", mill.port)
    writer.write(raw_patch(url, offset, announced) + data)
    await writer.drain()
    writer.close()
    await mill.requests.wait_for_ended(before + 1)


def raw_patch(url: str, offset: int, announced: int, *more: str) -> bytes:
    lines = [f"PATCH {url} HTTP/1.1", "Host: mill", "Tus-Resumable: 1.0.0", f"Upload-Offset: {offset}"]
    lines += ["Content-Type: application/offset+octet-stream", f"Content-Length: {announced}", *more]
    return "".join(f"{line}\r\n" for line in [*lines, ""]).encode()
