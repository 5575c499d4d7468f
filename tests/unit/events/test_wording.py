"""A fact is written in the oldest version that has words for it: what older programs could read, they go on reading."""

import msgspec
import pytest

from events import document as d
from events import task as t
from events.chunking import ChunkingSettings
from events.codec import decode, encode
from events.envelope import Fact
from events.knowledge_base import ChunkerKind
from events.steps import Step
from events.upcasters import CURRENT_VERSIONS
from events.wording import written_version
from tests.golden.event_examples import EXAMPLES, KB, TASK, example

CHUNKING = ChunkingSettings(chunker=ChunkerKind.PAGE, chunk_tokens=64, chunk_overlap_tokens=0)
WORDS_OF_THE_FIRST_RELEASE = {"parse", "chunk", "embed", "index", "finish", "callback", "erase"}


def facts_at(step: Step) -> list[Fact]:
    return [
        d.StepStarted(step=step, attempt=1, worker="w1"),
        d.StepFailed(step=step, attempt=1, code="timeout", message="", retry_at_us=1),
        d.DocumentFailed(step=step, code="timeout", message=""),
        d.ReprocessingRequested(from_step=step, reason="", task_id=TASK),
    ]


@pytest.mark.parametrize("step", Step)
def test_a_step_that_the_first_release_did_not_have_is_told_in_a_later_version(step: Step) -> None:
    expected = 1 if step in WORDS_OF_THE_FIRST_RELEASE else 2
    assert {written_version(fact) for fact in facts_at(step)} == {expected}


@pytest.mark.parametrize("source", t.TaskSource)
def test_so_is_a_source_that_it_did_not_have(source: t.TaskSource) -> None:
    submitted = t.TaskSubmitted(knowledge_base_id=KB, documents=1, source=source)
    assert written_version(submitted) == (2 if source is t.TaskSource.OBJECT else 1)


@pytest.mark.parametrize("chunking", [None, CHUNKING])
@pytest.mark.parametrize("step", [Step.CHUNK, Step.FETCH])
def test_so_is_how_a_document_is_cut_or_that_it_is_cut_as_others_again(
    step: Step, chunking: ChunkingSettings | None
) -> None:
    fact = d.ReprocessingRequested(from_step=step, reason="", task_id=TASK, chunking=chunking)
    assert written_version(fact) == 3
    assert decode(encode(example(fact))).event == fact


@pytest.mark.parametrize("name", CURRENT_VERSIONS)
def test_what_needs_no_new_word_is_written_as_ever_and_read_in_either_version(name: str) -> None:
    wanted = example(EXAMPLES[name, 1])
    frame = msgspec.msgpack.decode(encode(wanted))
    assert frame[2] == 1
    frame[2] = 2
    assert decode(msgspec.msgpack.encode(frame)) == wanted
