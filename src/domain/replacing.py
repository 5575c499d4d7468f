"""What a document replaces goes in the very append that makes the document searchable.

So there is no moment at which a process could die between the two, and none at which neither is there. Until then the
old document serves as it did; where the new one fails or is cancelled nothing has happened to it.
"""

from typing import Final

from domain.commands import RemoveDocument
from domain.deciders import DOCUMENT
from domain.document import DocumentState, Erased, Open, Reached, Record, Removed, Skipped, Unknown, record_of
from domain.handle import Context, load, prepare
from events.ids import DocumentId
from events.log import EventLog, Write

CHAIN_DOCUMENTS_MAX: Final = 1_000
"""Documents that were to replace one another, none of them searchable yet: each came in while the one before was being
worked on. What lies behind so many goes when one of them becomes searchable."""

REASON: Final = "replaced by a newer upload of the same bytes"


async def removals_of(log: EventLog, replaced: DocumentId, context: Context) -> list[Write]:
    """Removes what lives of a document and of those that it was to replace. Raises what the log raises.

    The chain ends at a document that was searchable once: it took those before it away. One that failed or was
    cancelled stays as it is, and those that it was to replace go.
    """
    writes: list[Write] = []
    following: DocumentId | None = replaced
    for _ in range(CHAIN_DOCUMENTS_MAX):
        if following is None:
            break
        known = await load(log, DOCUMENT, following)
        if isinstance(known.state, Reached):
            removed = prepare(DOCUMENT, following, known, [RemoveDocument(reason=REASON)], context)
            if removed.write is not None:
                writes.append(removed.write)
        record = _record_of(known.state)
        following = None if record is None or record.serving is not None else record.about.replaces
    return writes


def replaced_by(state: DocumentState) -> DocumentId | None:
    """What goes when this document becomes searchable; once it was, what it replaced is gone."""
    if not isinstance(state, Open):
        return None
    return state.record.about.replaces if state.record.serving is None else None


def _record_of(state: DocumentState) -> Record | None:
    match state:
        case Unknown() | Skipped():
            return None
        case Removed() | Erased():
            return _record_of(state.before)
        case _:
            return record_of(state)
