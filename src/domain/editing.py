"""What persons change of a document and its chunks: decisions, and what becomes of the record."""

from typing import Final

from msgspec import UNSET
from msgspec.structs import replace

from domain import commands as c
from domain.document import (
    Cancelled,
    DocumentState,
    Edit,
    Erased,
    Failed,
    Indexed,
    Record,
    Removed,
    Skipped,
    Unknown,
    record_of,
)
from domain.errors import RefusalCode, Refused
from events import document as facts

EDITS_MAX: Final = 500
"""Edited chunks of a document. Their ids are part of an event when the chunks are lost: 17 of its 64 KiB."""

EDITED_CHARS_MAX: Final = 200_000
"""Characters of all edited texts of a document: they are part of its state, which is written with each change."""


def change_document(command: c.ChangeDocument, state: DocumentState) -> tuple[facts.DocumentChanged, ...]:
    """Raises Refused for a document that nothing can be said of any more."""
    match state:
        case Unknown():
            raise Refused(RefusalCode.UNKNOWN_DOCUMENT, "there is no document with this id")
        case Removed() | Erased():
            raise Refused(RefusalCode.DOCUMENT_REMOVED, "the document was deleted")
        case Skipped():
            raise Refused(RefusalCode.DOCUMENT_ENDED, f"a duplicate; change {state.duplicate_of} instead")
        case _:
            record = record_of(state)
    metadata = command.metadata if command.metadata != record.about.metadata else None
    enabled = command.enabled if command.enabled != record.enabled else None
    if metadata is None and enabled is None:
        return ()
    return (facts.DocumentChanged(metadata=metadata, enabled=enabled),)


def edit_chunk(command: c.EditChunk, state: DocumentState) -> tuple[facts.ChunkEdited, ...]:
    """Raises Refused for a document whose chunks are not at rest."""
    match state:
        case Unknown():
            raise Refused(RefusalCode.UNKNOWN_DOCUMENT, "there is no document with this id")
        case Removed() | Erased():
            raise Refused(RefusalCode.DOCUMENT_REMOVED, "the document was deleted")
        case Skipped():
            raise Refused(RefusalCode.DOCUMENT_ENDED, f"a duplicate; edit {state.duplicate_of} instead")
        case Failed() | Cancelled():
            raise Refused(RefusalCode.STEP_NOT_REACHED, "the document has not come to its end; begin it again first")
        case Indexed():
            return _edited(command, state.record)
        case _:
            raise Refused(RefusalCode.DOCUMENT_IN_PROGRESS, "the document is being worked on; its chunks may change")


def with_change(record: Record, event: facts.DocumentChanged) -> Record:
    """The record behind a change."""
    metadata = record.about.metadata if event.metadata is None else event.metadata
    return replace(
        record,
        about=replace(record.about, metadata=metadata),
        enabled=record.enabled if event.enabled is None else event.enabled,
        changes=record.changes + 1,
    )


def with_edit(record: Record, event: facts.ChunkEdited) -> Record:
    """The record behind an edit; what is again as it was cut is no edit any more."""
    others = tuple(edit for edit in record.edits if edit.chunk_id != event.chunk_id)
    is_edit = event.text is not None or not event.enabled
    edits = (*others, Edit(event.chunk_id, event.text, event.enabled)) if is_edit else others
    return replace(record, edits=edits, changes=record.changes + 1)


def _edited(command: c.EditChunk, record: Record) -> tuple[facts.ChunkEdited, ...]:
    known = next((one for one in record.edits if one.chunk_id == command.chunk_id), None)
    before = known or Edit(command.chunk_id, None, enabled=True)
    after = Edit(
        command.chunk_id,
        before.text if command.text is UNSET else command.text,
        before.enabled if command.enabled is None else command.enabled,
    )
    if after == before:
        return ()
    event = facts.ChunkEdited(chunk_id=after.chunk_id, text=after.text, enabled=after.enabled)
    edits = with_edit(record, event).edits
    if len(edits) > EDITS_MAX or sum(len(edit.text or "") for edit in edits) > EDITED_CHARS_MAX:
        raise Refused(
            RefusalCode.TOO_MANY_EDITS,
            f"a document may have {EDITS_MAX} edited chunks with {EDITED_CHARS_MAX:,} characters together",
        )
    return (event,)
