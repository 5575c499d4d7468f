"""Facts are told apart by their places: what lies where never changes, and whatever may be said comes back."""

from typing import get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.codec import decode, encode
from events.document import DocumentAccepted, DocumentParsed, ReprocessingRequested
from events.envelope import Envelope, Fact
from events.facts_by_place import PACKINGS
from events.ids import DocumentId, KnowledgeBaseId, TaskId
from events.steps import Step
from events.task import TaskSubmitted
from events.type_codes import EVENT_TYPES, TYPE_CODES
from tests.event_samples import envelope, new_document, new_knowledge_base, new_task

CODES_AND_FIELDS = {
    "DocumentAccepted": "1 knowledge_base_id task_id filename media_type size_bytes sha256 source_blob "
    "declared_media_type metadata lane not_before_us replaces",
    "DocumentRequested": "2 knowledge_base_id task_id filename url object_key sidecar_blob metadata lane "
    "not_before_us on_duplicate",
    "DocumentFetched": "3 filename media_type size_bytes sha256 source_blob declared_media_type url replaces",
    "DocumentSkipped": "4 knowledge_base_id task_id filename media_type size_bytes sha256 duplicate_of",
    "StepStarted": "5 step attempt worker delivery",
    "DocumentParsed": "6 text_blob parser pages characters language title warnings",
    "DocumentChunked": "7 chunks_blob chunks tokens chunker generation",
    "ChunksEmbedded": "8 batch first_chunk last_chunk vectors_blob calls tokens_sent chunks_reused tokens_by_provider",
    "DocumentEmbedded": "9 model dimensions tokens calls tokens_sent chunks_reused passage_prefix tokens_by_provider",
    "DocumentIndexed": "10 generation chunks edits_lost is_stale",
    "StepFailed": "11 step attempt code message retry_at_us",
    "DocumentFailed": "12 step code message",
    "ReprocessingRequested": "13 from_step reason task_id chunking",
    "ChunkEdited": "14 chunk_id text enabled",
    "DocumentChanged": "15 metadata enabled",
    "DocumentCancelled": "16 reason",
    "DocumentRemoved": "17 reason",
    "DocumentErased": "18 rows_left blobs_left",
    "TaskSubmitted": "19 knowledge_base_id documents lane source callback_url not_before_us "
    "idempotency_key_sha256 request_sha256 document_ids",
    "TaskCancelled": "20 reason",
    "TaskFinished": "21 succeeded failed cancelled skipped",
    "CallbackDelivered": "22 attempt status_code",
    "CallbackFailed": "23 attempt status_code next_attempt_at_us",
    "KnowledgeBaseCreated": "24 name description settings",
    "KnowledgeBaseChanged": "25 name description settings",
    "IndexGenerationStarted": "26 generation settings request_sha256",
    "IndexGenerationActivated": "27 generation",
    "IndexGenerationAbandoned": "28 generation reason",
    "KnowledgeBaseDeleted": "29 reason",
}
"""The wire: a type or a field is added at the end, and nothing that is here is changed, moved or taken away."""

LEFT_OUT = {
    "DocumentAccepted": 'declared_media_type=null metadata={} lane="interactive" not_before_us=null replaces=null',
    "DocumentRequested": 'url=null object_key=null sidecar_blob="" metadata={} lane="interactive" not_before_us=null '
    'on_duplicate="skip"',
    "DocumentFetched": "declared_media_type=null url=null replaces=null",
    "StepStarted": 'delivery=""',
    "DocumentParsed": "language=null title=null warnings=[]",
    "DocumentChunked": "generation=0",
    "ChunksEmbedded": "calls=0 tokens_sent=0 chunks_reused=0 tokens_by_provider=0",
    "DocumentEmbedded": 'calls=0 tokens_sent=0 chunks_reused=0 passage_prefix="" tokens_by_provider=0',
    "DocumentIndexed": "edits_lost=[] is_stale=false",
    "ReprocessingRequested": "chunking=UNSET",
    "ChunkEdited": "text=null enabled=true",
    "DocumentChanged": "metadata=null enabled=null",
    "DocumentCancelled": 'reason=""',
    "DocumentRemoved": 'reason=""',
    "TaskSubmitted": 'lane="interactive" source="upload" callback_url=null not_before_us=null '
    "idempotency_key_sha256=null request_sha256=null document_ids=[]",
    "TaskCancelled": 'reason=""',
    "CallbackFailed": "status_code=null next_attempt_at_us=null",
    "KnowledgeBaseCreated": 'description="" settings={"chunker":"markdown","chunk_tokens":256,'
    '"chunk_overlap_tokens":32,"embedding_model":"local","embedding_dimensions":null,"vector_weight":null}',
    "KnowledgeBaseChanged": "name=null description=null settings=null",
    "IndexGenerationStarted": "settings=null request_sha256=null",
    "IndexGenerationAbandoned": 'reason=""',
    "KnowledgeBaseDeleted": 'reason=""',
}
"""What is read where an array ends before a field: another default would change what every log says."""

PACKED = (
    "knowledge_base_id task_id replaces duplicate_of document_ids sha256 idempotency_key_sha256 request_sha256 "
    "source_blob text_blob chunks_blob vectors_blob"
)
"""Fields that are packed wherever they are. One that is added to a type may be, under a name of this list."""

texts = st.text(max_size=8) | st.sampled_from(["/", "\0", "/source@1", "\0/", "documents/", "ab" * 32, "AB" * 32])


@pytest.mark.parametrize("name", EVENT_TYPES)
def test_codes_and_places_are_those_of_every_log_there_is(name: str) -> None:
    assert f"{TYPE_CODES[name]} {' '.join(EVENT_TYPES[name].__struct_fields__)}" == CODES_AND_FIELDS[name]


@pytest.mark.parametrize("name", EVENT_TYPES)
def test_what_is_left_out_means_what_it_meant_in_every_log_there_is(name: str) -> None:
    fields = [field for field in msgspec.structs.fields(EVENT_TYPES[name]) if not field.required]
    said = [f"{field.name}={_told(field)}" for field in fields]
    assert " ".join(said) == LEFT_OUT.get(name, "")


def _told(field: msgspec.structs.FieldInfo) -> str:
    default = field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()
    return "UNSET" if default is msgspec.UNSET else msgspec.json.encode(default).decode()


def test_codes_are_one_byte_each_without_a_gap() -> None:
    assert list(TYPE_CODES.values()) == list(range(1, len(EVENT_TYPES) + 1))
    assert max(TYPE_CODES.values()) < 128


def test_the_same_fields_are_packed_as_in_every_log_there_is() -> None:
    assert set(PACKINGS) == set(PACKED.split())


@pytest.mark.parametrize("fact", EVENT_TYPES.values())
def test_what_has_a_default_is_behind_what_has_none_and_unset_is_the_last(fact: type[Fact]) -> None:
    """An array has no word for what is unset: it ends before it."""
    fields = msgspec.structs.fields(fact)
    assert fact.__struct_config__.array_like
    assert [field.required for field in fields] == sorted((field.required for field in fields), reverse=True)
    assert not any(msgspec.UnsetType in get_args(field.type) for field in fields[:-1])


def facts_on_the_wire(wanted: Envelope) -> list[object]:
    facts = msgspec.msgpack.decode(encode(wanted))[3]
    assert isinstance(facts, list)
    return facts


def test_ids_digests_and_names_of_blobs_are_packed() -> None:
    base, task, document, other = new_knowledge_base(), new_task(), new_document(), new_document()
    fact = DocumentAccepted(
        knowledge_base_id=base,
        task_id=task,
        filename="a.txt",
        media_type="text/plain",
        size_bytes=1,
        sha256="ab" * 32,
        source_blob=f"documents/{document}/source@7",
        replaces=other,
    )
    facts = facts_on_the_wire(envelope(document, 1, fact, task=task))
    assert isinstance(facts[0], bytes)
    assert len(facts[0]) == 18
    assert facts[1] is None
    assert facts[5:7] == [b"\xab" * 32, "/source@7"]
    assert isinstance(facts[11], bytes)
    assert len(facts[11]) == 18


def test_another_task_than_the_event_s_own_is_named() -> None:
    again, task, document = new_task(), new_task(), new_document()
    fact = ReprocessingRequested(from_step=Step.CHUNK, reason="again", task_id=again)
    wanted = envelope(document, 9, fact, task=task)
    assert isinstance(facts_on_the_wire(wanted)[2], bytes)
    assert decode(encode(wanted)) == wanted


@given(base=texts, task=texts, sha256=texts, blob=texts, replaces=st.none() | texts)
def test_text_of_no_form_comes_back_as_it_was(
    base: str, task: str, sha256: str, blob: str, replaces: str | None
) -> None:
    fact = DocumentAccepted(
        knowledge_base_id=KnowledgeBaseId(base),
        task_id=TaskId(task),
        filename="",
        media_type="",
        size_bytes=0,
        sha256=sha256,
        source_blob=blob,
        replaces=None if replaces is None else DocumentId(replaces),
    )
    wanted = envelope(new_document(), 1, fact, task=new_task())
    assert decode(encode(wanted)) == wanted


@given(st.lists(texts, max_size=3), st.none() | texts, st.none() | texts)
def test_so_do_names_of_documents_and_digests_that_may_be_missing(
    documents: list[str], key: str | None, request: str | None
) -> None:
    task = new_task()
    fact = TaskSubmitted(
        knowledge_base_id=new_knowledge_base(),
        documents=1,
        idempotency_key_sha256=key,
        request_sha256=request,
        document_ids=tuple(map(DocumentId, [*documents, new_document()])),
    )
    wanted = envelope(task, 1, fact, task=task)
    assert decode(encode(wanted)) == wanted


@given(texts, st.none() | texts, st.lists(texts, max_size=2))
def test_facts_end_where_all_that_follows_is_as_by_default(blob: str, title: str | None, warnings: list[str]) -> None:
    fact = DocumentParsed(text_blob=blob, parser="plain", pages=1, characters=2, title=title, warnings=tuple(warnings))
    wanted = envelope(new_document(), 3, fact, task=new_task())
    assert len(facts_on_the_wire(wanted)) == (7 if warnings else 6 if title is not None else 4)
    assert decode(encode(wanted)) == wanted


@pytest.mark.parametrize("trace_parent", [None, "", "00-" + "a" * 32 + "-" + "b" * 16 + "-01", "00-x", "A" * 55])
def test_a_trace_parent_comes_back_as_it_was(trace_parent: str | None) -> None:
    wanted = msgspec.structs.replace(
        envelope(new_document(), 1, DocumentParsed("t", "plain", 1, 2), task=new_task()), trace_parent=trace_parent
    )
    assert decode(encode(wanted)) == wanted
