"""A knowledge base's states; decide and evolve."""

from typing import Final, assert_never

import msgspec
from msgspec.structs import replace

from domain import commands as c
from domain.errors import ImpossibleEvent, RefusalCode, Refused
from events import knowledge_base as facts
from events.envelope import Event
from events.knowledge_base import KnowledgeBaseEvent, KnowledgeBaseSettings, Normalization

GENERATION_ENDED: Final = "generation_ended"
"""How a document fails that was cut for an index which was given up meanwhile; it is begun again by itself."""


class UnknownKnowledgeBase(msgspec.Struct, frozen=True, tag=True):
    """No such knowledge base."""


class Generation(msgspec.Struct, frozen=True):
    """One index of a knowledge base, and what its rows are made by."""

    number: int
    settings: KnowledgeBaseSettings


class ActiveKnowledgeBase(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """Takes documents and answers searches from index `generation`; `building` is one in the making.

    `started` is the highest generation that was ever begun, by `last_request`. `ended` is the one that was live before
    the last switch (`switched_at_us`, a giving up counts too), with its settings: documents under way come to their
    end in it.
    """

    name: str
    description: str
    settings: KnowledgeBaseSettings
    created_at_us: int
    changed_at_us: int
    generation: int = 1
    building: int | None = None
    building_settings: KnowledgeBaseSettings | None = None
    last_request: str | None = None
    started: int = 1
    ended: Generation | None = None
    switched_at_us: int = 0

    @property
    def wanted(self) -> int:
        """The generation that every searchable document shall be in."""
        return self.generation if self.building is None else self.building

    def generation_for(self, *, is_searchable: bool) -> Generation:
        """What a document is cut for: one that searches find already goes into the index that is being built, while a
        new one is to be found at once."""
        if self.building is not None and is_searchable:
            return Generation(self.building, self.building_settings or self.settings)
        return Generation(self.generation, self.settings)

    def generation_of(self, number: int) -> Generation | None:
        """A generation that a document was cut for (0: the live one), with its settings; None for one that was
        given up, or ended long ago."""
        if number in {0, self.generation}:
            return Generation(self.generation, self.settings)
        if number == self.building:
            return Generation(number, self.building_settings or self.settings)
        return self.ended if self.ended is not None and number == self.ended.number else None


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
            return _start(command, active(state))
        case c.ActivateIndexGeneration():
            if active(state).building != command.generation:
                return ()
            return (facts.IndexGenerationActivated(generation=command.generation),)
        case c.AbandonIndexGeneration():
            building = active(state).building
            return (
                ()
                if building is None
                else (facts.IndexGenerationAbandoned(generation=building, reason=command.reason),)
            )
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
            return replace(
                state,
                building=event.generation,
                building_settings=event.settings,
                last_request=event.request_sha256,
                started=max(state.started, event.generation),
            )
        case ActiveKnowledgeBase(building=int()), facts.IndexGenerationActivated():
            return replace(
                state,
                generation=event.generation,
                settings=state.building_settings or state.settings,
                building=None,
                building_settings=None,
                ended=Generation(state.generation, state.settings),
                switched_at_us=at_us,
            )
        case ActiveKnowledgeBase(building=int()), facts.IndexGenerationAbandoned():
            return replace(state, building=None, building_settings=None, switched_at_us=at_us)
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


def _start(command: c.StartIndexGeneration, state: ActiveKnowledgeBase) -> tuple[facts.IndexGenerationStarted, ...]:
    """The same request once more begins nothing, whatever became of the first."""
    is_repeated = command.request_sha256 is not None and command.request_sha256 == state.last_request
    generation = command.generation or max(state.started, state.generation) + 1
    settings = command.settings if command.settings != state.settings else None
    if is_repeated or generation <= state.generation:
        return ()
    if state.building is not None:
        if settings == state.building_settings:
            return ()
        raise Refused(RefusalCode.REINDEX_IN_PROGRESS, "another index is being built; wait for it, or give it up first")
    return (
        facts.IndexGenerationStarted(generation=generation, settings=settings, request_sha256=command.request_sha256),
    )


def _change(command: c.ChangeKnowledgeBase, state: ActiveKnowledgeBase) -> tuple[KnowledgeBaseEvent, ...]:
    name = command.name if command.name != state.name else None
    description = command.description if command.description != state.description else None
    settings = command.settings if command.settings != state.settings else None
    if settings is not None and needs_another_index(state.settings, settings):
        raise Refused(
            RefusalCode.REINDEX_REQUIRED,
            "chunking and embedding cannot change under documents that are indexed already; "
            "with `reindex` a new index is built beside the old one, which serves until that is complete",
        )
    if name is None and description is None and settings is None:
        return ()
    return (facts.KnowledgeBaseChanged(name=name, description=description, settings=settings),)


def needs_another_index(before: KnowledgeBaseSettings, after: KnowledgeBaseSettings) -> bool:
    """Whether rows that were made by the one are no use under the other."""
    return _shapes_the_index(before) != _shapes_the_index(after)


def _shapes_the_index(settings: KnowledgeBaseSettings) -> KnowledgeBaseSettings:
    """What is left of the settings once those that only searches read are set aside."""
    return replace(
        settings,
        vector_weight=None,
        fusion=msgspec.UNSET,
        embedding_query_prefix=msgspec.UNSET,
        embedding_normalization=settings.embedding_normalization or Normalization.UNIT,
    )
