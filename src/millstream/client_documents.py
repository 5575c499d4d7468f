"""Knowledge bases and their documents over the client's connection: reading, changing, working on them again."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from domain.knowledge_base_status import KnowledgeBaseStatus
from domain.status import DocumentStatus
from events.chunking import ChunkingSettings
from events.document import Metadata, MetadataValue
from millstream.client_answers import Accepted
from millstream.client_http import Http


class Chunk(msgspec.Struct, frozen=True, kw_only=True):
    """One chunk of a document; without `enabled` no search finds it."""

    chunk_id: str
    ordinal: int
    text: str
    page: int | None
    span: tuple[int, int]
    headings: tuple[str, ...]
    tokens: int
    enabled: bool
    edited: bool


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """What would change of the chunks of the documents that were compared; `is_complete`: of all of them."""

    documents: int
    is_complete: bool
    chunks_before: int
    chunks_after: int
    chunks_kept: int
    chunks_added: int
    chunks_removed: int
    vectors_reused: int
    chunks_embedded: int
    tokens_embedded: int
    edits_lost: int


class Reprocessed(msgspec.Struct, frozen=True, kw_only=True):
    """What is begun again, or with `dry_run` would be."""

    dry_run: bool
    documents: int
    by_status: dict[str, int]
    by_step: dict[str, int]
    left_out: int
    chunks_embedded_max: int | None
    tokens_embedded_max: int | None
    chunks_reused: int
    has_more: bool
    chunking: ChunkingSettings | None = None
    compared: Compared | None = None
    tasks: tuple[Accepted, ...] = ()


class Reindex(msgspec.Struct, frozen=True, kw_only=True):
    """How far another index is; `building` None: nothing is being built."""

    knowledge_base_id: str
    generation: int
    building: int | None
    documents: int
    done: int
    open: int
    waiting: int
    failed: int
    holding: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()


class KnowledgeBases:
    """Every call raises Stop, as those of `Client` do."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def create(
        self,
        name: str,
        *,
        description: str = "",
        settings: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
    ) -> KnowledgeBaseStatus:
        body = {"name": name, "description": description, "settings": dict(settings or {})}
        return self._http.post("/knowledge-bases", KnowledgeBaseStatus, json=body, idempotency_key=idempotency_key)

    def change(self, knowledge_base_id: str, **fields: Any) -> KnowledgeBaseStatus:
        """`fields` are name, description, settings and reindex; what is left out stays."""
        answer = self._http.send("PATCH", f"/knowledge-bases/{knowledge_base_id}", json=fields)
        return msgspec.json.decode(answer.content, type=KnowledgeBaseStatus)

    def delete(self, knowledge_base_id: str) -> None:
        """Erasing its documents goes on behind the answer."""
        self._http.send("DELETE", f"/knowledge-bases/{knowledge_base_id}")

    def reprocess(
        self,
        knowledge_base_id: str,
        *,
        where: Mapping[str, Any] | None = None,
        from_step: str = "parse",
        settings: Mapping[str, Any] | None = None,
        dry_run: bool = False,
        idempotency_key: str | None = None,
    ) -> Reprocessed:
        """`settings` are the documents' own from now on; empty: those of the knowledge base; None: as before."""
        body = {"where": dict(where or {}), "from_step": from_step, "dry_run": dry_run}
        body |= {} if settings is None else {"settings": dict(settings)}
        path = f"/knowledge-bases/{knowledge_base_id}/reprocess"
        return self._http.post(path, Reprocessed, json=body, idempotency_key=idempotency_key)

    def reindex(
        self,
        knowledge_base_id: str,
        *,
        settings: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
    ) -> Reindex:
        body = {"settings": dict(settings or {})}
        path = f"/knowledge-bases/{knowledge_base_id}/reindex"
        return self._http.post(path, Reindex, json=body, idempotency_key=idempotency_key)

    def reindexing(self, knowledge_base_id: str) -> Reindex:
        return self._http.get(f"/knowledge-bases/{knowledge_base_id}/reindex", Reindex)

    def abandon_reindex(self, knowledge_base_id: str) -> Reindex:
        answer = self._http.send("DELETE", f"/knowledge-bases/{knowledge_base_id}/reindex")
        return msgspec.json.decode(answer.content, type=Reindex)


class Documents:
    """Those of one knowledge base. Every call raises Stop, as those of `Client` do."""

    def __init__(self, http: Http, knowledge_base_id: str) -> None:
        self._http = http
        self._path = f"/knowledge-bases/{knowledge_base_id}/documents"

    def all(self, *, metadata: Mapping[str, MetadataValue] | None = None, **query: str) -> tuple[DocumentStatus, ...]:
        """Newest first; `query` may name status, q, since and until."""
        filters = {f"metadata.{key}": str(value) for key, value in (metadata or {}).items()}
        return self._http.listed(self._path, DocumentStatus, {**query, **filters})

    def get(self, document_id: str) -> DocumentStatus:
        return self._http.get(f"{self._path}/{document_id}", DocumentStatus)

    def change(
        self, document_id: str, *, metadata: Metadata | None = None, enabled: bool | None = None
    ) -> DocumentStatus:
        """What is left out stays; `metadata` takes the place of all that was said before."""
        given = {"metadata": metadata, "enabled": enabled}
        body = {name: value for name, value in given.items() if value is not None}
        answer = self._http.send("PATCH", f"{self._path}/{document_id}", json=body)
        return msgspec.json.decode(answer.content, type=DocumentStatus)

    def delete(self, document_id: str) -> None:
        self._http.send("DELETE", f"{self._path}/{document_id}")

    def content(self, document_id: str) -> Iterator[bytes]:
        """The original, a piece at a time. Raises Stop where it ends too early."""
        yield from self._http.pieces(f"{self._path}/{document_id}/content")

    def text(self, document_id: str, *, page: int | None = None) -> str:
        """The extracted text, whole or of one page."""
        params = {} if page is None else {"page": str(page)}
        headers = {"Accept": "text/plain"}
        return self._http.send("GET", f"{self._path}/{document_id}/text", params=params, headers=headers).text

    def chunks(self, document_id: str) -> tuple[Chunk, ...]:
        return self._http.listed(f"{self._path}/{document_id}/chunks", Chunk, {})

    def change_chunk(self, document_id: str, chunk_id: str, **fields: Any) -> Chunk:
        """`fields` are text (None: as it was cut) and enabled; what is left out stays."""
        answer = self._http.send("PATCH", f"{self._path}/{document_id}/chunks/{chunk_id}", json=fields)
        return msgspec.json.decode(answer.content, type=Chunk)
