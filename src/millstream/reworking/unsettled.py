"""Which knowledge bases have documents to be brought into another index, and that somebody does it."""

from datetime import UTC, datetime, timedelta
from typing import Final

import structlog

from domain.errors import Refused
from domain.knowledge_base_status import KnowledgeBaseStatus
from millstream.reworking.reindex import Reindexing
from projections.lists import LIMIT_MAX, Lists

UNSETTLED_FOR: Final = timedelta(hours=1)
"""How long behind a switch, or a giving up, stragglers are looked for: an attempt takes an hour at most."""

ACTOR: Final = "upkeep"

_log = structlog.get_logger()


async def bring_all_on(lists: Lists, reindexing: Reindexing) -> None:
    """One look at each knowledge base that is not settled. Raises Contention, and what log and views raise."""
    now, cursor = datetime.now(UTC), None
    while True:
        page = await lists.knowledge_bases(limit=LIMIT_MAX, cursor=cursor)
        for status in page.data:
            if _is_unsettled(status, now):
                await _bring_on(reindexing, status)
        cursor = page.next_cursor
        if cursor is None:
            return


async def _bring_on(reindexing: Reindexing, status: KnowledgeBaseStatus) -> None:
    try:
        found = await reindexing.advance(status.knowledge_base_id, ACTOR)
    except Refused as refused:  # deleted meanwhile
        _log.info("reindexing_ended", knowledge_base=status.knowledge_base_id, code=refused.code.value)
        return
    if found.tasks or found.building != status.index_generation_building:
        _log.info(
            "reindexing_brought_on",
            knowledge_base=status.knowledge_base_id,
            generation=found.generation,
            building=found.building,
            tasks=len(found.tasks),
        )


def _is_unsettled(status: KnowledgeBaseStatus, now: datetime) -> bool:
    if status.index_generation_building is not None:
        return True
    return status.index_switched_at is not None and now - status.index_switched_at < UNSETTLED_FOR
