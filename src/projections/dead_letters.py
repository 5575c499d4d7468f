"""Dead letters as the views have them: what failed, by knowledge base, code and step, in the order of the failures."""

from collections.abc import AsyncIterator

from domain.access import Bound
from domain.dead_letters import DeadLetter, DeadLetterQuery, dead_letter_of
from events.ids import DocumentId
from projections.documents import dead_letters_index
from projections.on_demand import gathered
from projections.projection import DOCUMENTS, member, row_id_of
from projections.queries import Queries
from projections.rows import DOCUMENT_PROJECTION
from projections.views import PAGE_ROWS_MAX, IndexedRow, ViewStore


async def places_of(queries: Queries, query: DeadLetterQuery, bound: Bound = None) -> list[tuple[int, DeadLetterQuery]]:
    """Which partitions to ask for what. Raises Refused for an unknown knowledge base that is asked for, InvalidId."""
    if query.knowledge_base_id is None and bound is None:
        return [(partition, query) for partition in range(queries.partitions)]
    asked = query.within(bound)
    if query.knowledge_base_id is not None:
        await gathered([one.knowledge_base_id for one in asked if one.knowledge_base_id], queries.knowledge_base)
    return [(queries.partition_of(one.knowledge_base_id), one) for one in asked if one.knowledge_base_id]


def floor_of(query: DeadLetterQuery) -> str | None:
    """The least member of a list that a query takes."""
    return None if query.since_us is None else member(max(query.since_us, 0), "")


def shown(row: IndexedRow) -> DeadLetter | None:
    """What a client sees of a member of a list."""
    return dead_letter_of(DocumentId(row_id_of(row.member)), DOCUMENT_PROJECTION.decode(row.payload).folded.state)


async def every_dead_letter(
    queries: Queries, views: ViewStore, query: DeadLetterQuery, bound: Bound = None
) -> AsyncIterator[DeadLetter]:
    """All that the query means, partition by partition, the oldest first; those that leave meanwhile may be left out.

    Raises Refused for an unknown knowledge base, InvalidId, and what the store raises.
    """
    floor = floor_of(query)
    for partition, asked in await places_of(queries, query, bound):
        index = dead_letters_index(asked)
        after: str | None = None
        while True:
            page = await views.page(
                partition, index, DOCUMENTS, after=after, limit=PAGE_ROWS_MAX, newest_first=False, floor=floor
            )
            for row in page.rows:
                found = shown(row)
                if found is not None:
                    yield found
            if len(page.rows) < PAGE_ROWS_MAX:
                break
            after = page.rows[-1].member
