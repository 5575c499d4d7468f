"""The Model Context Protocol on a running service, by its own client library, over both transports."""

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

import pytest

from domain.access import unknown_instead
from domain.status import DocumentStatus
from tests.e2e.api import Api
from tests.e2e.papers import text_of, word_of
from tests.mcp_clients import over_http, over_stdio, words_of
from tests.servers.service_process import ServiceProcess

pytest_plugins = ("tests.servers.service",)

Connect = Callable[..., AbstractAsyncContextManager[Any]]

LONG = "".join(f"Sentence {number} of a long text about stones. " for number in range(1_200))


class Shelf(NamedTuple):
    """A knowledge base with a short document of its own word, and a long one."""

    url: str
    kb: str
    short: DocumentStatus
    long: DocumentStatus


@pytest.fixture(scope="module")
def shelf(service: ServiceProcess) -> Iterator[Shelf]:
    with Api(service.url) as api:
        # No passage's meaning matters here, and the local model takes a while over a long text.
        settings = {"embedding_model": "hash"}
        kb = api.create("shelf of tools", description="For tools.", settings=settings)
        short, long = api.completed(kb, [("short.txt", text_of(801)), ("long.txt", LONG.encode())])
        yield Shelf(service.url, kb, short, long)


@pytest.fixture(params=["http", "http with a handshake"])
def connected(request: pytest.FixtureRequest, shelf: Shelf) -> Connect:
    mode = "legacy" if "handshake" in request.param else "auto"
    return lambda: over_http(shelf.url, mode=mode)


async def called(client: Any, tool: str, **arguments: Any) -> Any:
    """The structured answer, which the text says too."""
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, words_of(result)
    assert json.loads(words_of(result)) == result.structured_content
    return result.structured_content


async def refused(client: Any, tool: str, **arguments: Any) -> str:
    result = await client.call_tool(tool, arguments)
    assert result.is_error
    assert "Traceback" not in words_of(result)
    return words_of(result)


async def test_a_session_over_http_searches_reads_ingests_and_watches(connected: Connect, shelf: Shelf) -> None:
    async with connected() as client:
        assert await worked(client, shelf) == WORKED


async def test_a_session_over_standard_input_does_so_too(shelf: Shelf) -> None:
    async with over_stdio(shelf.url) as client:
        assert await worked(client, shelf) == WORKED
        assert "no_language_model (409)" in await refused(
            client, "ask", question="Which word?", knowledge_bases=[shelf.kb]
        )
        assert "unknown_document (404)" in await refused(client, "read_document", **unknown_in(shelf))
        assert "shelf of tools" in {one.name for one in (await client.list_resources()).resources}


class Worked(NamedTuple):
    """What a session came to: the file that its search found, how the task of its text ended, and whether that text is
    found."""

    filename: str
    status: str
    is_found: bool


WORKED: Final = Worked("short.txt", "completed", is_found=True)


async def worked(client: Any, shelf: Shelf) -> Worked:
    found = await called(client, "search", query=word_of(801), knowledge_bases=["shelf of tools"], mode="keyword")
    (passage,) = found["passages"]
    assert (passage["document_id"], passage["is_cut"]) == (shelf.short.document_id, False)
    around = await called(
        client,
        "read_chunk",
        knowledge_base=shelf.kb,
        document_id=shelf.short.document_id,
        chunk_id=passage["chunk_id"],
    )
    assert around["chunk"]["text"] == passage["text"]
    note = {"filename": "note.md", "text": f"# Note\n\nThe word is {client.protocol_version}-{id(client)}."}
    accepted = await called(client, "ingest_text", knowledge_base=shelf.kb, metadata={"by": "tool"}, **note)
    told: list[float] = []

    async def on_progress(share: float, _total: float | None, _words: str | None) -> None:
        told.append(share)

    asked = {"task_id": accepted["task_id"], "wait_s": 60}
    watched = await client.call_tool("watch_task", asked, progress_callback=on_progress)
    task = watched.structured_content
    assert (task["has_ended"], task["documents_total"]) == (True, 1)
    assert told == sorted(set(told))
    assert told[-1] == 1.0
    filters = {"metadata.by": "tool"}
    again = await called(client, "search", query=str(id(client)), filters=filters, knowledge_bases=[shelf.kb])
    found_again = {one["document_id"] for one in again["passages"]}
    return Worked(passage["filename"], task["status"], accepted["documents"][0]["document_id"] in found_again)


async def test_the_tools_tell_what_they_take_and_answer(shelf: Shelf) -> None:
    async with over_http(shelf.url) as client:
        tools = {one.name: one for one in (await client.list_tools()).tools}
        assert client.server_info.name == "millstream"
        assert "never an instruction" in client.instructions
    assert set(tools) == {
        *("search", "list_knowledge_bases", "list_documents", "read_document", "read_chunk"),
        *("ingest_url", "ingest_text", "watch_task"),
    }, "no `ask` without a language model"
    for tool in tools.values():
        for schema in (tool.input_schema, tool.output_schema):
            assert schema["type"] == "object"
        assert tool.input_schema["additionalProperties"] is False
        assert [name for name, one in tool.input_schema["properties"].items() if "description" not in one] == []
        assert tool.annotations.destructive_hint is False
        assert tool.annotations.read_only_hint is not tool.name.startswith("ingest")
    assert tools["ingest_url"].annotations.open_world_hint
    query = tools["search"].input_schema["properties"]["query"]
    assert (query["minLength"], query["maxLength"]) == (1, 2_000)


async def test_lists_come_in_pages(shelf: Shelf) -> None:
    async with over_http(shelf.url) as client:
        seen: list[str] = []
        cursor = None
        while True:
            page = await called(client, "list_documents", knowledge_base=shelf.kb, limit=1, cursor=cursor)
            seen += [one["filename"] for one in page["documents"]]
            cursor = page["next_cursor"]
            if cursor is None:
                break
        assert {"short.txt", "long.txt"} <= set(seen)
        named = await called(client, "list_documents", knowledge_base=shelf.kb, filename="LONG", status="completed")
        assert [(one["filename"], one["characters"]) for one in named["documents"]] == [("long.txt", len(LONG))]
        bases = await called(client, "list_knowledge_bases", limit=200)
        (own,) = [one for one in bases["knowledge_bases"] if one["knowledge_base_id"] == shelf.kb]
        assert (own["name"], own["description"]) == ("shelf of tools", "For tools.")


async def test_a_document_is_read_to_its_end_a_part_at_a_time(shelf: Shelf) -> None:
    parts: list[str] = []
    start: int | None = 0
    async with over_http(shelf.url) as client:
        while start is not None:
            part = await called(
                client,
                "read_document",
                knowledge_base=shelf.kb,
                document_id=shelf.long.document_id,
                start=start,
                characters=50_000,
            )
            assert len(part["text"]) <= 50_000
            parts.append(part["text"])
            start = part["next_start"]
    assert "".join(parts) == LONG
    assert len(parts) == 2


async def test_what_a_search_answers_is_bounded(shelf: Shelf) -> None:
    async with over_http(shelf.url) as client:
        asked = {"query": "sentence of a long text", "knowledge_bases": [shelf.kb], "top_k": 100, "neighbours": 5}
        cut = (await called(client, "search", passage_characters=300, **asked))["passages"]
        long = (await called(client, "search", passage_characters=50_000, **asked))["passages"]
        assert {len(one["text"]) for one in cut if one["is_cut"]} == {300}
        assert sum(len(one["text"]) for one in long) == 50_000
        assert long[-1]["is_cut"]


def unknown_in(shelf: Shelf) -> dict[str, Any]:
    return {"knowledge_base": shelf.kb, "document_id": unknown_instead(shelf.short.document_id)}


async def test_what_goes_wrong_is_told_to_the_model(connected: Connect, shelf: Shelf) -> None:
    async with connected() as client:
        assert "unknown_document (404)" in await refused(client, "read_document", **unknown_in(shelf))
        assert "no knowledge base is named 'nobody'" in await refused(client, "list_documents", knowledge_base="nobody")
        assert "$.top_k" in await refused(client, "search", query="x", top_k=0)
        assert "unknown field `tpo_k`" in await refused(client, "search", query="x", tpo_k=1)
        filters = await refused(client, "search", query="x", knowledge_bases=[shelf.kb], filters={"colour": "red"})
        assert "validation_failed (422)" in filters
        assert "/filters/colour" in filters
        denied = await refused(client, "ingest_url", knowledge_base=shelf.kb, urls=["http://127.0.0.1/secret"])
        assert "url_address_denied (422)" in denied
        assert "$.document_id" in await refused(client, "read_document", knowledge_base=shelf.kb, document_id="../x")
        with pytest.raises(Exception, match="there is no tool named 'drop_everything'"):
            await client.call_tool("drop_everything", {})


async def test_the_same_key_again_gives_the_same_task(shelf: Shelf) -> None:
    asked = {"knowledge_base": shelf.kb, "text": "Once.", "filename": "once.txt", "idempotency_key": "tool-once"}
    async with over_http(shelf.url) as client:
        first, again = [await called(client, "ingest_text", **asked) for _ in range(2)]
        assert first["task_id"] == again["task_id"]
        other = await refused(client, "ingest_text", **{**asked, "text": "Twice."})
        assert "idempotency_key_reused (422)" in other


async def test_a_task_that_takes_longer_than_was_waited_for_is_told_as_it_is(shelf: Shelf) -> None:
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    with Api(shelf.url) as api:
        options = json.dumps({"not_before": tomorrow})
        sent = api.http.post(
            f"/knowledge-bases/{shelf.kb}/documents",
            files={"file": ("later.txt", b"Later."), "options": (None, options, "application/json")},
        )
        task_id = sent.json()["task_id"]
        async with over_http(shelf.url) as client:
            task = await called(client, "watch_task", task_id=task_id, wait_s=1)
        assert (task["has_ended"], task["documents"][0]["filename"]) == (False, "later.txt")
        api.http.post(f"/tasks/{task_id}/cancel", json={})


async def test_sessions_side_by_side_hear_their_own_answers(shelf: Shelf) -> None:
    async def searched(word: str) -> set[str]:
        async with over_http(shelf.url) as client:
            asked = [called(client, "search", query=word, knowledge_bases=[shelf.kb], mode="keyword") for _ in range(8)]
            return {one["filename"] for found in await asyncio.gather(*asked) for one in found["passages"]}

    short, long = await asyncio.gather(searched(word_of(801)), searched("1199"))
    assert (short, long) == ({"short.txt"}, {"long.txt"})


async def test_resources_are_knowledge_bases_and_texts(connected: Connect, shelf: Shelf) -> None:
    async with connected() as client:
        listed = {one.name: one.uri for one in (await client.list_resources()).resources}
        inside = (await client.read_resource(listed["shelf of tools"])).contents[0]
        uris = {one["filename"]: one["uri"] for one in json.loads(inside.text)["documents"]}
        text = (await client.read_resource(uris["long.txt"])).contents[0]
        templates = (await client.list_resource_templates()).resource_templates
        with pytest.raises(Exception, match="there is no resource"):
            await client.read_resource("millstream://knowledge-bases/../keys")
    assert (text.mime_type, text.text) == ("text/plain", LONG[:50_000])
    assert len(templates) == 2


async def test_nobody_answers_behind_standard_input_and_that_is_said() -> None:
    async with over_stdio("http://127.0.0.1:9") as client:
        assert len((await client.list_tools()).tools) == 9
        assert "no server answers at http://127.0.0.1:9" in await refused(client, "search", query="x")
