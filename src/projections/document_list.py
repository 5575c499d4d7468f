"""One page of a knowledge base's documents, the newest first: read from one list, the rest asked of the rows."""

from typing import Final

import msgspec

from projections.document_filter import DocumentFilter
from projections.projection import DOCUMENTS
from projections.rows import DOCUMENT_PROJECTION
from projections.views import IndexedRow, ViewStore

SCAN_ROWS: Final = 500
"""Rows read at a time where many may not be meant: about 1 MB."""

SCAN_ROWS_MAX: Final = 5_000
"""Rows looked at for one page, about 50 ms; where they were not enough, the page is short and its cursor goes on."""


class DocumentPage(msgspec.Struct, frozen=True):
    """`place` is where the next page begins, None behind the last; `total` is None where only a scan could tell."""

    rows: tuple[IndexedRow, ...]
    total: int | None
    place: str | None


async def read_page(
    views: ViewStore, partition: int, index: str, wanted: DocumentFilter, *, after: str | None, limit: int
) -> DocumentPage:
    """Members never move, so what is in the list all along is met once, however many pages it takes."""
    is_exact = wanted.is_answered_by_its_list
    rows_at_once = limit + 1 if is_exact else SCAN_ROWS
    place = wanted.ceiling if after is None else after
    found: list[IndexedRow] = []
    seen = 0
    while True:
        page = await views.page(
            partition, index, DOCUMENTS, after=place, limit=rows_at_once, newest_first=True, floor=wanted.floor
        )
        found += (row for row in page.rows if is_exact or _is_wanted(row, wanted))
        seen += len(page.rows)
        if len(found) > limit or len(page.rows) < rows_at_once or seen >= SCAN_ROWS_MAX:
            break
        place = page.rows[-1].member
    total = page.total if is_exact and wanted.until_us is None else None
    if len(found) > limit:
        return DocumentPage(tuple(found[:limit]), total, found[limit - 1].member)
    is_end = len(page.rows) < rows_at_once
    return DocumentPage(tuple(found), total, None if is_end else page.rows[-1].member)


def _is_wanted(row: IndexedRow, wanted: DocumentFilter) -> bool:
    return wanted.accepts(DOCUMENT_PROJECTION.decode(row.payload).folded.state)
