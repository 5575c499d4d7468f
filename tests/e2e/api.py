"""The API as a client sees it: HTTP and nothing else, answers as the structs that the product documents."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self, TypeVar

import httpx
import httpx_sse
import msgspec

from domain.knowledge_base_status import KnowledgeBaseStatus
from domain.status import DocumentPhase, DocumentStatus, TaskPhase, TaskStatus
from tests.waiting import poll

T = TypeVar("T")

OPEN_TASKS = {TaskPhase.QUEUED, TaskPhase.PROCESSING}
TASK_S_MAX = 60.0
Files = Sequence[tuple[str, bytes]]


class Passage(msgspec.Struct, frozen=True):
    """What the tests look at of a passage."""

    chunk_id: str
    document_id: str
    filename: str
    text: str
    score: float
    page: int | None
    headings: tuple[str, ...]
    highlights: list[tuple[int, int]]


class Api:
    """One client of a running service, with an API key where one is needed."""

    def __init__(self, url: str, key: str = "") -> None:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self.http = httpx.Client(base_url=f"{url}/api/v1", timeout=30, trust_env=False, headers=headers)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def create(self, name: str, **body: Any) -> str:
        """The id of a new knowledge base."""
        created = self.http.post("/knowledge-bases", json={"name": name, **body})
        assert created.status_code == 201, created.text
        return msgspec.json.decode(created.content, type=KnowledgeBaseStatus).knowledge_base_id

    def knowledge_base(self, kb: str) -> KnowledgeBaseStatus:
        return self._get(f"/knowledge-bases/{kb}", KnowledgeBaseStatus)

    def post_files(self, kb: str, files: Files, **headers: str) -> httpx.Response:
        parts = [("file", (name, content, "application/octet-stream")) for name, content in files]
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.http.post(f"/knowledge-bases/{kb}/documents", files=parts, headers=sent)

    def upload(self, kb: str, files: Files, **headers: str) -> str:
        """The id of the accepted task."""
        response = self.post_files(kb, files, **headers)
        assert response.status_code == 202, response.text
        accepted = response.json()
        assert response.headers["location"] == f"/api/v1/tasks/{accepted['task_id']}"
        assert [document["filename"] for document in accepted["documents"]] == [name for name, _ in files]
        return str(accepted["task_id"])

    def task(self, task_id: str) -> TaskStatus:
        return self._get(f"/tasks/{task_id}", TaskStatus)

    def ended(self, task_id: str, within_s: float = TASK_S_MAX) -> TaskStatus:
        """The task, once it has ended."""
        poll(lambda: self.task(task_id).status not in OPEN_TASKS, f"{task_id} has ended", within_s)
        return self.task(task_id)

    def documents(self, task_id: str) -> list[DocumentStatus]:
        return list(self.pages(f"/tasks/{task_id}/documents", DocumentStatus))

    def document(self, kb: str, document_id: str) -> DocumentStatus:
        return self._get(f"/knowledge-bases/{kb}/documents/{document_id}", DocumentStatus)

    def ingest(self, kb: str, files: Files, within_s: float = TASK_S_MAX) -> list[DocumentStatus]:
        """Uploads and waits; the documents as they ended, in the order of the files."""
        task_id = self.upload(kb, files)
        self.ended(task_id, within_s)
        documents = self.documents(task_id)
        assert [document.filename for document in documents] == [name for name, _ in files]
        return documents

    def completed(self, kb: str, files: Files, within_s: float = TASK_S_MAX) -> list[DocumentStatus]:
        """The same, where nothing may fail."""
        documents = self.ingest(kb, files, within_s)
        unwell = [
            (one.filename, one.status, one.error) for one in documents if one.status is not DocumentPhase.COMPLETED
        ]
        assert unwell == []
        return documents

    def post_search(self, kb: str, query: str, **body: Any) -> httpx.Response:
        return self.http.post(f"/knowledge-bases/{kb}/search", json={"query": query, **body})

    def search(self, kb: str, query: str, **body: Any) -> list[Passage]:
        response = self.post_search(kb, query, **body)
        assert response.status_code == 200, response.text
        return msgspec.convert(response.json()["passages"], list[Passage])

    @contextmanager
    def stream(self, task_id: str, last_event_id: str = "") -> Iterator[Iterator[httpx_sse.ServerSentEvent]]:
        """The events of a task's stream."""
        headers = {"Last-Event-ID": last_event_id} if last_event_id else {}
        with httpx_sse.connect_sse(self.http, "GET", f"/tasks/{task_id}/stream", headers=headers) as source:
            assert source.response.status_code == 200
            # httpx-sse hands out the lone `retry:` line as an event without data; by the standard it is none.
            yield (event for event in source.iter_sse() if event.data)

    def pages(self, path: str, row_type: type[T], **params: str | int) -> Iterator[T]:
        """Every row of a listing, page after page."""
        query: dict[str, str | int] = {"limit": 200, **params}
        while True:
            response = self.http.get(path, params=query)
            assert response.status_code == 200, response.text
            page = response.json()
            for row in page["data"]:
                yield msgspec.convert(row, row_type)
            if page["next_cursor"] is None:
                return
            query["cursor"] = page["next_cursor"]

    def _get(self, path: str, answer_type: type[T]) -> T:
        response = self.http.get(path)
        assert response.status_code == 200, response.text
        return msgspec.json.decode(response.content, type=answer_type)


def problem_code(response: httpx.Response) -> tuple[int, str]:
    """Status and code of a refusal, which is a problem document with everything that one promises."""
    assert response.headers["content-type"].startswith("application/problem+json"), response.text
    document = response.json()
    assert document["status"] == response.status_code
    assert document["request_id"] == response.headers["x-request-id"]
    assert document["title"]
    assert document["detail"]
    assert "Traceback" not in response.text
    return response.status_code, str(document["code"])


def files_in(folder: Path) -> list[tuple[str, bytes]]:
    """Every file of a folder, by name."""
    return [(path.name, path.read_bytes()) for path in sorted(folder.iterdir()) if path.is_file()]
