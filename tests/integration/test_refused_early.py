"""The whole application on raw sockets: what headers can refuse is refused before a body is sent, and HEAD is GET."""

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from events.redis_clients import Clients
from tests.integration.keyed_app import KeyedApp, bearer, keyed_apps
from tests.integration.wire import Answer, connected, pieces_of
from tests.multipart_forms import CONTENT_TYPE
from tests.servers.redis_process import RedisProcess

pytest_plugins = ("tests.servers.redis",)

LENGTH = 3_000_000
LIMIT = 2_000_000


@pytest.fixture
async def app(redis_server: RedisProcess, redis_clients: Clients, tmp_path: Path) -> AsyncIterator[KeyedApp]:
    del redis_clients  # it empties the server
    async with keyed_apps(redis_server.url, tmp_path, upload_bytes_max=LIMIT, request_bytes_max=LIMIT) as (app,):
        yield app


async def asked_first(app: KeyedApp, path: str, *, sends_at_once: bool, **headers: str) -> Answer:
    """The first answer to a request that asks whether to send its body."""
    fields = {"Host": "127.0.0.1", "Expect": "100-continue", "Content-Type": CONTENT_TYPE, **headers}
    fields.setdefault("Content-Length", str(LENGTH // 2))
    lines = [f"POST /api/v1{path} HTTP/1.1", *(f"{name.replace('_', '-')}: {value}" for name, value in fields.items())]
    async with connected(app.port) as wire:
        body = pieces_of(b"x" * (LENGTH // 2), 50_000) if sends_at_once else ()
        await wire.send("\r\n".join([*lines, "", ""]).encode(), *body)
        return await wire.next()


async def test_what_headers_can_refuse_is_refused_before_a_body_is_sent(app: KeyedApp) -> None:
    """B-014 and its like: never a 100, and a whole answer though the client sends without waiting."""
    admin = await app.make_key()
    reader = await app.make_key(admin, scopes=["read"])
    kb = await app.make_knowledge_base(admin, "mill")
    path = f"/knowledge-bases/{kb}/documents"
    unknown = "/knowledge-bases/kb_0001a20a8aab3e7206a4b0b84f35404316/documents"
    table: list[tuple[str, dict[str, str], tuple[int, str]]] = [
        (path, {}, (401, "unauthenticated")),
        (path, {"Authorization": "Bearer ms_nonsense"}, (401, "unauthenticated")),
        (path, bearer(reader), (403, "insufficient_scope")),
        (path, {**bearer(admin), "Content-Length": str(LENGTH)}, (413, "payload_too_large")),
        (path, {**bearer(admin), "Content-Encoding": "gzip"}, (415, "content_encoding_not_supported")),
        (path, {**bearer(admin), "Content-Type": "text/plain"}, (415, "unsupported_media_type")),
        (path, {**bearer(admin), "Idempotency-Key": "a" * 300}, (400, "bad_idempotency_key")),
        (path, {**bearer(admin), "Origin": "https://evil.example"}, (403, "forbidden")),
        (unknown, bearer(admin), (404, "unknown_knowledge_base")),
    ]
    for asked, headers, verdict in table:
        for sends_at_once in (False, True):
            answer = await asked_first(app, asked, sends_at_once=sends_at_once, **headers)
            assert answer.verdict == verdict, (headers, sends_at_once)
            answer.check_problem()
            assert answer.headers["connection"] == "close"
    accepted = await asked_first(app, path, sends_at_once=False, **bearer(admin))
    assert accepted.status == 100


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
async def test_curl_is_told_before_it_sends(app: KeyedApp, tmp_path: Path) -> None:
    """curl asks first for bodies of more than 1 MB and waits for a second."""
    admin = await app.make_key()
    kb = await app.make_knowledge_base(admin, "mill")
    large = tmp_path / "large.txt"
    large.write_bytes(b"text\n" * 300_000)
    url = f"http://127.0.0.1:{app.port}/api/v1/knowledge-bases/{kb}/documents"
    curl = ["curl", "-s", "-H", "Expect: 100-continue", "-F", f"file=@{large}", "-w", "%{http_code} %{size_upload}"]

    async def run(*more: str) -> list[str]:
        done = await asyncio.to_thread(
            subprocess.run, [*curl, "-o", "/dev/null", *more, url], capture_output=True, check=True, timeout=20
        )
        return done.stdout.decode().split()

    assert await run() == ["401", "0"]
    status, sent_bytes = await run("-H", f"Authorization: Bearer {admin}")
    assert status == "202"
    assert int(sent_bytes) > 1_500_000


async def test_head_answers_what_get_answers_and_other_methods_are_told_which_there_are(app: KeyedApp) -> None:
    """B-117. Not of /readyz, which measures, and of streams, which do not end."""
    admin = await app.make_key()
    kb = await app.make_knowledge_base(admin, "mill")
    paths = ["/healthz", "/openapi.json", "/nowhere"]
    paths += [f"/api/v1{path}" for path in ("/tasks", "/keys", "/knowledge-bases", f"/knowledge-bases/{kb}", "/events")]
    for path in paths:
        url = f"http://127.0.0.1:{app.port}{path}"
        got, head, put, options = [
            await app.client.request(method, url, headers=bearer(admin)) for method in ("GET", "HEAD", "PUT", "OPTIONS")
        ]
        assert head.content == b""
        assert (head.status_code, shown(head)) == (got.status_code, shown(got)), path
        for other in (put, options):
            assert other.status_code == (404 if path == "/nowhere" else 405)
            assert ("GET" in other.headers.get("allow", "")) == (other.status_code == 405)
            assert "access-control-allow-origin" not in other.headers


def shown(answer: httpx.Response) -> dict[str, str]:
    """Header fields, without those that differ from call to call."""
    return {
        name: value
        for name, value in answer.headers.items()
        if name not in {"x-request-id", "date", "ratelimit", "millstream-as-of", "millstream-lag-events"}
    }
