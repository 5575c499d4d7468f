"""Reading, changing, reprocessing and reindexing on the real thing: API, worker, projector, Redis, LanceDB."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from events.redis_clients import make_clients
from millstream.bootstrap import running_projector, running_worker
from millstream.cli import root
from millstream.client import Client
from millstream.client_documents import Documents, KnowledgeBases
from millstream.settings import Settings
from tests.integration.keyed_app import KeyedApp, keyed_apps
from tests.servers.redis_process import RedisProcess
from tests.waiting import wait_for

pytest_plugins = ("tests.servers.redis",)

PAPER = b"# Stones\n\n" + b"\n\n".join(
    b"Paragraph %d tells how the miller dresses stone number %d every fortnight, with a bill and a thrift." % (one, one)
    for one in range(12)
)


@asynccontextmanager
async def running(url: str, data_dir: Path) -> AsyncIterator[KeyedApp]:
    stop = asyncio.Event()
    settings = Settings(redis_url=url, data_dir=str(data_dir), embedding="hash", partitions=2, parse_processes=1)
    async with keyed_apps(url, data_dir) as (app,):
        tasks = [
            asyncio.create_task(running_worker(settings, stop, name="worker", steps="")),
            asyncio.create_task(running_projector(settings, stop)),
        ]
        try:
            yield app
        finally:
            stop.set()
            await asyncio.gather(*tasks)


async def command(app: KeyedApp, *arguments: str) -> Result:
    url = ["--url", f"http://127.0.0.1:{app.port}"]
    result = await asyncio.to_thread(CliRunner().invoke, root, [*arguments, *url])
    assert result.exit_code == 0, (arguments, result.output, result.exception)
    return result


async def found(app: KeyedApp, kb: str, query: str, **asked: Any) -> list[dict[str, Any]]:
    answer = await app.call("POST", f"/knowledge-bases/{kb}/search", json={"query": query, "mode": "keyword", **asked})
    assert answer.status_code == 200, answer.text
    passages: list[dict[str, Any]] = answer.json()["passages"]
    return passages


async def completed(app: KeyedApp, path: str) -> dict[str, Any]:
    async with asyncio.timeout(60):
        while True:
            task = (await app.call("GET", f"{path}?wait=5")).json()
            if task["finished_at"] is not None:
                found: dict[str, Any] = task
                return found


async def is_cut_into(app: KeyedApp, path: str, chunks: int) -> bool:
    status = (await app.call("GET", path)).json()
    return (status["status"], status["counts"]["chunks"], status["chunking"]) == ("completed", chunks, None)


async def test_a_document_is_read_changed_reprocessed_and_reindexed(redis_server: RedisProcess, tmp_path: Path) -> None:
    async with make_clients(redis_server.url) as clients:
        await clients.commands.flushall()
    async with running(redis_server.url, tmp_path) as app:
        client = Client(f"http://127.0.0.1:{app.port}")
        bases = KnowledgeBases(client.http)
        await command(app, "kb", "create", "handbook", "--set", "chunk_tokens=64")
        kb = (await asyncio.to_thread(client.knowledge_base, "handbook")).knowledge_base_id
        uploaded = (await app.upload(None, kb, ("石.md", PAPER, "text/markdown"))).json()
        await completed(app, f"/tasks/{uploaded['task_id']}")
        document = uploaded["documents"][0]["document_id"]
        path = f"/knowledge-bases/{kb}/documents/{document}"

        # reading
        await command(app, "documents", "get", kb, document, "-o", str(tmp_path / "original"))
        assert (tmp_path / "original").read_bytes() == PAPER
        assert "Paragraph 11" in (await command(app, "documents", "text", kb, document)).stdout
        documents = Documents(client.http, kb)
        chunks = await asyncio.to_thread(documents.chunks, document)
        assert chunks[1].chunk_id in (await command(app, "documents", "chunks", kb, document)).stdout
        assert len(chunks) > 3
        part = await app.call("GET", f"{path}/content", headers={"Range": "bytes=2-7"})
        assert (part.status_code, part.content) == (206, PAPER[2:8])

        # changing
        chunk = f"{path}/chunks/{chunks[1].chunk_id}"
        assert (await app.call("PATCH", chunk, json={"text": "zymurgy of barley"})).status_code == 200
        (hit,) = await found(app, kb, "zymurgy")
        assert hit["chunk_id"] == chunks[1].chunk_id
        assert (await app.call("PATCH", path, json={"metadata": {"year": 2026}})).status_code == 200
        assert await found(app, kb, "zymurgy", filters={"metadata.year": 2026})
        assert (await app.call("PATCH", chunk, json={"enabled": False})).status_code == 200
        assert await found(app, kb, "zymurgy") == []
        assert (await app.call("PATCH", path, json={"enabled": False})).status_code == 200
        assert await found(app, kb, "miller") == []
        back = await app.call("PATCH", path, json={"enabled": True})
        assert (back.json()["searchable"], len(await found(app, kb, "miller", top_k=50))) == (True, len(chunks) - 1)

        # reprocessing
        dry = await asyncio.to_thread(partial(bases.reprocess, kb, dry_run=True))
        assert (dry.documents, dry.by_step, dry.tasks) == (1, {"parse": 1}, ())
        assert "would be begun again" in (await command(app, "documents", "reprocess", kb, "--dry-run")).stdout
        begun = await asyncio.to_thread(partial(bases.reprocess, kb, from_step="chunk"))
        await completed(app, f"/tasks/{begun.tasks[0].task_id}")
        assert await found(app, kb, "zymurgy") == []
        await app.call("PATCH", chunk, json={"enabled": True})
        assert [one["text"] for one in await found(app, kb, "zymurgy")] == ["zymurgy of barley"]

        # settings of its own
        own: dict[str, Any] = {"settings": {"chunker": "window"}, "from_step": "chunk"}
        many = f"/knowledge-bases/{kb}/reprocess"
        told = (await app.call("POST", many, json={**own, "dry_run": True})).json()
        assert (told["compared"]["chunks_before"], told["compared"]["edits_lost"]) == (len(chunks), 1)
        line = (await command(app, "documents", "reprocess", kb, "--set", "chunker=window", "--dry-run")).stdout
        assert f"chunks {len(chunks)} -> {told['compared']['chunks_after']}" in line
        refused = await app.call("POST", many, json={**own, "settings": {"embedding_model": "local"}})
        assert (refused.status_code, refused.json()["code"]) == (409, "reindex_required")
        one = (await app.call("POST", f"{path}/reprocess", json=own)).json()
        await completed(app, f"/tasks/{one['task_id']}")
        status = (await app.call("GET", path)).json()
        assert (status["chunking"]["chunker"], status["chunking"]["chunk_tokens"]) == ("window", 64)
        assert status["counts"]["chunks"] == told["compared"]["chunks_after"]
        await command(app, "documents", "reprocess", kb, "--from", "chunk", "--unset")
        await wait_for(partial(is_cut_into, app, path, len(chunks)), "it is cut as the knowledge base says", 60)
        assert [one["text"] for one in await found(app, kb, "zymurgy")] == ["zymurgy of barley"]

        # another index
        smaller: dict[str, Any] = {"settings": {"chunk_tokens": 32, "chunk_overlap_tokens": 0}}
        refused = await app.call("PATCH", f"/knowledge-bases/{kb}", json=smaller)
        assert (refused.status_code, refused.json()["code"]) == (409, "reindex_required")
        smaller["reindex"] = True
        assert (await app.call("PATCH", f"/knowledge-bases/{kb}", json=smaller)).status_code == 200
        told = {}

        async def is_complete() -> bool:
            assert await found(app, kb, "miller")
            told.update((await app.call("GET", f"/knowledge-bases/{kb}/reindex")).json())
            return told["building"] is None

        await wait_for(is_complete, "the new index serves", 60)
        assert (told["generation"], told["done"]) == (2, 1)
        status = (await app.call("GET", path)).json()
        assert (status["index_generation"], status["edits_lost"]) == (2, [chunks[1].chunk_id])
        assert len(await found(app, kb, "miller", top_k=50)) >= 12
        assert "index 2 serves" in (await command(app, "kb", "reindex", kb, "--status")).stdout
        assert "chunks of 32 tokens" in (await command(app, "kb", "show", "handbook")).stdout

        # the end
        await command(app, "documents", "delete", kb, document)
        await command(app, "kb", "delete", kb, "--yes")
        assert (await app.call("GET", f"/knowledge-bases/{kb}")).status_code == 404
