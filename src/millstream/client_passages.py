"""Searches of a running service for programs of other frameworks: whole passages, with and without an event loop."""

from collections.abc import Sequence
from typing import Any

import msgspec

from domain.knowledge_base_status import KnowledgeBaseStatus
from knowledge.search import SearchRequest, SearchResult
from millstream.client import is_knowledge_base_id, the_one_named
from millstream.client_async import async_http
from millstream.client_http import Http, Page
from millstream.client_url import default_url


class HttpPassages:
    """Knowledge bases are given by id or name; names are looked up once. Without `url` and `api_key` those of the
    command line hold. Raises Stop: Unreachable, Refused, or for a name that is none or not unique.

    Each search has a connection of its own: nothing has to be closed, and threads, event loops and processes that are
    forked may share one of these.
    """

    def __init__(self, knowledge_bases: str | Sequence[str], *, url: str | None = None, api_key: str | None = None):
        self._named = [knowledge_bases] if isinstance(knowledge_bases, str) else list(knowledge_bases)
        if not self._named:
            raise ValueError("name at least one knowledge base")
        self._url = url or default_url()
        self._api_key = api_key
        self._ids: dict[str, str] = {one: one for one in self._named if is_knowledge_base_id(one)}

    def search(self, request: SearchRequest) -> SearchResult:
        """The passages, best first."""
        http = Http(self._url, api_key=self._api_key)
        try:
            for name in self._unknown():
                found = http.listed("/knowledge-bases", KnowledgeBaseStatus, {"name": name})
                self._ids[name] = the_one_named(name, found).knowledge_base_id
            return http.post("/search", SearchResult, json=self._body(request))
        finally:
            http.close()

    async def search_async(self, request: SearchRequest) -> SearchResult:
        """The same without blocking the event loop."""
        async with async_http(self._url, self._api_key) as http:
            for name in self._unknown():
                page = await http.get("/knowledge-bases", Page, params={"name": name})
                found = [msgspec.json.decode(row, type=KnowledgeBaseStatus) for row in page.data]
                self._ids[name] = the_one_named(name, found).knowledge_base_id
            return await http.post("/search", SearchResult, self._body(request))

    def _unknown(self) -> list[str]:
        return [one for one in self._named if one not in self._ids]

    def _body(self, request: SearchRequest) -> dict[str, Any]:
        asked = msgspec.to_builtins(request)
        return {**asked, "knowledge_base_ids": list(dict.fromkeys(self._ids[one] for one in self._named))}
