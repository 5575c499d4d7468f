"""Which documents of a knowledge base are meant."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Annotated

import msgspec
from msgspec import Meta

from domain.instant import EPOCH
from domain.status import DocumentPhase, DocumentStatus
from events.ids import KnowledgeBaseId
from ingest.body import refuse_nul
from ingest.options import GivenValue, MetadataKey
from projections.document_filter import METADATA_FILTERS_MAX, DocumentFilter
from projections.documents import metadata_text
from projections.lists import LIMIT_MAX, Lists
from projections.parameters import NAME_CHARACTERS_MAX

Instant = Annotated[datetime, Meta(tz=True)]


class WhereBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that is given must hold; nothing given is all documents. As the parameters of the list of documents:
    `q` is a part of the filename, times are those of acceptance, `until` is left out itself."""

    status: DocumentPhase | None = None
    q: Annotated[str, Meta(min_length=1, max_length=NAME_CHARACTERS_MAX)] | None = None
    metadata: Annotated[dict[MetadataKey, GivenValue], Meta(max_length=METADATA_FILTERS_MAX)] = {}
    since: Instant | None = None
    until: Instant | None = None

    def filter(self) -> DocumentFilter:
        """Raises Rejected."""
        for key, value in self.metadata.items():
            refuse_nul(key, "/where/metadata")
            refuse_nul(value, "/where/metadata")
        return DocumentFilter(
            phase=self.status,
            name_part=self.q,
            metadata=tuple(sorted((key, metadata_text(value)) for key, value in self.metadata.items())),
            since_us=_us(self.since),
            until_us=_us(self.until),
        )


async def documents_where(
    lists: Lists, knowledge_base: KnowledgeBaseId, wanted: DocumentFilter
) -> AsyncIterator[DocumentStatus]:
    """All of them, the newest first, as the views have them. Raises Refused, and what log and views raise."""
    cursor: str | None = None
    while True:
        page = await lists.documents(knowledge_base, wanted=wanted, limit=LIMIT_MAX, cursor=cursor)
        for status in page.data:
            yield status
        cursor = page.next_cursor
        if cursor is None:
            return


def _us(moment: datetime | None) -> int | None:
    return None if moment is None else (moment - EPOCH) // timedelta(microseconds=1)
