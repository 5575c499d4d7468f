"""`millstream.client` sends a file by tus through broken lines, and goes on in another process's place."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from events.document import DocumentAccepted
from ingest.settings import KIB
from millstream.client import Client
from millstream.client_http import Http, Refused, Unreachable
from millstream.client_uploads import ATTEMPTS_MAX, ResumableUpload, Uploaded
from millstream.errors import Stop
from tests.integration.ingest_app import SMALL, Mill, make_services, running_mill
from tests.servers.cutting_proxy import cutting_proxy

SETTINGS = msgspec.structs.replace(SMALL, upload_bytes_max=1024 * KIB, piece_bytes=64 * KIB)
DATA = "".join(f"Line {number} of the mill.\n" for number in range(16_000)).encode()


@pytest.fixture
async def mill(tmp_path: Path) -> AsyncIterator[Mill]:
    async with running_mill(make_services(tmp_path / "blobs", SETTINGS)) as mill:
        yield mill


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "lines.txt"
    file.write_bytes(DATA)
    return file


def overwrite(file: Path, data: bytes) -> None:
    file.write_bytes(data)


def url_of(port: int) -> str:
    return f"http://127.0.0.1:{port}"


class Sender:
    """A client that does not wait, and notes what it is told."""

    def __init__(self, file: Path, kb: str) -> None:
        self._file = file
        self._kb = kb
        self.urls: list[str] = []
        self.progress: list[int] = []
        self.pauses_s: list[float] = []

    async def send(self, port: int, *, resume_url: str | None = None) -> Uploaded:
        http = Http(url_of(port))
        upload = ResumableUpload(
            http,
            self._file,
            {"knowledge_base": self._kb, "filename": "lines.txt"},
            resume_url=resume_url,
            on_url=self.urls.append,
            on_progress=lambda there, _all: self.progress.append(there),
            part_bytes=100_000,
            sleep=self.pauses_s.append,
            jitter=lambda: 1.0,
        )
        try:
            return await asyncio.to_thread(upload.run)
        finally:
            http.close()


async def assert_one_document(mill: Mill, uploaded: Uploaded) -> None:
    facts = [one.event for one in await mill.facts() if isinstance(one.event, DocumentAccepted)]
    assert [(fact.task_id, fact.size_bytes) for fact in facts] == [(uploaded.task_id, len(DATA))]
    assert await mill.services.blobs.get(facts[0].source_blob) == DATA


async def test_a_file_is_sent_with_its_options(mill: Mill, file: Path) -> None:
    kb = await mill.knowledge_base()

    def send() -> Uploaded:
        with Client(url_of(mill.port)) as client:
            return client.upload_resumable(kb, file, filename="名.txt", options={"metadata": {"year": 2024}})

    uploaded = await asyncio.to_thread(send)
    (fact,) = (one.event for one in await mill.facts() if isinstance(one.event, DocumentAccepted))
    assert (fact.filename, fact.metadata, fact.task_id) == ("名.txt", {"year": 2024}, uploaded.task_id)


async def test_a_line_that_breaks_again_and_again_costs_no_byte_twice(mill: Mill, file: Path) -> None:
    sender = Sender(file, await mill.knowledge_base())
    async with cutting_proxy(mill.port, [100, -1, 60_000, -1, 150_000, 500, 90_000]) as proxy:
        uploaded = await sender.send(proxy.port)
        assert proxy.done == 7
    assert sender.progress == sorted(sender.progress)
    assert sender.progress[-1] == len(DATA)
    assert len(sender.urls) == 1, "a creation whose answer was lost is asked for again under its key"
    await assert_one_document(mill, uploaded)


async def test_another_process_goes_on_where_one_stopped(mill: Mill, file: Path) -> None:
    first = Sender(file, await mill.knowledge_base())
    async with cutting_proxy(mill.port, [250_000, *[0] * ATTEMPTS_MAX]) as proxy:
        with pytest.raises(Unreachable):
            await first.send(proxy.port)
    assert first.pauses_s == [min(30.0, 0.25 * 2**attempt) for attempt in range(ATTEMPTS_MAX)]
    second = Sender(file, "")
    url = first.urls[0].replace(url_of(proxy.port), url_of(mill.port))
    uploaded = await second.send(mill.port, resume_url=url)
    assert second.progress[0] == 200_000
    await assert_one_document(mill, uploaded)


async def test_an_upload_that_is_gone_is_begun_anew_and_another_file_is_not_mixed_in(mill: Mill, file: Path) -> None:
    sender = Sender(file, await mill.knowledge_base())
    uploaded = await sender.send(mill.port, resume_url=f"{url_of(mill.port)}/api/v1/uploads/{'0' * 32}")
    await assert_one_document(mill, uploaded)
    assert await sender.send(mill.port, resume_url=uploaded.url) == uploaded, "a finished one tells its task"
    overwrite(file, DATA[:-1])
    with pytest.raises(Stop, match="not the file"):
        await Sender(file, "").send(mill.port, resume_url=uploaded.url)


async def test_what_is_refused_for_good_is_told_at_once(mill: Mill, file: Path) -> None:
    overwrite(file, bytes(range(256)) * 600)
    sender = Sender(file, await mill.knowledge_base())
    with pytest.raises(Refused) as refused:
        await sender.send(mill.port)
    assert (refused.value.problem.code, sender.pauses_s) == ("unsupported_type", [])
