"""tus clients that nobody here wrote, cut off again and again, and every byte arrives once."""

import asyncio
import json
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from tusclient.client import TusClient

from events.document import DocumentAccepted
from ingest.settings import KIB
from tests.integration.ingest_app import SMALL, Mill, make_services, running_mill
from tests.integration.resumable_world import TUS, UPLOADS, assert_became
from tests.servers.cutting_proxy import cutting_proxy
from tests.servers.stream_clients import installed_client

CLIENT_S_MAX: Final = 60
SETTINGS: Final = msgspec.structs.replace(SMALL, upload_bytes_max=1024 * KIB, piece_bytes=64 * KIB)
DATA: Final = "".join(f"Line {number} of a file that comes in pieces.\n" for number in range(20_000)).encode()
CUTS: Final = 7


@pytest.fixture
async def mill(tmp_path: Path) -> AsyncIterator[Mill]:
    async with running_mill(make_services(tmp_path / "blobs", SETTINGS)) as mill:
        yield mill


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "lines.txt"
    file.write_bytes(DATA)
    return file


@pytest.fixture
async def node_folder(request: pytest.FixtureRequest) -> Path:
    cache = request.config.cache
    assert cache is not None
    return await asyncio.to_thread(installed_client, cache.mkdir("clients"))


def cuts_of(seed: int, lost_answers: int = 1) -> list[int]:
    chance = random.Random(seed)  # noqa: S311  where lines break, nothing secret
    cuts = [chance.randrange(200, len(DATA) // 3) for _ in range(CUTS - lost_answers)] + [-1] * lost_answers
    chance.shuffle(cuts)
    return cuts


async def documents(mill: Mill) -> list[DocumentAccepted]:
    return [one.event for one in await mill.facts() if isinstance(one.event, DocumentAccepted)]


async def assert_one_document(mill: Mill) -> None:
    (fact,) = await documents(mill)
    assert (fact.filename, fact.size_bytes) == ("lines.txt", len(DATA))
    assert await mill.services.blobs.get(fact.source_blob) == DATA


async def run_node(folder: Path, port: int, file: Path, metadata: dict[str, str], **options: Any) -> dict[str, Any]:
    endpoint = f"http://127.0.0.1:{port}{UPLOADS}"
    command = ["node", "upload.mjs", endpoint, str(file), json.dumps(metadata), json.dumps(options)]
    process = await asyncio.create_subprocess_exec(
        *command, cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(CLIENT_S_MAX):
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, err.decode()
    said: dict[str, Any] = json.loads(out)
    return said


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"chunkSize": 150_000},
        {"uploadDataDuringCreation": True, "headers": {"Idempotency-Key": "answers-may-be-lost"}},
        {"uploadLengthDeferred": True, "chunkSize": 90_000},
    ],
    ids=["one request", "chunks", "with creation", "deferred"],
)
async def test_tus_js_client_is_cut_off_and_goes_on(
    mill: Mill, node_folder: Path, file: Path, options: dict[str, Any]
) -> None:
    kb = await mill.knowledge_base()
    async with cutting_proxy(mill.port, cuts_of(len(options))) as proxy:
        said = await run_node(node_folder, proxy.port, file, {"knowledge_base": kb, "filename": "lines.txt"}, **options)
        assert proxy.done > 0
    (fact,) = await documents(mill)
    assert said["task"] in {fact.task_id, None}, "None where the answer to the last byte was lost"
    await assert_one_document(mill)


async def test_tus_js_client_sends_four_parts_at_once_and_is_cut_off(mill: Mill, node_folder: Path, file: Path) -> None:
    kb = await mill.knowledge_base()
    async with cutting_proxy(mill.port, cuts_of(4)) as proxy:
        about = {"knowledge_base": kb, "filename": "lines.txt"}
        said = await run_node(node_folder, proxy.port, file, about, parallelUploads=4)
        assert proxy.done > 0
    (fact,) = await documents(mill)
    assert said["task"] == fact.task_id
    await assert_one_document(mill)


@pytest.mark.parametrize("has_checksums", [False, True])
async def test_tuspy_is_cut_off_and_goes_on(mill: Mill, file: Path, has_checksums: bool) -> None:
    kb = await mill.knowledge_base()

    def upload(port: int) -> str:
        # tuspy tries all but the creation again: that one goes by a line that is not cut.
        client = TusClient(f"http://127.0.0.1:{mill.port}{UPLOADS}")
        with file.open("rb") as stream:
            uploader = client.uploader(
                file_stream=stream,
                chunk_size=130_000,
                metadata={"knowledge_base": kb, "filename": "lines.txt"},
                retries=20,
                retry_delay=0,
                upload_checksum=has_checksums,
            )
            uploader.set_url(uploader.create_url().replace(f":{mill.port}/", f":{port}/"))
            uploader.upload()
        return str(uploader.url)

    async with cutting_proxy(mill.port, cuts_of(has_checksums)) as proxy:
        url = await asyncio.to_thread(upload, proxy.port)
        assert proxy.done > 0
    await assert_one_document(mill)
    answer = await mill.client.head(url.replace(f":{proxy.port}/", f":{mill.port}/"), headers=TUS)
    await assert_became(mill, answer, DATA)
