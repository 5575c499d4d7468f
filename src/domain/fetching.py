"""Documents whose bytes lie elsewhere: the facts about them, and what they make of a document's state."""

from msgspec.structs import replace

from domain import commands as c
from domain.document import About, Accepted, Queued, Record, Requested
from domain.origin import Origin
from events import document as facts
from events.document import OnDuplicate


def requested_by(command: c.RequestDocument) -> facts.DocumentRequested:
    """Somebody wants it."""
    return facts.DocumentRequested(
        knowledge_base_id=command.knowledge_base_id,
        task_id=command.task_id,
        filename=command.filename,
        url=command.url,
        object_key=command.object_key,
        sidecar_blob=command.sidecar_blob,
        metadata=command.metadata,
        lane=command.lane,
        not_before_us=command.not_before_us,
        on_duplicate=command.on_duplicate,
    )


def fetched_by(command: c.RecordFetched, about: About) -> facts.DocumentFetched | facts.DocumentSkipped:
    """Its bytes are here; or they were before it."""
    if command.holder is not None and command.on_duplicate is OnDuplicate.SKIP:
        return facts.DocumentSkipped(
            knowledge_base_id=about.knowledge_base_id,
            task_id=about.task_id,
            filename=command.filename,
            media_type=command.media_type,
            size_bytes=command.size_bytes,
            sha256=command.sha256,
            duplicate_of=command.holder,
        )
    return facts.DocumentFetched(
        filename=command.filename,
        media_type=command.media_type,
        size_bytes=command.size_bytes,
        sha256=command.sha256,
        source_blob=command.source_blob,
        declared_media_type=command.declared_media_type,
        url=command.url,
        replaces=command.holder if command.on_duplicate is OnDuplicate.REPLACE else None,
    )


def after_request(event: facts.DocumentRequested, at_us: int) -> Requested:
    """The state behind the first fact of such a document."""
    about = About(
        knowledge_base_id=event.knowledge_base_id,
        task_id=event.task_id,
        filename=event.filename,
        media_type="",
        size_bytes=0,
        sha256="",
        source_blob="",
        accepted_at_us=at_us,
        metadata=event.metadata,
        lane=event.lane,
        origin=Origin(event.url, event.object_key),
    )
    activity = Queued(at_us, event.not_before_us)
    return Requested(record=Record(about=about), activity=activity, on_duplicate=event.on_duplicate)


def after_fetch(record: Record, event: facts.DocumentFetched, at_us: int) -> Accepted:
    """From here on it is like one that was uploaded; `record` knows that the step was done."""
    about = replace(
        record.about,
        filename=event.filename,
        media_type=event.media_type,
        size_bytes=event.size_bytes,
        sha256=event.sha256,
        source_blob=event.source_blob,
        declared_media_type=event.declared_media_type,
        replaces=event.replaces,
    )
    return Accepted(record=replace(record, about=about), activity=Queued(at_us, is_under_way=True))
