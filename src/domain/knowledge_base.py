"""A knowledge base's states; decide and evolve."""

from typing import assert_never

import msgspec
from msgspec.structs import replace

from domain import commands as c
from domain.errors import ImpossibleEvent, RefusalCode, Refused
from events import knowledge_base as facts
from events.envelope import Event
from events.knowledge_base import KnowledgeBaseEvent, KnowledgeBaseSettings


class UnknownKnowledgeBase(msgspec.Struct, frozen=True, tag=True):
    """No such knowledge base."""


class ActiveKnowledgeBase(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """Takes documents and answers searches from index `generation`; `building` is one in the making."""

    name: str
    description: str
    settings: KnowledgeBaseSettings
    created_at_us: int
    changed_at_us: int
    generation: int = 1
    building: int | None = None


class DeletedKnowledgeBase(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """Takes nothing any more; its documents are being erased, or are."""

    before: ActiveKnowledgeBase
    deleted_at_us: int


KnowledgeBaseState = UnknownKnowledgeBase | ActiveKnowledgeBase | DeletedKnowledgeBase


def active(state: KnowledgeBaseState) -> ActiveKnowledgeBase:
    """The knowledge base, if it can be worked with; raises Refused."""
    match state:
        case ActiveKnowledgeBase():
            return state
        case UnknownKnowledgeBase():
            raise Refused(RefusalCode.UNKNOWN_KNOWLEDGE_BASE, "there is no knowledge base with this id")
        case DeletedKnowledgeBase():
            raise Refused(RefusalCode.KNOWLEDGE_BASE_DELETED, "the knowledge base was deleted")
        case _:
            assert_never(state)


def decide(command: c.KnowledgeBaseCommand, state: KnowledgeBaseState) -> tuple[KnowledgeBaseEvent, ...]:
    """No event where the command was carried out before; raises Refused."""
    match command:
        case c.CreateKnowledgeBase():
            return _create(command, state)
        case c.ChangeKnowledgeBase():
            return _change(command, active(state))
        case c.StartIndexGeneration():
            known = active(state)
            if known.building is not None or command.generation <= known.generation:
                return ()
            return (facts.IndexGenerationStarted(generation=command.generation),)
        case c.ActivateIndexGeneration():
            if active(state).building != command.generation:
                return ()
            return (facts.IndexGenerationActivated(generation=command.generation),)
        case c.DeleteKnowledgeBase():
            if isinstance(state, DeletedKnowledgeBase):
                return ()
            active(state)
            return (facts.KnowledgeBaseDeleted(reason=command.reason),)
        case _:
            assert_never(command)


def evolve(state: KnowledgeBaseState, event: Event, at_us: int) -> KnowledgeBaseState:
    """Raises ImpossibleEvent for an event that cannot follow."""
    match state, event:
        case UnknownKnowledgeBase(), facts.KnowledgeBaseCreated():
            return ActiveKnowledgeBase(
                name=event.name,
                description=event.description,
                settings=event.settings,
                created_at_us=at_us,
                changed_at_us=at_us,
            )
        case ActiveKnowledgeBase(), facts.KnowledgeBaseChanged():
            return replace(
                state,
                name=state.name if event.name is None else event.name,
                description=state.description if event.description is None else event.description,
                settings=state.settings if event.settings is None else event.settings,
                changed_at_us=at_us,
            )
        case ActiveKnowledgeBase(building=None), facts.IndexGenerationStarted():
            return replace(state, building=event.generation)
        case ActiveKnowledgeBase(building=int()), facts.IndexGenerationActivated():
            return replace(state, generation=event.generation, building=None)
        case ActiveKnowledgeBase(), facts.KnowledgeBaseDeleted():
            return DeletedKnowledgeBase(before=state, deleted_at_us=at_us)
        case _:
            raise ImpossibleEvent(f"{type(event).__name__} cannot follow {type(state).__name__}")


def _create(command: c.CreateKnowledgeBase, state: KnowledgeBaseState) -> tuple[KnowledgeBaseEvent, ...]:
    match state:
        case UnknownKnowledgeBase():
            return (
                facts.KnowledgeBaseCreated(
                    name=command.name, description=command.description, settings=command.settings
                ),
            )
        case ActiveKnowledgeBase():
            return ()
        case DeletedKnowledgeBase():
            raise Refused(
                RefusalCode.KNOWLEDGE_BASE_DELETED,
                "the knowledge base that this Idempotency-Key made was deleted; use a new key",
            )
        case _:
            assert_never(state)


def _change(command: c.ChangeKnowledgeBase, state: ActiveKnowledgeBase) -> tuple[KnowledgeBaseEvent, ...]:
    name = command.name if command.name != state.name else None
    description = command.description if command.description != state.description else None
    settings = command.settings if command.settings != state.settings else None
    if settings is not None and _shapes_the_index(settings) != _shapes_the_index(state.settings):
        raise Refused(
            RefusalCode.REINDEX_REQUIRED,
            "chunking and embedding cannot change under documents that are indexed already; "
            "create another knowledge base with these settings and upload the documents to it",
        )
    if name is None and description is None and settings is None:
        return ()
    return (facts.KnowledgeBaseChanged(name=name, description=description, settings=settings),)


def _shapes_the_index(settings: KnowledgeBaseSettings) -> KnowledgeBaseSettings:
    """What is left of the settings once those that only searches read are set aside."""
    return replace(settings, vector_weight=None, fusion=msgspec.UNSET)
