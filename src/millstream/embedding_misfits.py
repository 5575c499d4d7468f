"""Knowledge bases whose vectors the present settings cannot make a query for: told at start and by the doctor."""

import msgspec
import structlog

from domain.knowledge_base_status import KnowledgeBaseStatus
from events.errors import LogError
from events.ids import KnowledgeBaseId
from knowledge.errors import EmbeddingError
from millstream.embeddings import Embeddings
from processors.embedder_for import embedding_of
from projections.lists import LIMIT_MAX, Lists

_log = structlog.get_logger()


class Misfit(msgspec.Struct, frozen=True):
    """A knowledge base that can be searched by words alone, and why."""

    knowledge_base_id: KnowledgeBaseId
    name: str
    reason: str


async def misfits(lists: Lists, embeddings: Embeddings) -> list[Misfit]:
    """Newest first. Raises what log and views raise."""
    found: list[Misfit] = []
    cursor = None
    while True:
        page = await lists.knowledge_bases(limit=LIMIT_MAX, cursor=cursor)
        found += [one for status in page.data if (one := _misfit(status, embeddings)) is not None]
        cursor = page.next_cursor
        if cursor is None:
            return found


async def tell_of_misfits(lists: Lists, embeddings: Embeddings) -> None:
    """One warning each: the service works, and their searches say what is wrong."""
    try:
        found = await misfits(lists, embeddings)
    except LogError as error:
        _log.warning("misfits_not_looked_for", error=repr(error))
        return
    for one in found:
        _log.warning("embedding_does_not_fit", knowledge_base=one.knowledge_base_id, name=one.name, reason=one.reason)


def _misfit(status: KnowledgeBaseStatus, embeddings: Embeddings) -> Misfit | None:
    try:
        embeddings.by(embedding_of(status.settings))
    except EmbeddingError as error:
        return Misfit(status.knowledge_base_id, status.name, error.message)
    return None
