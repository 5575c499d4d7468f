"""What changed rows mean to the lists: pure, and the same whether they changed in one page or in many."""

from collections.abc import Mapping

from projections.projection import RowKey
from projections.rows import Row, entries_of
from projections.views import IndexChange


def index_changes(before: Mapping[RowKey, Row | None], after: Mapping[RowKey, Row | None]) -> tuple[IndexChange, ...]:
    """The members that leave and enter each list, where rows became others; None for a row that is not there."""
    changes: dict[str, tuple[list[str], list[str]]] = {}
    for key, row in after.items():
        was, now = entries_of(key, before.get(key)), entries_of(key, row)
        if was == now:
            continue
        stood, stands = set(was), set(now) if was else ()
        for place, entries, others in ((0, was, stands), (1, now, stood)):
            for entry in entries:
                if entry not in others:
                    changes.setdefault(entry.index, ([], []))[place].append(entry.member)
    return tuple(IndexChange(index, tuple(left), tuple(entered)) for index, (left, entered) in changes.items())
