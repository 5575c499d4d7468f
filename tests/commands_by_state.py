"""Hypothesis strategies for commands: mostly what somebody would ask in the state at hand, now and then what nobody would.

Commands drawn without regard to the state hardly ever lead anywhere, and a law that is checked on streams of one event
is not checked.
"""

from collections.abc import Callable
from typing import Any, Final, get_args

from hypothesis import strategies as st

from domain import commands as c
from domain.document import (
    Accepted,
    Cancelled,
    Chunked,
    DocumentState,
    Embedded,
    Erased,
    Failed,
    Indexed,
    Open,
    Parsed,
    Removed,
    Running,
    Skipped,
    Unknown,
    attempts_at,
    awaited_step,
)
from domain.knowledge_base import ActiveKnowledgeBase, KnowledgeBaseState
from domain.task import TaskState
from events import ids
from events.log import Tally
from events.steps import Step
from tests.strategies import KNOWLEDGE_BASE, TASKS, knowledge_base_settings, of_type, structs

LATER_US: Final = 3_000_000_000_000_000
STEPS: Final = (Step.PARSE, Step.CHUNK, Step.EMBED, Step.INDEX)

Commands = st.SearchStrategy[Any]


def one_in(n: int, rare: Commands, often: Commands) -> Commands:
    """`rare` once in n times."""
    return st.integers(1, n).flatmap(lambda drawn: rare if drawn == n else often)


def any_document_commands() -> Commands:
    """Any command with any values: hardly ever one that fits."""
    return st.one_of(*map(structs, get_args(c.DocumentCommand)))


def document_commands(state: DocumentState) -> Commands:
    """New documents come in with the first of `TASKS`; whichever is asked to reprocess one may have done so before."""
    return one_in(10, _INAPT, _apt(state))


def _apt(state: DocumentState) -> Commands:
    match state:
        case Unknown():
            return one_in(6, _SKIP, _ACCEPT)
        case Accepted() | Parsed() | Chunked() | Embedded():
            return one_in(14, _FROM_PEOPLE, _work(state))
        case Indexed() | Failed() | Cancelled() | Skipped():
            return one_in(4, _FROM_PEOPLE, _REPROCESS)
        case Removed() | Erased():
            return st.just(c.RecordErased(rows_left=0, blobs_left=0))


def _work(state: Open) -> Commands:
    step = awaited_step(state)
    assert step is not None
    attempts = attempts_at(state, step)
    start = _start(step, attempts + 1)
    if not isinstance(state.activity, Running):
        return start
    return one_in(12, start, one_in(8, _failures(step, attempts), _progress(state, step, attempts)))


def _progress(state: Open, step: Step, attempt: int) -> Commands:
    if not isinstance(state, Chunked) or state.chunks_embedded == state.chunks.chunks:
        return _RESULTS[step](attempt)
    first = state.chunks_embedded
    return st.integers(first, state.chunks.chunks - 1).map(
        lambda last: c.RecordBatchEmbedded(
            attempt=attempt,
            batch=len(state.batches),
            first_chunk=first,
            last_chunk=last,
            vectors_blob=f"vectors/{first}",
        )
    )


def _start(step: Step, attempt: int) -> Commands:
    return st.sampled_from(("w1", "w2")).map(lambda worker: c.StartStep(step=step, attempt=attempt, worker=worker))


def _failures(step: Step, attempt: int) -> Commands:
    return st.sampled_from((None, LATER_US)).map(
        lambda retry_at_us: c.FailStep(
            step=step, attempt=attempt, code="timeout", message="too slow", retry_at_us=retry_at_us
        )
    )


_RESULTS: Final[dict[Step, Callable[[int], Commands]]] = {
    Step.PARSE: lambda attempt: st.builds(
        c.RecordParsed,
        attempt=st.just(attempt),
        text_blob=st.just(f"text@{attempt}"),
        parser=st.just("plain"),
        pages=st.integers(1, 9),
        characters=st.integers(1, 9_999),
        warnings=st.sampled_from(((), ("a page was empty",))),
    ),
    Step.CHUNK: lambda attempt: one_in(10, st.just(0), st.integers(1, 5)).map(
        lambda chunks: c.RecordChunked(
            attempt=attempt, chunks_blob=f"chunks@{attempt}", chunks=chunks, tokens=9 * chunks, chunker="markdown"
        )
    ),
    Step.EMBED: lambda attempt: st.just(c.RecordEmbedded(attempt=attempt, model="local", dimensions=512, tokens=9)),
    Step.INDEX: lambda attempt: st.integers(1, 2).map(
        lambda generation: c.RecordIndexed(attempt=attempt, generation=generation, chunks=3)
    ),
}

_ACCEPT: Final[Commands] = st.builds(
    c.AcceptDocument,
    knowledge_base_id=st.just(KNOWLEDGE_BASE),
    task_id=st.just(TASKS[0]),
    filename=st.sampled_from(("report.pdf", "报告.docx")),
    media_type=st.just("application/pdf"),
    size_bytes=st.integers(1, 2**40),
    sha256=st.just("0" * 64),
    source_blob=st.just("source"),
    metadata=of_type(dict[str, str | int | float | bool]),
    not_before_us=st.sampled_from((None, LATER_US)),
)

_SKIP: Final[Commands] = st.just(
    c.SkipDocument(
        knowledge_base_id=KNOWLEDGE_BASE,
        task_id=TASKS[0],
        filename="copy.pdf",
        media_type="application/pdf",
        size_bytes=7,
        sha256="0" * 64,
        duplicate_of=ids.document_id(TASKS[0], 999),
    )
)

_REPROCESS: Final[Commands] = st.builds(
    c.RequestReprocessing, from_step=st.sampled_from(STEPS), reason=st.just("again"), task_id=st.sampled_from(TASKS)
)

_FROM_PEOPLE: Final[Commands] = st.one_of(
    st.just(c.CancelDocument(reason="no longer wanted")), st.just(c.RemoveDocument(reason="wrong file")), _REPROCESS
)

_INAPT: Final[Commands] = st.one_of(
    _ACCEPT,
    _SKIP,
    _FROM_PEOPLE,
    *(_start(step, attempt) for step in STEPS for attempt in (1, 2)),
    *(_failures(step, 1) for step in STEPS),
    *(_RESULTS[step](1) for step in STEPS),
    st.just(c.RecordErased(rows_left=0, blobs_left=0)),
)


def task_commands(_state: TaskState) -> Commands:
    """Submissions of few documents and endings with few of each kind, so that the numbers agree often."""
    submit = st.builds(
        c.SubmitTask,
        knowledge_base_id=st.just(KNOWLEDGE_BASE),
        documents=st.integers(0, 3),
        request_sha256=st.sampled_from((None, "a" * 64, "b" * 64)),
    )
    finish = st.builds(c.FinishTask, tally=st.builds(Tally, st.sampled_from((0, 0, 0, 1)), *[st.integers(0, 1)] * 4))
    return st.one_of(submit, finish, finish, st.just(c.CancelTask(reason="no longer wanted")))


def knowledge_base_commands(state: KnowledgeBaseState) -> Commands:
    """Any of the five, with generations near the present one."""
    generation = state.generation if isinstance(state, ActiveKnowledgeBase) else 1
    generations = st.integers(generation, generation + 2)
    title, settings = st.sampled_from(("handbook", "手册")), knowledge_base_settings
    return one_in(
        15,
        st.just(c.DeleteKnowledgeBase(reason="done with it")),
        st.one_of(
            st.builds(c.CreateKnowledgeBase, name=title, settings=settings),
            st.builds(c.ChangeKnowledgeBase, name=st.none() | title, settings=st.none() | settings),
            st.builds(c.StartIndexGeneration, generation=generations),
            st.builds(c.ActivateIndexGeneration, generation=generations),
        ),
    )
