"""HTTP of the knowledge side: search in one knowledge base or in several."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from knowledge.retriever import SCOPES_MAX, Retriever
from knowledge.search import SearchRequest, SearchScope

# Room for 2,000 characters of query and filters with thousands of values; more is no search.
BODY_BYTES_MAX = 256 * 1024

ResolveScope = Callable[[Request, str], Awaitable[SearchScope]]
ReadBody = Callable[[Request, int], Awaitable[bytes]]


class SearchManyRequest(SearchRequest, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A search over several knowledge bases."""

    knowledge_base_ids: Annotated[list[str], msgspec.Meta(min_length=1, max_length=SCOPES_MAX)]


_search_decoder = msgspec.json.Decoder(SearchRequest)
_search_many_decoder = msgspec.json.Decoder(SearchManyRequest)
_encoder = msgspec.json.Encoder()


def search_routes(retriever: Retriever, resolve_scope: ResolveScope, read_body: ReadBody) -> list[Route]:
    """The two search calls of the API.

    `resolve_scope(request, kb_id)` gives the live generation and its model, or raises what the caller may not see;
    `read_body(request, bytes_max)` gives the body of a request that may send one. Bodies that break a rule raise
    msgspec's DecodeError or ValidationError, UnicodeDecodeError, RecursionError, or InvalidSearch; problem documents
    are made by whoever mounts the routes.
    """

    async def search_one(request: Request) -> Response:
        search = _search_decoder.decode(await read_body(request, BODY_BYTES_MAX))
        scope = await resolve_scope(request, request.path_params["kb_id"])
        return _answer(await retriever.search([scope], search))

    async def search_many(request: Request) -> Response:
        search = _search_many_decoder.decode(await read_body(request, BODY_BYTES_MAX))
        scopes = await resolved(request, search.knowledge_base_ids, resolve_scope)
        return _answer(await retriever.search(scopes, search))

    return [
        Route("/api/v1/knowledge-bases/{kb_id}/search", search_one, methods=["POST"], name="search"),
        Route("/api/v1/search", search_many, methods=["POST"], name="search_many"),
    ]


async def resolved(
    request: Request, knowledge_base_ids: Sequence[str], resolve_scope: ResolveScope
) -> list[SearchScope]:
    """Each of them once, one after the other: the first that may not be searched ends it, with its own error."""
    return [await resolve_scope(request, kb_id) for kb_id in dict.fromkeys(knowledge_base_ids)]


def _answer(result: msgspec.Struct) -> Response:
    return Response(_encoder.encode(result), media_type="application/json")
