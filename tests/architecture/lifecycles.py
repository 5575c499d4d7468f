"""The lifecycles as the deciders have them, found by walking: all examples of events and commands, on all states."""

from collections.abc import Callable, Hashable, Iterable
from typing import Final, Generic, NamedTuple, TypeVar

import msgspec

from domain import commands as c
from domain.decider import Decider
from domain.deciders import DOCUMENT, TASK, knowledge_base_decider
from domain.document import Cancelled, Chunked, DocumentState, Erased, Failed, Open, Removed
from domain.document_stages import attempts_at
from domain.errors import ImpossibleEvent, Refused
from domain.knowledge_base import ActiveKnowledgeBase, KnowledgeBaseState
from domain.task import FinishedTask, OpenTask, TaskState
from events import document as d
from events import knowledge_base as k
from events import task as t
from events.envelope import Event
from events.log import Tally
from events.steps import Step
from tests import facts
from tests.strategies import DOCUMENTS, KNOWLEDGE_BASE

S = TypeVar("S")
C = TypeVar("C")

NOBODY: Final = "—"
"""In place of a command: evolve takes the event, and nothing asks for it yet."""

STEPS: Final = tuple(facts.UNTIL_OPEN)


class Transition(NamedTuple):
    """One row: in this state this command leads to this event, and the event to that state."""

    state: str
    command: str
    event: str
    next_state: str


class Explored(NamedTuple, Generic[S]):
    """Every transition, and one state of every kind that was met."""

    transitions: frozenset[Transition]
    states: tuple[S, ...]


def explore(
    decider: Decider[S, C],
    examples: Iterable[Event],
    commands_for: Callable[[S], Iterable[C]],
    name: Callable[[S], str],
    kind: Callable[[S], Hashable],
) -> Explored[S]:
    """Walks from the initial state; states of one kind are taken for the same."""
    asked, taken = set[Transition](), set[Transition]()
    met, to_do = {kind(decider.initial): decider.initial}, [decider.initial]
    while to_do:
        state = to_do.pop(0)
        for command, event in [*_decided(decider, state, commands_for(state)), *((NOBODY, one) for one in examples)]:
            try:
                after = decider.evolve(state, event, len(met))
            except ImpossibleEvent:
                assert command == NOBODY, f"{command} leads to {event}, which cannot follow"
                continue
            row = Transition(name(state), command, type(event).__name__, name(after))
            (taken if command == NOBODY else asked).add(row)
            if kind(after) not in met:
                met[kind(after)] = after
                to_do.append(after)
    known = {(row.state, row.event, row.next_state) for row in asked}
    nobodys = {row for row in taken if (row.state, row.event, row.next_state) not in known}
    return Explored(frozenset(asked | nobodys), tuple(met.values()))


def _decided(decider: Decider[S, C], state: S, commands: Iterable[C]) -> list[tuple[str, Event]]:
    decided = []
    for command in commands:
        try:
            decided += [(type(command).__name__, event) for event in decider.decide(command, state)]
        except Refused:
            continue
    return decided


def name_of_document(state: DocumentState) -> str:
    """A state's name in the tables."""
    return type(state).__name__


def name_of_task(state: TaskState) -> str:
    """A state's name in the tables."""
    return type(state).__name__.removesuffix("Task")


def name_of_knowledge_base(state: KnowledgeBaseState) -> str:
    """A state's name in the tables."""
    return type(state).__name__.removesuffix("KnowledgeBase")


def documents() -> Explored[DocumentState]:
    """The lifecycle of a document."""
    examples: list[Event] = [
        facts.ACCEPTED,
        facts.REQUESTED,
        facts.FETCHED,
        facts.SKIPPED,
        facts.PARSED,
        facts.CHUNKED,
        facts.FIRST_BATCH,
    ]
    examples += [facts.LAST_BATCH, facts.EMBEDDED, facts.INDEXED, facts.CANCELLED, facts.REMOVED, facts.ERASED]
    examples += [d.ChunkEdited(chunk_id="a", text="new"), d.DocumentChanged(enabled=False)]
    for step in STEPS:
        examples += [facts.started(step), facts.retried(step), facts.failed(step), facts.reprocessing(step)]
    return explore(DOCUMENT, examples, _document_commands, name_of_document, _kind_of_document)


def _document_commands(state: DocumentState) -> Iterable[c.DocumentCommand]:
    yield from (
        facts.ACCEPT,
        facts.REQUEST,
        facts.SKIP,
        c.CancelDocument(),
        c.ChangeDocument(enabled=False),
        c.EditChunk(chunk_id="a", text="new"),
        c.RemoveDocument(),
        c.RecordErased(rows_left=0, blobs_left=0),
    )
    yield facts.batch(0, 0, 1, attempt=attempts_at(state, Step.EMBED))
    yield facts.batch(1, 2, 2, attempt=attempts_at(state, Step.EMBED))
    yield c.RecordChunked(attempt=attempts_at(state, Step.CHUNK), chunks_blob="", chunks=0, tokens=0, chunker="")
    here = facts.result_of(Step.FETCH, attempts_at(state, Step.FETCH))
    yield msgspec.structs.replace(here, holder=DOCUMENTS[1])
    for step in STEPS:
        attempts = attempts_at(state, step)
        yield c.StartStep(step=step, attempt=attempts + 1, worker="w1")
        yield facts.result_of(step, attempts)
        yield facts.failure(step, attempts)
        yield facts.failure(step, attempts, retry_at_us=None)
        yield c.RequestReprocessing(from_step=step, reason="again", task_id=facts.OTHER_TASK_ID)


def _kind_of_document(state: DocumentState) -> Hashable:
    if isinstance(state, Failed | Cancelled):
        return type(state), _kind_of_document(state.reached)
    if isinstance(state, Removed | Erased):
        return type(state), _kind_of_document(state.before)
    if isinstance(state, Open):
        batches = len(state.batches) if isinstance(state, Chunked) else 0
        return type(state), type(state.activity), batches
    return type(state)


def tasks() -> Explored[TaskState]:
    """The lifecycle of a task of one document."""
    submit = c.SubmitTask(knowledge_base_id=KNOWLEDGE_BASE, documents=1)
    ends = [Tally(succeeded=1), Tally(failed=1), Tally(cancelled=1), Tally(skipped=1)]
    commands: list[c.TaskCommand] = [
        submit,
        c.CancelTask(),
        *(c.FinishTask(tally=tally) for tally in ends),
        c.RecordCallbackFailed(attempt=1, status_code=500),
        c.RecordCallbackDelivered(attempt=1, status_code=200),
    ]
    examples: list[Event] = [
        t.TaskSubmitted(knowledge_base_id=KNOWLEDGE_BASE, documents=2),
        t.TaskCancelled(),
        t.TaskFinished(succeeded=1, failed=1, cancelled=0, skipped=0),
        t.CallbackDelivered(attempt=1, status_code=200),
        t.CallbackFailed(attempt=1, status_code=500),
    ]
    return explore(TASK, examples, lambda _state: commands, name_of_task, _kind_of_task)


def _kind_of_task(state: TaskState) -> Hashable:
    match state:
        case OpenTask():
            return type(state), state.cancelled_at_us is None
        case FinishedTask():
            return type(state), state.outcome, state.cancelled_at_us is None
        case _:
            return type(state)


def knowledge_bases() -> Explored[KnowledgeBaseState]:
    """The lifecycle of a knowledge base."""
    commands: list[c.KnowledgeBaseCommand] = [
        c.CreateKnowledgeBase(name="a"),
        c.ChangeKnowledgeBase(name="b"),
        c.StartIndexGeneration(generation=2),
        c.ActivateIndexGeneration(generation=2),
        c.AbandonIndexGeneration(),
        c.DeleteKnowledgeBase(),
    ]
    examples: list[Event] = [
        k.KnowledgeBaseCreated(name="a"),
        k.KnowledgeBaseChanged(name="b"),
        k.IndexGenerationStarted(generation=2),
        k.IndexGenerationActivated(generation=2),
        k.IndexGenerationAbandoned(generation=2),
        k.KnowledgeBaseDeleted(),
    ]
    decider = knowledge_base_decider(KNOWLEDGE_BASE)
    return explore(decider, examples, lambda _state: commands, name_of_knowledge_base, _kind_of_knowledge_base)


def _kind_of_knowledge_base(state: KnowledgeBaseState) -> Hashable:
    building = state.building if isinstance(state, ActiveKnowledgeBase) else None
    return type(state), building
