"""The calls of the API that tools are made of: whoever asks by a tool is admitted, counted and refused like anybody."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeVar
from urllib.parse import quote

import msgspec

from domain.knowledge_base_status import KnowledgeBaseStatus
from domain.status import DocumentStatus, TaskStatus
from knowledge.retriever import SCOPES_MAX
from knowledge.search import SearchResult
from millstream.client import is_knowledge_base_id
from millstream.client_async import AsyncHttp
from millstream.client_http import Page
from millstream.client_questions import ANSWER_SILENCE_S_MAX
from millstream.errors import Stop
from millstream.mcp.results import Accepted, Answer
from millstream.reading.routes import DocumentText
from millstream.reading.shown import ChunkRead

T = TypeVar("T")

LIST_THEM: Final = "list_knowledge_bases tells which there are"


class Rows(msgspec.Struct, frozen=True):
    """One page of a listing, its rows undecoded."""

    data: list[msgspec.Raw]
    next_cursor: str | None

    def of(self, row_type: type[T]) -> tuple[T, ...]:
        return tuple(msgspec.json.decode(row, type=row_type) for row in self.data)


class Calls:
    """With one caller's key. Every call raises Stop: Refused and Unreachable among it."""

    def __init__(self, http: AsyncHttp) -> None:
        self._http = http

    async def knowledge_base_id(self, id_or_name: str) -> str:
        """Raises Stop where none has the name, or several have."""
        if is_knowledge_base_id(id_or_name):
            return id_or_name
        found = (await self.page("/knowledge-bases", name=id_or_name)).of(KnowledgeBaseStatus)
        if len(found) != 1:
            how_many = "no knowledge base is" if not found else "several knowledge bases are"
            raise Stop(f"{how_many} named {id_or_name!r}", hint=f"{LIST_THEM}; give an id")
        return found[0].knowledge_base_id

    async def knowledge_base_ids(self, named: Sequence[str]) -> list[str]:
        """Each once; all that the caller may see where none is named. Raises Stop where those are none or too many."""
        if named:
            return list(dict.fromkeys([await self.knowledge_base_id(one) for one in named]))
        page = await self.page("/knowledge-bases", limit=SCOPES_MAX)
        if page.next_cursor is not None:
            raise Stop(f"there are more than {SCOPES_MAX} knowledge bases", hint=f"name those to look in; {LIST_THEM}")
        if not page.data:
            raise Stop("there is no knowledge base to look in")
        return [one.knowledge_base_id for one in page.of(KnowledgeBaseStatus)]

    async def page(self, path: str, **params: Any) -> Rows:
        given = {name: value for name, value in params.items() if value is not None}
        page = await self._http.get(path, Page, params=given)
        return Rows(page.data, page.next_cursor)

    async def documents(self, knowledge_base: str, **params: Any) -> Rows:
        return await self.page(_path("knowledge-bases", knowledge_base, "documents"), **params)

    async def search(self, body: Mapping[str, Any]) -> SearchResult:
        return await self._http.post("/search", SearchResult, body)

    async def text(self, knowledge_base: str, document_id: str, **params: Any) -> DocumentText:
        path = _path("knowledge-bases", knowledge_base, "documents", document_id, "text")
        return await self._http.get(path, DocumentText, params=params)

    async def chunk(self, knowledge_base: str, document_id: str, chunk_id: str, *, neighbours: int) -> ChunkRead:
        path = _path("knowledge-bases", knowledge_base, "documents", document_id, "chunks", chunk_id)
        return await self._http.get(path, ChunkRead, params={"neighbours": neighbours})

    async def import_documents(
        self, knowledge_base: str, body: Mapping[str, Any], idempotency_key: str | None
    ) -> Accepted:
        path = _path("knowledge-bases", knowledge_base, "documents", "import")
        return await self._http.post(path, Accepted, body, idempotency_key=idempotency_key)

    async def task(self, task_id: str) -> TaskStatus:
        return await self._http.get(_path("tasks", task_id), TaskStatus)

    async def task_after(self, known: TaskStatus, wait_s: int) -> TaskStatus | None:
        """Its next state; None where nothing happens meanwhile, or the service stops."""
        headers = {"If-None-Match": f'"{known.version}"'}
        answer = await self._http.send("GET", _path("tasks", known.task_id), params={"wait": wait_s}, headers=headers)
        return msgspec.json.decode(answer.content, type=TaskStatus) if answer.content else None

    async def task_documents(self, task_id: str, limit: int) -> tuple[DocumentStatus, ...]:
        return (await self.page(_path("tasks", task_id, "documents"), limit=limit)).of(DocumentStatus)

    async def ask(self, body: Mapping[str, Any]) -> Answer:
        return await self._http.post("/answers", Answer, body, timeout=ANSWER_SILENCE_S_MAX)


def _path(*segments: str) -> str:
    """Ids are what a model says: none leads out of its place."""
    return "".join(f"/{quote(segment, safe='')}" for segment in segments)
