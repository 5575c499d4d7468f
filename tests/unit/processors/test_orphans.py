"""What may be deleted: nothing that an event names or may come to name, nothing young, nothing in doubt."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from blobs.store import BlobInfo
from events.document import (
    ChunksEmbedded,
    DocumentChunked,
    DocumentErased,
    DocumentEvent,
    DocumentFailed,
    DocumentParsed,
    DocumentRemoved,
    StepFailed,
    StepStarted,
)
from events.envelope import Envelope, Event, UnknownEvent, UnknownReason
from events.ids import DocumentId, EventId
from events.steps import Step
from events.type_codes import EVENT_TYPES
from processors.orphans import Claim, Orphan, Reason, blobs_named, document_of, orphans_of_known, orphans_of_unknown
from tests import facts
from tests.event_samples import accepted, new_knowledge_base, new_task

NOW = datetime(2026, 11, 24, tzinfo=UTC)
GRACE = timedelta(hours=24)
OLD, YOUNG = NOW - timedelta(hours=25), NOW - timedelta(hours=23)
DOCUMENT = DocumentId("doc_00" + "0" * 12 + "7" + "0" * 3 + "8" + "0" * 15)
ACCEPTED = msgspec.structs.replace(
    accepted(new_task(), new_knowledge_base()), source_blob=f"documents/{DOCUMENT}/source@a"
)
PARSED = DocumentParsed(text_blob=f"documents/{DOCUMENT}/text@1-d", parser="plain", pages=1, characters=9)
CHUNKED = DocumentChunked(chunks_blob=f"documents/{DOCUMENT}/chunks@1-d", chunks=2, tokens=2, chunker="k")
BATCH = ChunksEmbedded(batch=0, first_chunk=0, last_chunk=1, vectors_blob=f"documents/{DOCUMENT}/vectors/0@1-d")
REQUESTED = msgspec.structs.replace(facts.REQUESTED, sidecar_blob="request")
FETCHED = msgspec.structs.replace(facts.FETCHED, source_blob="source")
NAMED = ("source@a", "source@a.json", "text@1-d", "chunks@1-d", "vectors/0@1-d")


def start(step: Step, attempt: int = 1) -> StepStarted:
    return StepStarted(step=step, attempt=attempt, worker="w")


UP_TO_EMBEDDING: tuple[DocumentEvent, ...] = (
    ACCEPTED, start(Step.PARSE), PARSED, start(Step.CHUNK), CHUNKED, start(Step.EMBED), BATCH,
)  # fmt: skip


def history(*events: Event) -> list[Envelope]:
    return [
        Envelope(
            event_id=EventId(f"{version:032x}"),
            stream_id=DOCUMENT,
            version=version,
            event=event,
            recorded_at_us=version,
            correlation_id="task",
        )
        for version, event in enumerate(events, start=1)
    ]


def blob(name: str, modified_at: datetime = OLD) -> BlobInfo:
    return BlobInfo(key=f"documents/{DOCUMENT}/{name}", size_bytes=1, modified_at=modified_at)


def names(orphans: list[Orphan]) -> list[str]:
    return [orphan.blob.key.removeprefix(f"documents/{DOCUMENT}/") for orphan in orphans]


def of_known(blobs: list[BlobInfo], *events: Event) -> list[str]:
    return names(orphans_of_known(blobs, history(*events), now=NOW, grace=GRACE))


def test_every_fact_that_names_a_blob_keeps_it() -> None:
    fields = {name for fact in EVENT_TYPES.values() for name in fact.__struct_fields__ if name.endswith("_blob")}
    assert fields == {"sidecar_blob", "source_blob", "text_blob", "chunks_blob", "vectors_blob"}
    assert list(blobs_named(history(REQUESTED, start(Step.FETCH), FETCHED))) == ["request", "source"]
    assert [key.removeprefix(f"documents/{DOCUMENT}/") for key in blobs_named(history(*UP_TO_EMBEDDING))] == list(NAMED)


@given(st.integers(1, len(UP_TO_EMBEDDING)), st.sets(st.sampled_from(NAMED)), st.booleans())
def test_what_an_event_names_is_never_an_orphan(known: int, there: set[str], is_failed: bool) -> None:
    failure = DocumentFailed(step=Step.PARSE, code="c", message="m")
    events = [*UP_TO_EMBEDDING[:known], *([failure] if is_failed else [])]
    kept = set(blobs_named(history(*events)))
    found = orphans_of_known([blob(name) for name in there], history(*events), now=NOW, grace=GRACE)
    assert kept.isdisjoint(orphan.blob.key for orphan in found)


def test_what_the_attempt_under_way_has_stored_may_still_be_recorded() -> None:
    events = (ACCEPTED, start(Step.PARSE), start(Step.PARSE, 2))
    assert of_known([blob("text@1-x"), blob("text@2-x")], *events) == ["text@1-x"]
    retry = StepFailed(step=Step.PARSE, attempt=2, code="c", message="m", retry_at_us=9)
    assert of_known([blob("text@2-x")], *events, retry) == ["text@2-x"], "its result would be refused"
    embedding = [blob(f"vectors/1@{attempt}-x") for attempt in (1, 2)]
    assert of_known(embedding, *UP_TO_EMBEDDING, start(Step.EMBED, 2)) == ["vectors/1@1-x"]


def test_what_is_being_fetched_may_still_be_recorded() -> None:
    left = [blob("source@2")]
    assert of_known(left, REQUESTED, start(Step.FETCH)) == []
    retry = StepFailed(step=Step.FETCH, attempt=1, code="c", message="m", retry_at_us=9)
    assert of_known(left, REQUESTED, start(Step.FETCH), retry) == ["source@2"]
    assert of_known(left, REQUESTED, start(Step.FETCH), FETCHED, start(Step.PARSE)) == ["source@2"]


def test_sources_that_a_repeated_request_left_are_orphans() -> None:
    blobs = [blob("source@a"), blob("source@a.json"), blob("source@b"), blob("source@b.json")]
    assert of_known(blobs, ACCEPTED) == ["source@b", "source@b.json"]


def test_nothing_young_is_an_orphan() -> None:
    assert of_known([blob("source@b", YOUNG), blob("source@c")], ACCEPTED) == ["source@c"]
    assert orphans_of_unknown([blob("source@b", YOUNG), blob("source@c")], Claim.NONE, now=NOW, grace=GRACE) == []


def test_of_an_erased_document_everything_goes_and_of_one_being_erased_nothing() -> None:
    removed = (*UP_TO_EMBEDDING, DocumentRemoved(reason="r"))
    blobs = [blob("source@a"), blob("text@9-x"), blob("chunks@1-d", YOUNG)]
    assert of_known(blobs, *removed) == []
    assert of_known(blobs, *removed, DocumentErased(rows_left=0, blobs_left=0)) == ["source@a", "text@9-x"]


def test_facts_of_a_newer_program_keep_everything() -> None:
    future = UnknownEvent("DocumentTranslated", 1, UnknownReason.UNKNOWN_TYPE)
    assert of_known([blob("translation@1")], ACCEPTED, future) == []


@pytest.mark.parametrize(("claim", "goes"), [(Claim.NONE, True), (Claim.REFUSED, True), (Claim.OPEN, False)])
def test_an_upload_that_the_log_does_not_know_goes_unless_its_knowledge_base_is_unknown_too(
    claim: Claim, goes: bool
) -> None:
    blobs = [blob("source@a"), blob("source@a.json")]
    found = orphans_of_unknown(blobs, claim, now=NOW, grace=GRACE)
    assert [orphan.blob for orphan in found] == (blobs if goes else [])
    assert {orphan.reason for orphan in found} <= {Reason.NEVER_ACCEPTED}


@pytest.mark.parametrize(
    "key", ["documents/x/source", "documents/doc_01", f"uploads/{DOCUMENT}/a", f"documents/{DOCUMENT}"]
)
def test_a_key_of_anything_else_belongs_to_no_document(key: str) -> None:
    assert document_of(key) is None
    assert document_of(f"documents/{DOCUMENT}/anything/at all") == DOCUMENT
