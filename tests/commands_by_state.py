"""Commands by choice: mostly what somebody would ask in the state at hand, now and then nonsense.

Commands drawn without regard to the state hardly ever lead anywhere, and a law that is checked on streams of one event
is not checked. Choices come from a tape of bytes that Hypothesis draws at once: that is ten times faster than drawing
every choice, and shrinks towards the first option of each.
"""

from typing import Final, TypeVar, get_args

from hypothesis import strategies as st
from msgspec import UNSET

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
    Requested,
    Running,
    Skipped,
    Unknown,
    awaited_step,
)
from domain.document_stages import attempts_at
from domain.knowledge_base import ActiveKnowledgeBase, KnowledgeBaseState
from domain.task import TaskState
from events import ids
from events.chunking import ChunkingSettings
from events.document import Metadata, OnDuplicate
from events.knowledge_base import ChunkerKind, KnowledgeBaseSettings
from events.log import Tally
from events.steps import Step
from tests.strategies import KNOWLEDGE_BASE, TASKS, structs

T = TypeVar("T")

LATER_US: Final = 3_000_000_000_000_000
STEPS: Final = (Step.FETCH, Step.PARSE, Step.CHUNK, Step.EMBED, Step.INDEX)
COMMAND_BYTES: Final = 8
OWN_CHUNKING: Final = ChunkingSettings(chunker=ChunkerKind.ROWS, chunk_tokens=64, chunk_overlap_tokens=8)
METADATA: Final[tuple[Metadata | None, ...]] = (None, {}, {"year": 2027})
"""No command takes more choices."""


class Tape:
    """Choices, a byte each; past its end the first option is chosen."""

    def __init__(self, choices: bytes) -> None:
        self._rest = iter(choices)

    def number(self, below: int) -> int:
        return next(self._rest, 0) % below

    def pick(self, *options: T) -> T:
        return options[self.number(len(options))]

    def once_in(self, times: int) -> bool:
        return self.number(times) == times - 1


def tapes(choices: int = COMMAND_BYTES) -> st.SearchStrategy[Tape]:
    """Tapes of that many choices."""
    return st.binary(min_size=choices, max_size=choices).map(Tape)


def any_document_commands() -> st.SearchStrategy[c.DocumentCommand]:
    """Any command with any values, without regard to a state: hardly ever one that fits."""
    return st.one_of(*map(structs, get_args(c.DocumentCommand)))


def document_command(state: DocumentState, tape: Tape) -> c.DocumentCommand:
    """New documents come in with the first of `TASKS`; whichever is asked to reprocess one may have done so before."""
    if tape.once_in(10):
        return _inapt(tape)
    match state:
        case Unknown():
            if tape.once_in(6):
                return _skip()
            return _request(tape) if tape.once_in(3) else _accept(tape)
        case Requested() | Accepted() | Parsed() | Chunked() | Embedded():
            return _wish(tape) if tape.once_in(14) else _work(state, tape)
        case Indexed() | Failed() | Cancelled() | Skipped():
            return _wish(tape) if tape.once_in(4) else _reprocess(tape)
        case Removed() | Erased():
            return c.RecordErased(rows_left=0, blobs_left=0)


def _work(state: Open, tape: Tape) -> c.DocumentCommand:
    step = awaited_step(state)
    assert step is not None
    attempts = attempts_at(state, step)
    if not isinstance(state.activity, Running) or tape.once_in(12):
        return c.StartStep(step=step, attempt=attempts + 1, worker=tape.pick("w1", "w2"))
    if tape.once_in(8):
        return _failure(step, attempts, tape)
    if isinstance(state, Chunked) and state.chunks_embedded < state.chunks.chunks:
        return _batch(state, attempts, tape)
    return _result(step, attempts, tape)


def _batch(state: Chunked, attempt: int, tape: Tape) -> c.RecordBatchEmbedded:
    first = state.chunks_embedded
    return c.RecordBatchEmbedded(
        attempt=attempt,
        batch=len(state.batches),
        first_chunk=first,
        last_chunk=first + tape.number(state.chunks.chunks - first),
        vectors_blob=f"vectors/{first}@{attempt}",
    )


def _failure(step: Step, attempt: int, tape: Tape) -> c.FailStep:
    return c.FailStep(
        step=step, attempt=attempt, code="timeout", message="too slow", retry_at_us=tape.pick(LATER_US, None)
    )


def _result(step: Step, attempt: int, tape: Tape) -> c.DocumentCommand:
    match step:
        case Step.FETCH:
            return c.RecordFetched(
                attempt=attempt,
                filename=tape.pick("report.pdf", "报告.docx"),
                media_type="application/pdf",
                size_bytes=1 + tape.number(256),
                sha256="1" * 64,
                source_blob=f"source@{attempt}",
                url=tape.pick(None, "https://files.example.com/report"),
                on_duplicate=tape.pick(*OnDuplicate),
            )
        case Step.PARSE:
            return c.RecordParsed(
                attempt=attempt,
                text_blob=f"text@{attempt}",
                parser="plain",
                pages=1 + tape.number(9),
                characters=1 + tape.number(256),
                warnings=tape.pick((), ("a page was empty",)),
            )
        case Step.CHUNK:
            chunks = 0 if tape.once_in(10) else 1 + tape.number(5)
            blob = f"chunks@{attempt}"
            return c.RecordChunked(
                attempt=attempt, chunks_blob=blob, chunks=chunks, tokens=9 * chunks, chunker="markdown"
            )
        case Step.EMBED:
            return c.RecordEmbedded(attempt=attempt, model="local", dimensions=512, tokens=9)
        case _:
            return c.RecordIndexed(attempt=attempt, generation=1 + tape.number(2), chunks=1 + tape.number(5))


def _wish(tape: Tape) -> c.DocumentCommand:
    wishes: tuple[c.DocumentCommand, ...] = (
        c.CancelDocument(reason="no longer wanted"),
        c.RemoveDocument(reason="wrong file"),
        _reprocess(tape),
        c.ChangeDocument(metadata=tape.pick(*METADATA), enabled=tape.pick(None, False, True)),
        c.EditChunk(chunk_id=tape.pick("a", "b"), text=tape.pick("new", None), enabled=tape.pick(None, False)),
    )
    return tape.pick(*wishes)


def _reprocess(tape: Tape) -> c.RequestReprocessing:
    return c.RequestReprocessing(
        from_step=tape.pick(None, *STEPS),
        reason="again",
        task_id=tape.pick(*TASKS),
        chunking=tape.pick(UNSET, None, OWN_CHUNKING),
    )


def _accept(tape: Tape) -> c.AcceptDocument:
    return c.AcceptDocument(
        knowledge_base_id=KNOWLEDGE_BASE,
        task_id=TASKS[0],
        filename=tape.pick("report.pdf", "报告.docx"),
        media_type="application/pdf",
        size_bytes=1 + tape.number(256),
        sha256=tape.pick("0", "1") * 64,
        source_blob="source",
        on_duplicate=tape.pick(*OnDuplicate),
        metadata=tape.pick({}, {"year": 2026, "部门": "法务", "draft": True, "weight": 0.5}),
        not_before_us=tape.pick(None, LATER_US),
    )


def _request(tape: Tape) -> c.RequestDocument:
    return c.RequestDocument(
        knowledge_base_id=KNOWLEDGE_BASE,
        task_id=TASKS[0],
        filename=tape.pick("report", "unnamed"),
        url="https://example.com/report",
        sidecar_blob="request",
        metadata=tape.pick({}, {"year": 2026}),
        not_before_us=tape.pick(None, LATER_US),
    )


def _skip() -> c.SkipDocument:
    return c.SkipDocument(
        knowledge_base_id=KNOWLEDGE_BASE,
        task_id=TASKS[0],
        filename="copy.pdf",
        media_type="application/pdf",
        size_bytes=7,
        sha256="0" * 64,
        duplicate_of=ids.document_id(TASKS[0], 999),
    )


def _inapt(tape: Tape) -> c.DocumentCommand:
    step, attempt = tape.pick(*STEPS), tape.pick(1, 2)
    commands: tuple[c.DocumentCommand, ...] = (
        _accept(tape),
        _request(tape),
        _skip(),
        _wish(tape),
        c.StartStep(step=step, attempt=attempt, worker="w3"),
        _failure(step, attempt, tape),
        _result(step, attempt, tape),
        c.RecordErased(rows_left=0, blobs_left=0),
    )
    return tape.pick(*commands)


def task_command(_state: TaskState, tape: Tape) -> c.TaskCommand:
    """Submissions of few documents and endings with few of each kind, so that the numbers agree often."""
    submit = c.SubmitTask(
        knowledge_base_id=KNOWLEDGE_BASE,
        documents=tape.number(4),
        request_sha256=tape.pick(None, "a" * 64, "b" * 64),
    )
    ended = (tape.number(2) for _ in range(4))
    finish = c.FinishTask(tally=Tally(int(tape.once_in(4)), *ended))
    commands: tuple[c.TaskCommand, ...] = (
        submit,
        finish,
        finish,
        c.CancelTask(reason="no longer wanted"),
        c.RecordCallbackFailed(
            attempt=1 + tape.number(3), status_code=500, next_attempt_at_us=tape.pick(LATER_US, None)
        ),
        c.RecordCallbackDelivered(attempt=1 + tape.number(3), status_code=200),
    )
    return tape.pick(*commands)


def knowledge_base_command(state: KnowledgeBaseState, tape: Tape) -> c.KnowledgeBaseCommand:
    """Any of the six, with generations near the present one."""
    if tape.once_in(15):
        return c.DeleteKnowledgeBase(reason="done with it")
    generation = tape.number(3) + (state.generation if isinstance(state, ActiveKnowledgeBase) else 1)
    name = tape.pick("handbook", "手册")
    settings = KnowledgeBaseSettings(
        chunker=tape.pick(ChunkerKind.MARKDOWN, ChunkerKind.MARKDOWN, ChunkerKind.TOKENS),
        vector_weight=tape.pick(None, 0.25),
    )
    commands: tuple[c.KnowledgeBaseCommand, ...] = (
        c.CreateKnowledgeBase(name=name, settings=settings),
        c.ChangeKnowledgeBase(name=name),
        c.ChangeKnowledgeBase(settings=settings),
        c.StartIndexGeneration(generation=generation),
        c.ActivateIndexGeneration(generation=generation),
        c.AbandonIndexGeneration(),
    )
    return tape.pick(*commands)
