"""A typed client over HTTP; the command line itself uses it."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx
import httpx_sse
import msgspec

from domain.dead_letters import DeadLetter
from domain.knowledge_base_status import KnowledgeBaseStatus
from domain.status import DocumentStatus, TaskStatus
from events.document import Metadata
from millstream.errors import ExitCode, Stop

T = TypeVar("T")
U = TypeVar("U")

TIMEOUT_S = httpx.Timeout(60.0, connect=5.0)
STREAM_SILENCE_S_MAX = 45.0
"""The server sends a comment every 15 s; three missed ones mean that the connection is dead."""
RECONNECTS_MAX = 20


class AcceptedDocument(msgspec.Struct, frozen=True, kw_only=True):
    """One document of an accepted upload."""

    document_id: str
    filename: str
    status: str
    duplicate_of: str | None = None


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to an upload."""

    task_id: str
    status: str
    message: str
    documents: tuple[AcceptedDocument, ...]
    links: dict[str, str]


class Retried(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a retry of dead letters, and to its dry run (without tasks)."""

    dry_run: bool
    documents: int
    by_code: dict[str, int]
    by_step: dict[str, int]
    by_knowledge_base: dict[str, int]
    has_more: bool
    tasks: tuple[Accepted, ...] = ()


class Passage(msgspec.Struct, frozen=True, kw_only=True):
    """One thing found. `page` counts from 1, None where the format has no pages; `score` is 0 to 1."""

    chunk_id: str
    document_id: str
    filename: str
    text: str
    score: float
    page: int | None = None
    highlights: tuple[tuple[int, int], ...] = ()
    headings: tuple[str, ...] = ()
    metadata: Metadata = {}


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a search."""

    passages: tuple[Passage, ...]
    took_ms: float


class TaskChanged(msgspec.Struct, frozen=True):
    """The task's new state."""

    task: TaskStatus


class DocumentChanged(msgspec.Struct, frozen=True):
    """The new state of one of its documents."""

    document: DocumentStatus


class TaskEnded(msgspec.Struct, frozen=True):
    """Nothing more comes."""


TaskNews = TaskChanged | DocumentChanged | TaskEnded


class Page(msgspec.Struct, frozen=True):
    """One page of a listing, rows still undecoded."""

    data: list[msgspec.Raw]
    total: int | None
    next_cursor: str | None = None


class _Problem(msgspec.Struct):
    title: str = ""
    detail: str = ""
    code: str = ""
    request_id: str = ""


class Client:
    """Speaks to one server. Every call raises Stop: exit code 3 where it cannot be reached, 1 where it refuses."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        self._http = httpx.Client(base_url=f"{self._url}/api/v1", timeout=TIMEOUT_S, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def create_knowledge_base(self, name: str, *, idempotency_key: str | None = None) -> KnowledgeBaseStatus:
        headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
        response = self._send("POST", "/knowledge-bases", json={"name": name}, headers=headers)
        return msgspec.json.decode(response.content, type=KnowledgeBaseStatus)

    def knowledge_bases(self, *, name: str | None = None) -> tuple[KnowledgeBaseStatus, ...]:
        return self._list("/knowledge-bases", KnowledgeBaseStatus, {"name": name} if name else {})

    def knowledge_base(self, id_or_name: str) -> KnowledgeBaseStatus:
        """By id, or by name; raises Stop where there is none or more than one."""
        if id_or_name.startswith("kb_") and len(id_or_name) == len("kb_") + 34:
            response = self._send("GET", f"/knowledge-bases/{id_or_name}")
            return msgspec.json.decode(response.content, type=KnowledgeBaseStatus)
        found = self.knowledge_bases(name=id_or_name)
        if len(found) == 1:
            return found[0]
        if not found:
            raise Stop(f"there is no knowledge base named {id_or_name!r}", hint="`millstream ingest` makes one")
        ids = ", ".join(one.knowledge_base_id for one in found)
        raise Stop(f"several knowledge bases are named {id_or_name!r}", hint=f"name one by its id: {ids}")

    def upload(
        self, knowledge_base_id: str, files: Sequence[tuple[str, Path]], *, idempotency_key: str | None = None
    ) -> Accepted:
        """Sends files (name to show, path) as one task; they are streamed, never held in memory."""
        headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
        with contextlib.ExitStack() as stack:
            parts = [
                ("file", (name, stack.enter_context(path.open("rb")), "application/octet-stream"))
                for name, path in files
            ]
            response = self._send(
                "POST", f"/knowledge-bases/{knowledge_base_id}/documents", files=parts, headers=headers
            )
        return msgspec.json.decode(response.content, type=Accepted)

    def search(self, knowledge_base_id: str, query: str, *, mode: str = "hybrid", top_k: int = 5) -> Found:
        body = {"query": query, "mode": mode, "top_k": top_k}
        response = self._send("POST", f"/knowledge-bases/{knowledge_base_id}/search", json=body)
        return msgspec.json.decode(response.content, type=Found)

    def tasks(self, *, limit: int = 50) -> tuple[TaskStatus, ...]:
        response = self._send("GET", "/tasks", params={"limit": limit})
        page = msgspec.json.decode(response.content, type=Page)
        return tuple(msgspec.json.decode(row, type=TaskStatus) for row in page.data)

    def task(self, task_id: str) -> TaskStatus:
        return msgspec.json.decode(self._send("GET", f"/tasks/{task_id}").content, type=TaskStatus)

    def answer(self, path: str, **params: str) -> bytes:
        """What GET answers."""
        return self._send("GET", path, params=params).content

    def task_documents(self, task_id: str) -> tuple[DocumentStatus, ...]:
        return self._list(f"/tasks/{task_id}/documents", DocumentStatus, {})

    def cancel_task(self, task_id: str, *, reason: str = "") -> Accepted:
        response = self._send("POST", f"/tasks/{task_id}/cancel", json={"reason": reason})
        return msgspec.json.decode(response.content, type=Accepted)

    def retry_task(
        self,
        task_id: str,
        *,
        from_step: str | None = None,
        cancelled: bool = False,
        idempotency_key: str | None = None,
    ) -> Accepted:
        """A new task for its failed documents, with `cancelled` for those that were given up too."""
        params = {**({"from": from_step} if from_step else {}), **({"cancelled": "true"} if cancelled else {})}
        headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
        response = self._send("POST", f"/tasks/{task_id}/retry", params=params, headers=headers)
        return msgspec.json.decode(response.content, type=Accepted)

    def reprocess_document(
        self,
        knowledge_base_id: str,
        document_id: str,
        *,
        from_step: str | None = None,
        idempotency_key: str | None = None,
    ) -> Accepted:
        path = f"/knowledge-bases/{knowledge_base_id}/documents/{document_id}/reprocess"
        headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
        body = {"from_step": from_step} if from_step else {}
        return msgspec.json.decode(self._send("POST", path, json=body, headers=headers).content, type=Accepted)

    def dead_letters(self, **query: str) -> tuple[DeadLetter, ...]:
        """All of them, the last failure first; `query` may name code, step, knowledge_base (its id) and since."""
        return self._list("/dead-letters", DeadLetter, query)

    def retry_dead_letters(self, *, from_step: str | None = None, dry_run: bool = False, **query: str) -> Retried:
        body = {**query, "dry_run": dry_run, **({"from_step": from_step} if from_step else {})}
        return msgspec.json.decode(self._send("POST", "/dead-letters/retry", json=body).content, type=Retried)

    def delete_dead_letter(self, document_id: str) -> None:
        """The document with everything that is stored of it, which goes on behind the answer."""
        self._send("DELETE", f"/dead-letters/{document_id}")

    def watch(self, task_id: str) -> Iterator[TaskNews]:
        """A task's changes until it ends, over SSE; a lost connection is taken up again where it broke off."""
        last_event_id = ""
        for attempt in range(RECONNECTS_MAX + 1):
            try:
                headers = {"Last-Event-ID": last_event_id} if last_event_id else {}
                timeout = httpx.Timeout(STREAM_SILENCE_S_MAX, connect=5.0)
                path = f"/tasks/{task_id}/stream"
                with httpx_sse.connect_sse(self._http, "GET", path, headers=headers, timeout=timeout) as source:
                    self._raise_for_problem(source.response)
                    for event in source.iter_sse():
                        last_event_id = event.id or last_event_id
                        news = _news(event)
                        if news is not None:
                            yield news
                        if isinstance(news, TaskEnded):
                            return
            except (httpx.TransportError, httpx_sse.SSEError) as error:
                if attempt == RECONNECTS_MAX:
                    raise self._unreachable(error) from None
        raise Stop(f"the stream of {task_id} kept ending early", exit_code=ExitCode.UNREACHABLE)

    def _list(self, path: str, row_type: type[U], params: dict[str, str]) -> tuple[U, ...]:
        rows: list[U] = []
        cursor: str | None = None
        while True:
            query = {**params, "limit": "200", **({"cursor": cursor} if cursor else {})}
            page = msgspec.json.decode(self._send("GET", path, params=query).content, type=Page)
            rows.extend(msgspec.json.decode(row, type=row_type) for row in page.data)
            cursor = page.next_cursor
            if cursor is None:
                return tuple(rows)

    def _send(self, method: str, path: str, **options: Any) -> httpx.Response:
        try:
            response = self._http.request(method, path, **options)
        except httpx.TransportError as error:
            raise self._unreachable(error) from None
        self._raise_for_problem(response)
        return response

    def _raise_for_problem(self, response: httpx.Response) -> None:
        if response.status_code < 400:
            return
        response.read()
        try:
            problem = msgspec.json.decode(response.content, type=_Problem)
        except msgspec.DecodeError:
            problem = _Problem(title=f"HTTP {response.status_code}")
        raise Stop(
            problem.detail or problem.title,
            hint=f"{problem.code}, request {problem.request_id}" if problem.code else "",
            exit_code=ExitCode.UNREACHABLE if response.status_code == 503 else ExitCode.FAILED_WORK,
        )

    def _unreachable(self, error: Exception) -> Stop:
        return Stop(
            f"no server answers at {self._url} ({type(error).__name__})",
            hint="start one with `millstream up`, or name another with --url or MILLSTREAM_URL",
            exit_code=ExitCode.UNREACHABLE,
        )


def _news(event: httpx_sse.ServerSentEvent) -> TaskNews | None:
    match event.event:
        case "status":
            return TaskChanged(msgspec.json.decode(event.data, type=TaskStatus))
        case "document":
            return DocumentChanged(msgspec.json.decode(event.data, type=DocumentStatus))
        case "end":
            return TaskEnded()
        case _:
            return None
