"""What a key that is bound to knowledge bases asks for: an id of anything else is replaced by one that nobody has.

So the route itself answers as it answers for what does not exist, whatever it checks first. What has no id in the
address is looked at where it is used: bodies, lists, streams (`domain.access.principal_of`).
"""

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

from domain.access import Principal, principal_of, unknown_instead
from domain.errors import Refused
from events.errors import InvalidId
from events.ids import DocumentId, TaskId, parse_document_id, parse_knowledge_base_id, parse_task_id
from ingest.problems import ProblemCode, Rejected
from projections.queries import Queries

OwnerOf = Callable[[str], Awaitable[str | None]]
"""The knowledge base that something belongs to, by its id; None where there is none. Raises InvalidId."""

_QUERY: Final = "knowledge_base"


class Bounds:
    """`owners` by the name of the parameter in the path; a parameter without one leads nowhere for a bound key."""

    def __init__(self, owners: Mapping[str, OwnerOf]) -> None:
        self._owners = owners

    async def narrow(self, scope: MutableMapping[str, Any], principal: Principal) -> None:
        """Replaces foreign ids in path and query. Raises Rejected, and what the owners raise."""
        if principal.knowledge_bases is None:
            return
        params: dict[str, str] = scope["path_params"]
        scope["path_params"] = {name: await self._own(name, value, principal) for name, value in params.items()}
        scope["query_string"] = _narrowed_query(scope["query_string"], principal)

    async def _own(self, name: str, value: str, principal: Principal) -> str:
        if name not in self._owners:
            raise Rejected(ProblemCode.NOT_FOUND, "There is nothing with this id.")
        try:
            owner = await self._owners[name](value)
        except InvalidId:
            return value  # no id at all: the route says so to everybody
        return value if owner is None or principal.may_see(owner) else unknown_instead(value)


def own_or_unknown(scope: Mapping[str, Any], knowledge_base: str) -> str:
    """For ids in a body: the knowledge base, or one that nobody has in place of a foreign one."""
    try:
        parse_knowledge_base_id(knowledge_base)
    except InvalidId:
        return knowledge_base
    return knowledge_base if principal_of(scope).may_see(knowledge_base) else unknown_instead(knowledge_base)


def owners_by(queries: Queries) -> dict[str, OwnerOf]:
    """Of knowledge bases, tasks, documents and resumable uploads."""

    async def of_knowledge_base(value: str) -> str | None:
        return parse_knowledge_base_id(value)

    async def of_task(value: str) -> str | None:
        return await _known(queries.task, parse_task_id(value))

    async def of_document(value: str) -> str | None:
        return await _known(queries.document, parse_document_id(value))

    async def of_chunk(_value: str) -> str | None:
        return None  # it is looked for in its document, which is in the path too

    async def of_upload(_value: str) -> str | None:
        return None  # it is its actor's alone, which is asked for where it is used

    async def of_webhook(_value: str) -> str | None:
        return None  # it may be about several, each of which is looked at where it is used

    return {
        "kb_id": of_knowledge_base,
        "task_id": of_task,
        "document_id": of_document,
        "chunk_id": of_chunk,
        "upload_id": of_upload,
        "webhook_id": of_webhook,
        "delivery_id": of_webhook,
    }


async def _known(ask: Callable[[Any], Awaitable[Any]], one: TaskId | DocumentId) -> str | None:
    try:
        owner: str = (await ask(one)).knowledge_base_id
    except Refused:
        return None
    return owner


def _narrowed_query(query: bytes, principal: Principal) -> bytes:
    if _QUERY.encode() not in query:
        return query
    pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
    return urlencode(
        [(name, _own_query(value, principal) if name == _QUERY else value) for name, value in pairs]
    ).encode()


def _own_query(value: str, principal: Principal) -> str:
    try:
        return value if principal.may_see(parse_knowledge_base_id(value)) else unknown_instead(value)
    except InvalidId:
        return value
