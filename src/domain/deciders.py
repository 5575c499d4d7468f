"""The three deciders, put together."""

from typing import assert_never

from domain import counts, document_decide, document_evolve, knowledge_base, task
from domain.commands import DocumentCommand, KnowledgeBaseCommand, TaskCommand
from domain.decider import Decider, Placement
from domain.document import DocumentState, Erased, Removed, Skipped, Unknown, record_of
from domain.knowledge_base import KnowledgeBaseState, UnknownKnowledgeBase
from domain.task import FinishedTask, OpenTask, TaskState, UnknownTask
from events.ids import KnowledgeBaseId
from events.log import TallyChange
from events.steps import Lane


def _document_placement(state: DocumentState) -> Placement:
    match state:
        case Unknown():
            raise ValueError("a document that does not exist has no place")
        case Skipped():
            return Placement(state.knowledge_base_id, Lane.INTERACTIVE)
        case Removed() | Erased():
            return _document_placement(state.before)
        case _:
            about = record_of(state).about
            return Placement(about.knowledge_base_id, about.lane)


def _task_placement(state: TaskState) -> Placement:
    match state:
        case UnknownTask():
            raise ValueError("a task that does not exist has no place")
        case OpenTask() | FinishedTask():
            return Placement(state.submitted.knowledge_base_id, state.submitted.lane)
        case _:
            assert_never(state)


def _no_tally(_before: object, _after: object) -> tuple[TallyChange, ...]:
    return ()


DOCUMENT: Decider[DocumentState, DocumentCommand] = Decider(
    initial=Unknown(),
    decide=document_decide.decide,
    evolve=document_evolve.evolve,
    placement=_document_placement,
    tally=counts.tally_changes,
)

TASK: Decider[TaskState, TaskCommand] = Decider(
    initial=UnknownTask(), decide=task.decide, evolve=task.evolve, placement=_task_placement, tally=_no_tally
)


def knowledge_base_decider(stream_id: KnowledgeBaseId) -> Decider[KnowledgeBaseState, KnowledgeBaseCommand]:
    """A knowledge base's facts do not repeat its own id, so its place is bound here."""
    return Decider(
        initial=UnknownKnowledgeBase(),
        decide=knowledge_base.decide,
        evolve=knowledge_base.evolve,
        placement=lambda _state: Placement(stream_id, Lane.INTERACTIVE),
        tally=_no_tally,
    )
