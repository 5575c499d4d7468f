"""The door of /mcp: keys, scopes and bindings hold for tools, as do Host, Origin, sizes and rates for the requests."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
import pytest_asyncio

from events.keys import Keys
from events.redis_clients import make_clients
from events.redis_log import RedisLog
from millstream.errors import ExitCode
from millstream.mcp.over_http import BODY_BYTES_MAX
from projections.redis_views import RedisViews
from tests.integration.keyed_app import KeyedApp, bearer, id_of, keyed_apps
from tests.mcp_clients import over_http, words_of
from tests.projecting import project
from tests.servers.redis_process import RedisProcess
from tests.servers.service_process import environment_with
from tests.workshop import Workshop

pytest_plugins = ("tests.servers.redis",)
pytestmark = pytest.mark.asyncio(loop_scope="module")

ACCEPTED = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}
LIST_TOOLS = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}


class World(NamedTuple):
    """`own` and `foreign` are knowledge bases with a document each; `bound` sees the first alone, and may write."""

    app: KeyedApp
    url: str
    admin: str
    read: str
    bound: str
    own: str
    foreign: str
    documents: dict[str, str]
    root: Path


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(redis_server: RedisProcess, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """One for the module; no worker runs."""
    async with make_clients(redis_server.url) as clients, AsyncExitStack() as stack:
        await clients.commands.flushall()
        root = tmp_path_factory.mktemp("keyed")
        (app,) = await stack.enter_async_context(keyed_apps(redis_server.url, root, auth_failures_per_minute_max=0))
        keys = Keys(2)
        workshop = Workshop(RedisLog(clients.commands, clients.blocking, keys))
        documents: dict[str, str] = {}
        for name in ("own", "foreign"):
            base = await workshop.create(name)
            _, (documents[base],) = await workshop.submit(base, filename=f"{name}.txt")
        await project(workshop.log, RedisViews(clients.commands, keys))
        own, foreign = documents
        admin = await app.make_key()
        read = await app.make_key(admin, scopes=["read"])
        bound = await app.make_key(admin, scopes=["write"], knowledge_bases=[own])
        url = f"http://127.0.0.1:{app.port}"
        yield World(app, url, admin, read, bound, own, foreign, documents, root)


async def post(
    world: World, content: bytes | Any = LIST_TOOLS, key: str | None = None, **headers: str
) -> httpx.Response:
    sent = {**ACCEPTED, **bearer(world.read if key is None else key), **headers}
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return await world.app.client.post(f"{world.url}/mcp", content=body, headers=sent)


async def refused(client: Any, tool: str, **arguments: Any) -> str:
    result = await client.call_tool(tool, arguments)
    assert result.is_error
    return words_of(result)


def note_for(knowledge_base: str) -> dict[str, str]:
    return {"knowledge_base": knowledge_base, "text": "A note.", "filename": "note.txt"}


async def test_without_a_right_key_no_message_is_taken(world: World) -> None:
    for key in ("none", "ms_no-key", f"{world.read[:-6]}000000"):
        answer = await post(world, key=key)
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
        assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_a_key_that_only_reads_is_told_so_by_the_tool(world: World) -> None:
    async with over_http(world.url, world.read) as client:
        listed = await client.call_tool("list_knowledge_bases", {})
        assert [one["name"] for one in listed.structured_content["knowledge_bases"]] == ["foreign", "own"]
        said = await refused(client, "ingest_text", **note_for(world.own))
        assert said == "insufficient_scope (403): The key has not the scope write."


async def test_a_bound_key_sees_and_fills_its_own_knowledge_base_alone(world: World) -> None:
    async with over_http(world.url, world.bound) as client:
        listed = await client.call_tool("list_knowledge_bases", {})
        assert [one["name"] for one in listed.structured_content["knowledge_bases"]] == ["own"]
        resources = (await client.list_resources()).resources
        assert [one.name for one in resources] == ["own"]
        for tool, asked in (
            ("list_documents", {"knowledge_base": world.foreign}),
            ("search", {"query": "stones", "knowledge_bases": [world.foreign]}),
            ("ingest_text", note_for(world.foreign)),
            ("read_document", {"knowledge_base": world.foreign, "document_id": world.documents[world.foreign]}),
        ):
            assert "(404)" in await refused(client, tool, **asked), tool
        assert "no knowledge base is named 'foreign'" in await refused(
            client, "list_documents", knowledge_base="foreign"
        )
        accepted = await client.call_tool("ingest_text", note_for(world.own))
        assert accepted.structured_content["documents"][0]["filename"] == "note.txt"
        foreign_uri = f"millstream://knowledge-bases/{world.foreign}"
        with pytest.raises(Exception, match=r"unknown_knowledge_base \(404\)"):
            await client.read_resource(foreign_uri)


async def test_what_a_tool_does_counts_as_the_call_that_it_is(world: World) -> None:
    paced = await world.app.make_key(world.admin, scopes=["read"], limits={"searches_per_minute": 1})
    async with over_http(world.url, paced) as client:
        asked = {"query": "stones", "knowledge_bases": [world.own], "mode": "keyword"}
        assert not (await client.call_tool("search", asked)).is_error
        said = await refused(client, "search", **asked)
        assert said.startswith("rate_limited (429)")
        assert "Try again in" in said


async def test_a_session_ends_with_its_key(world: World) -> None:
    key = await world.app.make_key(world.admin, scopes=["read"])
    assert (await post(world, key=key)).status_code == 200
    await world.app.call("DELETE", f"/keys/{id_of(key)}", world.admin)
    assert (await post(world, key=key)).status_code == 401


async def test_requests_that_are_no_messages_are_refused_with_problems(world: World) -> None:
    for content, headers, status, code in (
        (b"x" * (BODY_BYTES_MAX + 1), {}, 413, "payload_too_large"),
        (b"{}", {"Content-Type": "text/plain"}, 415, "unsupported_media_type"),
        (b"{}", {"Content-Encoding": "gzip"}, 415, "content_encoding_not_supported"),
    ):
        answer = await post(world, content, **headers)
        assert (answer.status_code, answer.json()["code"]) == (status, code)
    for method in ("GET", "DELETE", "PUT"):
        refusal = await world.app.client.request(method, f"{world.url}/mcp", headers=bearer(world.read))
        assert (refusal.status_code, refusal.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize("version", [None, "2025-06-18", "2026-07-28"])
@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"null", b"[]", b"\xff", b'{"jsonrpc": "2.0"}', b"[" * 100_000, b'{"a":' * 100_000, b"1" * 5_000],
    ids=["empty", "cut", "null", "list", "no UTF-8", "no method", "deep lists", "deep objects", "huge number"],
)
async def test_bodies_that_are_no_messages_are_refused_and_nothing_breaks(
    world: World, content: bytes, version: str | None
) -> None:
    answer = await post(world, content, **({} if version is None else {"MCP-Protocol-Version": version}))
    assert answer.status_code == 400
    assert "Traceback" not in answer.text
    assert (await post(world)).status_code == 200


async def test_arguments_that_no_json_can_hold_are_told_to_be_wrong(world: World) -> None:
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call"}
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    headers = {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call", "Mcp-Name": "search"}
    for query in ("\ud800", 2**70):
        params = {"name": "search", "arguments": {"query": query}, "_meta": meta}
        answer = await post(world, {**call, "params": params}, **headers)
        assert answer.status_code in {200, 400}, answer.text
        assert "invalid_arguments" in answer.text or "error" in answer.json(), answer.text


async def test_pages_elsewhere_reach_no_tool_of_an_open_service(redis_server: RedisProcess, world: World) -> None:
    async with keyed_apps(redis_server.url, world.root, auth="open") as (app,):
        url = f"http://127.0.0.1:{app.port}"
        opened = world._replace(app=app, url=url)
        ours = await post(opened, Origin=url)
        assert ours.status_code == 200
        for origin in ("https://evil.example", "null"):
            elsewhere = await post(opened, Origin=origin)
            assert (elsewhere.status_code, elsewhere.json()["code"]) == (403, "forbidden")
        rebound = await post(opened, Host="evil.example")
        assert (rebound.status_code, rebound.json()["code"]) == (400, "bad_host")


async def test_a_key_that_is_none_ends_the_command_with_a_line_that_says_so(world: World) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "millstream", "mcp", "--url", world.url),
        env=environment_with({"MILLSTREAM_API_KEY": "ms_cut-off"}),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert (process.returncode, out) == (ExitCode.USAGE, b"")
    assert b"what was given as API key is none" in err
    assert b"Traceback" not in err
