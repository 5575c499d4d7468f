"""A typed client over HTTP; the command line itself uses it.

Structs of answers are in `client_answers`, the connection in `client_http`; a larger area of the API has a file of its
own over the same connection.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import httpx_sse
import msgspec

from domain.dead_letters import DeadLetter
from domain.knowledge_base_status import KnowledgeBaseStatus
from domain.status import DocumentStatus, TaskStatus
from millstream.client_answers import (
    Accepted,
    ChunkPreview,
    DocumentChanged,
    Found,
    Retried,
    TaskChanged,
    TaskEnded,
    TaskNews,
)
from millstream.client_forms import send_form
from millstream.client_http import Http, Page
from millstream.client_questions import Answered, AnswerNews, asked_at, streamed_answer, whole_answer
from millstream.client_uploads import OnProgress, ResumableUpload, Uploaded
from millstream.errors import ExitCode, Stop

RECONNECTS_MAX = 20

UploadOptions = msgspec.Struct | Mapping[str, Any]
"""As the part `options` of an upload says it: metadata, lane, on_duplicate, callback_url, not_before."""


class Client:
    """Speaks to one server. Every call raises Stop: exit code 3 where it cannot be reached, 1 where it refuses."""

    def __init__(self, url: str, *, api_key: str | None = None) -> None:
        self.http = Http(url, api_key=api_key)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.http.close()

    def create_knowledge_base(self, name: str, *, idempotency_key: str | None = None) -> KnowledgeBaseStatus:
        body = {"name": name}
        return self.http.post("/knowledge-bases", KnowledgeBaseStatus, json=body, idempotency_key=idempotency_key)

    def knowledge_bases(self, *, name: str | None = None) -> tuple[KnowledgeBaseStatus, ...]:
        return self.http.listed("/knowledge-bases", KnowledgeBaseStatus, {"name": name} if name else {})

    def knowledge_base(self, id_or_name: str) -> KnowledgeBaseStatus:
        """By id, or by name; raises Stop where there is none or more than one."""
        if is_knowledge_base_id(id_or_name):
            return self.http.get(f"/knowledge-bases/{id_or_name}", KnowledgeBaseStatus)
        return the_one_named(id_or_name, self.knowledge_bases(name=id_or_name))

    def upload(
        self,
        knowledge_base_id: str,
        files: Sequence[tuple[str, Path]],
        *,
        options: UploadOptions | None = None,
        idempotency_key: str | None = None,
        on_sent: Callable[[int], None] | None = None,
    ) -> Accepted:
        """Sends files (name to show, path) as one task; they are streamed, never held in memory.

        `on_sent` is told the bytes of all files so far.
        """
        path = f"/knowledge-bases/{knowledge_base_id}/documents"
        return send_form(self.http, path, files, options=options, idempotency_key=idempotency_key, on_sent=on_sent)

    def upload_resumable(
        self,
        knowledge_base_id: str,
        path: Path,
        *,
        filename: str | None = None,
        options: UploadOptions | None = None,
        resume_url: str | None = None,
        on_url: Callable[[str], None] = lambda _url: None,
        on_progress: OnProgress = lambda _sent, _all: None,
    ) -> Uploaded:
        """Sends one file by tus, through broken lines and restarts of the server. `options` as in `upload`'s form.

        `on_url` is told where the upload is: with that as `resume_url` another process goes on where this one stopped.
        """
        metadata = {"knowledge_base": knowledge_base_id, "filename": filename or path.name}
        if options is not None:
            metadata["options"] = msgspec.json.encode(options).decode()
        return ResumableUpload(
            self.http, path, metadata, resume_url=resume_url, on_url=on_url, on_progress=on_progress
        ).run()

    def import_urls(
        self,
        knowledge_base_id: str,
        urls: Sequence[str],
        *,
        options: UploadOptions | None = None,
        idempotency_key: str | None = None,
    ) -> Accepted:
        """One task for addresses that the server fetches itself."""
        return self._import(knowledge_base_id, {"urls": urls}, options, idempotency_key)

    def import_objects(
        self,
        knowledge_base_id: str,
        keys: Sequence[str],
        *,
        options: UploadOptions | None = None,
        idempotency_key: str | None = None,
    ) -> Accepted:
        """One task for objects of the bucket that the server may import from."""
        return self._import(knowledge_base_id, {"objects": keys}, options, idempotency_key)

    def import_text(
        self,
        knowledge_base_id: str,
        text: str,
        *,
        filename: str | None = None,
        options: UploadOptions | None = None,
        idempotency_key: str | None = None,
    ) -> Accepted:
        """One task for a text that is part of the request."""
        named = {"filename": filename} if filename else {}
        return self._import(knowledge_base_id, {"text": text, **named}, options, idempotency_key)

    def _import(
        self, knowledge_base_id: str, what: Mapping[str, Any], options: UploadOptions | None, key: str | None
    ) -> Accepted:
        body = {**what, **({} if options is None else {"options": options})}
        path = f"/knowledge-bases/{knowledge_base_id}/documents/import"
        content = msgspec.json.encode(body)
        return self.http.post(path, Accepted, content=content, idempotency_key=key)

    def search(
        self,
        knowledge_base_ids: str | Sequence[str],
        query: str,
        *,
        mode: str = "hybrid",
        top_k: int = 5,
        **options: Any,
    ) -> Found:
        """In one knowledge base, or in several. `options` are further members of the request: profile, neighbours,
        min_score, filters, rerank and so on."""
        path, named = asked_at(knowledge_base_ids, "search")
        return self.http.post(path, Found, json={**named, "query": query, "mode": mode, "top_k": top_k, **options})

    def ask(self, knowledge_base_ids: str | Sequence[str], question: str, **options: Any) -> Answered:
        """The whole answer out of one knowledge base, or several; `options` are further members of the request: top_k,
        profile, filters, language."""
        return whole_answer(self.http, knowledge_base_ids, question, options)

    def ask_streamed(
        self, knowledge_base_ids: str | Sequence[str], question: str, **options: Any
    ) -> Iterator[AnswerNews]:
        """The same as it is written: words, then what they cite, then how it ended."""
        return streamed_answer(self.http, knowledge_base_ids, question, options)

    def preview_chunks(self, knowledge_base_id: str, **asked: Any) -> ChunkPreview:
        """How a `text` or the document of a `document_id` would be cut with `settings`; nothing is stored."""
        return self.http.post(f"/knowledge-bases/{knowledge_base_id}/chunk-preview", ChunkPreview, json=asked)

    def tasks(self, *, limit: int = 50) -> tuple[TaskStatus, ...]:
        page = self.http.get("/tasks", Page, params={"limit": limit})
        return tuple(msgspec.json.decode(row, type=TaskStatus) for row in page.data)

    def task(self, task_id: str) -> TaskStatus:
        return self.http.get(f"/tasks/{task_id}", TaskStatus)

    def answer(self, path: str, **params: str) -> bytes:
        """What GET answers."""
        return self.http.send("GET", path, params=params).content

    def task_documents(self, task_id: str) -> tuple[DocumentStatus, ...]:
        return self.http.listed(f"/tasks/{task_id}/documents", DocumentStatus, {})

    def cancel_task(self, task_id: str, *, reason: str = "") -> Accepted:
        return self.http.post(f"/tasks/{task_id}/cancel", Accepted, json={"reason": reason})

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
        return self.http.post(f"/tasks/{task_id}/retry", Accepted, params=params, idempotency_key=idempotency_key)

    def reprocess_document(
        self,
        knowledge_base_id: str,
        document_id: str,
        *,
        from_step: str | None = None,
        settings: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
    ) -> Accepted:
        """`settings` are its own from now on; empty: those of the knowledge base; None: as before."""
        path = f"/knowledge-bases/{knowledge_base_id}/documents/{document_id}/reprocess"
        body: dict[str, Any] = {"from_step": from_step} if from_step else {}
        body |= {} if settings is None else {"settings": dict(settings)}
        return self.http.post(path, Accepted, json=body, idempotency_key=idempotency_key)

    def dead_letters(self, **query: str) -> tuple[DeadLetter, ...]:
        """All of them, the last failure first; `query` may name code, step, knowledge_base (its id) and since."""
        return self.http.listed("/dead-letters", DeadLetter, query)

    def retry_dead_letters(self, *, from_step: str | None = None, dry_run: bool = False, **query: str) -> Retried:
        body = {**query, "dry_run": dry_run, **({"from_step": from_step} if from_step else {})}
        return self.http.post("/dead-letters/retry", Retried, json=body)

    def delete_dead_letter(self, document_id: str) -> None:
        """The document with everything that is stored of it, which goes on behind the answer."""
        self.http.send("DELETE", f"/dead-letters/{document_id}")

    def watch(self, task_id: str) -> Iterator[TaskNews]:
        """A task's changes until it ends, over SSE; a lost connection is taken up again where it broke off."""
        last_event_id = ""
        for attempt in range(RECONNECTS_MAX + 1):
            try:
                headers = {"Last-Event-ID": last_event_id} if last_event_id else {}
                with self.http.stream(f"/tasks/{task_id}/stream", headers) as source:
                    for event in source.iter_sse():
                        last_event_id = event.id or last_event_id
                        news = _news(event)
                        if news is not None:
                            yield news
                        if isinstance(news, TaskEnded):
                            return
            except (httpx.TransportError, httpx_sse.SSEError) as error:
                if attempt == RECONNECTS_MAX:
                    raise self.http.unreachable(error) from None
        raise Stop(f"the stream of {task_id} kept ending early", exit_code=ExitCode.UNREACHABLE)


def is_knowledge_base_id(id_or_name: str) -> bool:
    """Whether it has the form of an id."""
    return id_or_name.startswith("kb_") and len(id_or_name) == len("kb_") + 34


def the_one_named(name: str, found: Sequence[KnowledgeBaseStatus]) -> KnowledgeBaseStatus:
    """Of those of a name. Raises Stop where there is none or more than one."""
    if len(found) == 1:
        return found[0]
    if not found:
        raise Stop(f"there is no knowledge base named {name!r}", hint="`millstream ingest` makes one")
    ids = ", ".join(one.knowledge_base_id for one in found)
    raise Stop(f"several knowledge bases are named {name!r}", hint=f"name one by its id: {ids}")


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
