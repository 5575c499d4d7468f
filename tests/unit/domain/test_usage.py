"""What a task has paid for the vectors of its documents."""

from domain.deciders import DOCUMENT
from domain.document import DocumentState, Unknown
from domain.usage import Usage, spent
from events.document import ChunksEmbedded
from events.envelope import Event
from events.steps import Step
from tests.facts import UNTIL_CHUNKED, UNTIL_INDEXED, reprocessing, started
from tests.specification import given

EMBEDDING = (*UNTIL_CHUNKED, started(Step.EMBED))


def after(*past: Event) -> DocumentState:
    return given(DOCUMENT, *past).state


def batch(number: int) -> ChunksEmbedded:
    return ChunksEmbedded(
        batch=number,
        first_chunk=number,
        last_chunk=number,
        vectors_blob=f"v{number}",
        calls=1,
        tokens_sent=100,
        tokens_by_provider=90,
        chunks_reused=2,
    )


def test_batches_cost_what_they_tell_however_many_are_seen_together() -> None:
    none, one, two = after(*EMBEDDING), after(*EMBEDDING, batch(0)), after(*EMBEDDING, batch(0), batch(1))
    assert spent(Unknown(), two) == spent(none, two) == Usage(2, 200, 180, 4)
    assert spent(none, one) + spent(one, two) == spent(none, two)
    assert spent(two, two) == Usage()


def test_a_task_that_begins_a_document_again_pays_for_what_it_embeds_itself() -> None:
    embedded = after(*EMBEDDING, batch(0))
    indexed = after(*UNTIL_INDEXED)
    for step in (Step.INDEX, Step.EMBED, Step.PARSE):
        assert spent(indexed, after(*UNTIL_INDEXED, reprocessing(step))) == Usage()
    assert spent(indexed, embedded) == Usage(1, 100, 90, 2)
