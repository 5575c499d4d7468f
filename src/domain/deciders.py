"""The three deciders, put together."""

from typing import TypeVar, assert_never

from domain import counts, document_decide, document_evolve, duplicates, knowledge_base, task
from domain.commands import DocumentCommand, KnowledgeBaseCommand, TaskCommand
from domain.decider import Decider, Placement
from domain.document import DocumentState, Erased, Removed, Skipped, Unknown, is_recorded, record_of
from domain.knowledge_base import KnowledgeBaseState, UnknownKnowledgeBase
from domain.task import FinishedTask, OpenTask, TaskState, UnknownTask
from events.digests import DigestChange
from events.ids import DocumentId, KnowledgeBaseId
from events.log import TallyChange
from events.steps import Lane

C = TypeVar("C")


def _document_placement(state: DocumentState) -> Placement:
    if is_recorded(state):
        about = record_of(state).about
        return Placement(about.knowledge_base_id, about.lane)
    match state:
        case Skipped():
            return Placement(state.knowledge_base_id, Lane.INTERACTIVE)
        case Removed() | Erased():
            return _document_placement(state.before)
        case _:
            raise ValueError("a document that does not exist has no place")


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


def _no_digests(_before: object, _after: object) -> tuple[DigestChange, ...]:
    return ()


def _asks_nothing(_command: object) -> None:
    return None


def _as_it_is(command: C, _holder: DocumentId | None) -> C:
    return command


DOCUMENT: Decider[DocumentState, DocumentCommand] = Decider(
    initial=Unknown(),
    decide=document_decide.decide,
    evolve=document_evolve.evolve,
    placement=_document_placement,
    tally=counts.tally_changes,
    digests=duplicates.digest_changes,
    digest_asked=duplicates.digest_asked,
    told_holder=duplicates.told_holder,
)

TASK: Decider[TaskState, TaskCommand] = Decider(
    initial=UnknownTask(),
    decide=task.decide,
    evolve=task.evolve,
    placement=_task_placement,
    tally=_no_tally,
    digests=_no_digests,
    digest_asked=_asks_nothing,
    told_holder=_as_it_is,
)


def knowledge_base_decider(stream_id: KnowledgeBaseId) -> Decider[KnowledgeBaseState, KnowledgeBaseCommand]:
    """A knowledge base's facts do not repeat its own id, so its place is bound here."""
    return Decider(
        initial=UnknownKnowledgeBase(),
        decide=knowledge_base.decide,
        evolve=knowledge_base.evolve,
        placement=lambda _state: Placement(stream_id, Lane.INTERACTIVE),
        tally=_no_tally,
        digests=_no_digests,
        digest_asked=_asks_nothing,
        told_holder=_as_it_is,
    )
