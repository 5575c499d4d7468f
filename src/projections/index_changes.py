"""What changed rows mean to the lists: pure, and the same whether they changed in one page or in many."""

from collections.abc import Iterable, Mapping

from projections.projection import IndexEntry, RowKey
from projections.rows import Row, entries_of
from projections.views import IndexChange


def index_changes(before: Mapping[RowKey, Row | None], after: Mapping[RowKey, Row | None]) -> tuple[IndexChange, ...]:
    """The members that leave and enter each list, where rows became others; None for a row that is not there."""
    changes: dict[str, tuple[list[str], list[str]]] = {}
    for key, row in after.items():
        was, now = entries_of(key, before.get(key)), entries_of(key, row)
        if was == now:
            continue
        entered: Iterable[IndexEntry] = now
        if was:
            stood, stands = set(was), set(now)
            for entry in was:
                if entry not in stands:
                    changes.setdefault(entry.index, ([], []))[0].append(entry.member)
            entered = [entry for entry in now if entry not in stood]
        for entry in entered:
            known = changes.get(entry.index)
            if known is None:
                known = changes[entry.index] = ([], [])
            known[1].append(entry.member)
    return tuple(IndexChange(index, tuple(left), tuple(come)) for index, (left, come) in changes.items())
