"""A copy is taken while documents are in the middle of their steps, all else is destroyed: each goes on, and ends once.

Small documents take all steps in one turn, so that the log says `parse` while their vectors are made; a long one has
its first batches of vectors recorded. Both hang at a provider that does not answer.
"""

import shutil
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from domain.status import DocumentPhase, TaskPhase
from tests.e2e.api import Api
from tests.e2e.papers import text_of, word_of
from tests.e2e.test_restarts import assert_each_document_is_there_once
from tests.e2e.test_restore import command
from tests.servers.embedding_provider import DIMENSIONS, EmbeddingProvider, Reply, embedding_provider, embeddings
from tests.servers.service_process import ServiceProcess
from tests.waiting import poll

pytestmark = pytest.mark.timeout(400)

ENDED_S_MAX = 120.0
LONG, SMALL = 1, 2
LAST = "The last of them hangs."
"""In the second batch of the long document alone."""


def long_text() -> bytes:
    """Of more than one batch of 64 chunks; its word stands in the first of them."""
    lines = (
        f"Stone {line} of the mill at the river turns by water and by wind, year after year." for line in range(2_500)
    )
    return b"\n\n".join([text_of(LONG), *(line.encode() for line in lines), LAST.encode()])


class Hanging:
    """A provider's answers: what has one of these words waits until the door is open."""

    def __init__(self, *words: str) -> None:
        self._words = words
        self.door = threading.Event()
        self.waiting: set[str] = set()

    def __call__(self, body: dict[str, Any]) -> Reply:
        found = {word for word in self._words if any(word in text for text in body["input"])}
        if found and not self.door.is_set():
            self.waiting |= found
            self.door.wait(ENDED_S_MAX)
        return embeddings(body)


@pytest.fixture
def provider() -> Iterator[EmbeddingProvider]:
    with embedding_provider() as listening:
        yield listening


@pytest.fixture
def service(provider: EmbeddingProvider, tmp_path: Path) -> Iterator[ServiceProcess]:
    own = ServiceProcess(
        tmp_path / "data",
        {
            "MILLSTREAM_LEASE_S": "3",
            "MILLSTREAM_WORKERS": "1",
            "MILLSTREAM_EMBEDDING": "openai",
            "MILLSTREAM_OPENAI_BASE_URL": provider.base_url,
            "MILLSTREAM_OPENAI_EMBEDDING_MODEL": "test/model",
            "MILLSTREAM_OPENAI_EMBEDDING_DIMENSIONS": str(DIMENSIONS),
            "MILLSTREAM_THROUGH_BYTES_MAX": "10000",
        },
    )
    try:
        yield own
    finally:
        own.end()


@pytest.mark.parametrize("has_copy_of_redis", [False, True], ids=["from the archive", "from a copy of Redis"])
def test_documents_in_the_middle_of_their_steps_go_on_in_what_was_restored(
    service: ServiceProcess, provider: EmbeddingProvider, tmp_path: Path, has_copy_of_redis: bool
) -> None:
    hanging = Hanging(LAST, word_of(SMALL))
    provider.reply = hanging
    service.start()
    with Api(service.url) as api:
        kb = api.create("copied in the middle")
        done = api.upload(kb, [("0.txt", text_of(0))])
        api.ended(done)
        tasks = [
            api.upload(kb, [(f"{number}.txt", text)]) for number, text in ((LONG, long_text()), (SMALL, text_of(SMALL)))
        ]
        poll(lambda: hanging.waiting == {LAST, word_of(SMALL)}, "both hang at the provider", 60)
        phases = [api.documents(task)[0].status for task in tasks]
        assert phases == [DocumentPhase.EMBEDDING, DocumentPhase.PARSING]
        recorded = api.documents(tasks[0])[0].counts.chunks_embedded
        assert recorded > 0
        assert command(service, "archive", "now")[0] == 0
        copy = tmp_path / "copy"
        shutil.copytree(service.data_dir / "blobs", copy / "blobs")
        if has_copy_of_redis:
            shutil.copytree(
                service.data_dir / "redis", copy / "redis", ignore=shutil.ignore_patterns("*.sock", "*.pid")
            )

    service.end()
    shutil.rmtree(service.data_dir)
    hanging.door.set()
    sent = len(provider.texts)
    shutil.copytree(copy, service.data_dir)
    if not has_copy_of_redis:
        code, report, said = command(service, "restore", "--json")
        assert code == 0, said
        assert report["uploads"]["tasks"] == {}, "all of them are in the archive"
    service.start()
    with Api(service.url) as api:
        for task in tasks:
            assert api.ended(task, ENDED_S_MAX).status is TaskPhase.COMPLETED
            (document,) = api.documents(task)
            assert (document.status, document.counts.chunks_embedded) == (
                DocumentPhase.COMPLETED,
                document.counts.chunks,
            )
            types = types_in(api, task)
            assert [types.count(kind) for kind in ENDS] == [1] * len(ENDS), "each step has ended once"
        chunks = sum(api.documents(task)[0].counts.chunks for task in tasks)
        assert len(provider.texts) - sent == chunks - recorded, "vectors that were recorded are not made again"
        # The directory of the index is gone too: its rows are written again from stored vectors, as the manual says.
        assert command(service, "documents", "reprocess", kb, "--from", "index", "--url", service.url)[0] == 0
        poll(lambda: is_found(api, kb, 0), "what had ended before is found again", ENDED_S_MAX)
        poll(lambda: not api.http.get("/tasks?status=processing").json()["data"], "all is written", ENDED_S_MAX)
        assert_each_document_is_there_once(api, kb, range(3))
        code, report, said = command(service, "replay", "--verify", "--json")
        assert (code, report["differences"]) == (0, []), said
    assert "Traceback" not in service.errors


ENDS = ("DocumentParsed", "DocumentChunked", "DocumentEmbedded", "DocumentIndexed", "TaskFinished")


def types_in(api: Api, task: str) -> list[str]:
    return [fact["type"] for fact in api.http.get(f"/tasks/{task}/events", params={"limit": 200}).json()["data"]]


def is_found(api: Api, kb: str, number: int) -> bool:
    with suppress(AssertionError):
        return bool(api.search(kb, word_of(number), mode="keyword", top_k=5))
    return False
