"""What follows from each command about a knowledge base, in each of its states."""

import pytest

from domain import commands as c
from domain.deciders import knowledge_base_decider
from domain.errors import ImpossibleEvent, RefusalCode, Refused
from domain.knowledge_base import ActiveKnowledgeBase, DeletedKnowledgeBase, Generation, KnowledgeBaseState, active
from events import knowledge_base as k
from events.envelope import Event
from events.knowledge_base import ChunkerKind, KnowledgeBaseSettings
from tests.specification import Given
from tests.specification import given as given_events
from tests.strategies import KNOWLEDGE_BASE

SETTINGS = KnowledgeBaseSettings(chunk_tokens=128)
CREATE = c.CreateKnowledgeBase(name="手册", description="all of it", settings=SETTINGS)
CREATED = k.KnowledgeBaseCreated(name="手册", description="all of it", settings=SETTINGS)
STARTED = k.IndexGenerationStarted(generation=2)
ACTIVATED = k.IndexGenerationActivated(generation=2)
DELETE = c.DeleteKnowledgeBase(reason="done with it")
DELETED = k.KnowledgeBaseDeleted(reason="done with it")
START = c.StartIndexGeneration(generation=2)
ACTIVATE = c.ActivateIndexGeneration(generation=2)
RENAME = c.ChangeKnowledgeBase(name="handbook")


def given(*events: Event) -> Given[KnowledgeBaseState, c.KnowledgeBaseCommand]:
    return given_events(knowledge_base_decider(KNOWLEDGE_BASE), *events)


def test_a_knowledge_base_is_created() -> None:
    given().when(CREATE).then(CREATED)


def test_creating_twice_is_creating_once() -> None:
    given(CREATED).when(CREATE).then_nothing()


def test_a_deleted_knowledge_base_is_not_created_again_under_its_old_key() -> None:
    given(CREATED, DELETED).when(CREATE).then_refused(RefusalCode.KNOWLEDGE_BASE_DELETED)


def test_only_what_differs_is_recorded_as_changed() -> None:
    change = c.ChangeKnowledgeBase(name="handbook", description="all of it", settings=SETTINGS)
    given(CREATED).when(change).then(k.KnowledgeBaseChanged(name="handbook"))
    emptied = c.ChangeKnowledgeBase(description="")
    given(CREATED).when(emptied).then(k.KnowledgeBaseChanged(description=""))


def test_a_change_to_what_is_so_already_is_none() -> None:
    given(CREATED).when(c.ChangeKnowledgeBase()).then_nothing()
    given(CREATED, k.KnowledgeBaseChanged(name="handbook")).when(RENAME).then_nothing()


@pytest.mark.parametrize(
    "settings",
    [
        KnowledgeBaseSettings(chunk_tokens=128, vector_weight=0.3),
        KnowledgeBaseSettings(chunk_tokens=128, embedding_query_prefix="query: "),
        KnowledgeBaseSettings(chunk_tokens=128, embedding_normalization=k.Normalization.UNIT),
    ],
    ids=["weight", "query prefix", "what was never recorded and always so"],
)
def test_what_only_searches_read_may_change_at_any_time(settings: KnowledgeBaseSettings) -> None:
    change = c.ChangeKnowledgeBase(settings=settings)
    given(CREATED).when(change).then(k.KnowledgeBaseChanged(settings=settings))


@pytest.mark.parametrize(
    "settings",
    [
        KnowledgeBaseSettings(chunk_tokens=256),
        KnowledgeBaseSettings(chunk_tokens=128, chunk_overlap_tokens=0),
        KnowledgeBaseSettings(chunk_tokens=128, chunker=ChunkerKind.TOKENS),
        KnowledgeBaseSettings(chunk_tokens=128, embedding_model="bge-m3"),
        KnowledgeBaseSettings(chunk_tokens=128, embedding_dimensions=8),
        KnowledgeBaseSettings(chunk_tokens=128, embedding_passage_prefix="passage: "),
    ],
    ids=["chunk size", "overlap", "chunker", "model", "dimensions", "passage prefix"],
)
def test_what_the_index_is_made_of_does_not_change_under_indexed_documents(settings: KnowledgeBaseSettings) -> None:
    given(CREATED).when(c.ChangeKnowledgeBase(settings=settings)).then_refused(RefusalCode.REINDEX_REQUIRED)


def test_a_change_keeps_what_it_does_not_name() -> None:
    state = given(CREATED, k.KnowledgeBaseChanged(name="handbook")).state

    assert isinstance(state, ActiveKnowledgeBase)
    assert (state.name, state.description, state.settings) == ("handbook", "all of it", SETTINGS)
    assert (state.created_at_us, state.changed_at_us) == (1, 2)


def test_a_new_index_is_built_beside_the_old_one_and_swapped_in() -> None:
    given(CREATED).when(START).then(STARTED)
    building = given(CREATED, STARTED)
    assert isinstance(building.state, ActiveKnowledgeBase)
    assert (building.state.generation, building.state.building) == (1, 2)

    building.when(ACTIVATE).then(ACTIVATED)
    state = given(CREATED, STARTED, ACTIVATED).state
    assert isinstance(state, ActiveKnowledgeBase)
    assert (state.generation, state.building) == (2, None)


@pytest.mark.parametrize(
    "past", [(CREATED, STARTED), (CREATED, STARTED, ACTIVATED)], ids=["in the making", "already active"]
)
def test_a_generation_is_started_once(past: tuple[Event, ...]) -> None:
    given(*past).when(START).then_nothing()


def test_one_generation_is_built_at_a_time() -> None:
    given(CREATED, STARTED).when(c.StartIndexGeneration(generation=3)).then_nothing()


def test_an_older_generation_is_not_started() -> None:
    given(CREATED, STARTED, ACTIVATED).when(c.StartIndexGeneration(generation=1)).then_nothing()


@pytest.mark.parametrize("generation", [1, 3])
def test_only_the_generation_in_the_making_is_activated(generation: int) -> None:
    given(CREATED, STARTED).when(c.ActivateIndexGeneration(generation=generation)).then_nothing()


@pytest.mark.parametrize(
    "past", [(CREATED,), (CREATED, STARTED, ACTIVATED)], ids=["none in the making", "already active"]
)
def test_a_generation_is_activated_once(past: tuple[Event, ...]) -> None:
    given(*past).when(ACTIVATE).then_nothing()


def test_a_knowledge_base_is_deleted() -> None:
    given(CREATED).when(DELETE).then(DELETED)
    state = given(CREATED, DELETED).state
    assert isinstance(state, DeletedKnowledgeBase)
    assert (state.before, state.deleted_at_us) == (given(CREATED).state, 2)


def test_deleting_twice_is_deleting_once() -> None:
    given(CREATED, DELETED).when(DELETE).then_nothing()


EVERYTHING_ELSE = {"change": RENAME, "start": START, "activate": ACTIVATE}


@pytest.mark.parametrize("command", EVERYTHING_ELSE.values(), ids=EVERYTHING_ELSE)
def test_nothing_is_done_with_a_deleted_knowledge_base(command: c.KnowledgeBaseCommand) -> None:
    given(CREATED, DELETED).when(command).then_refused(RefusalCode.KNOWLEDGE_BASE_DELETED)


@pytest.mark.parametrize("command", [*EVERYTHING_ELSE.values(), DELETE], ids=[*EVERYTHING_ELSE, "delete"])
def test_nothing_is_done_with_a_knowledge_base_that_does_not_exist(command: c.KnowledgeBaseCommand) -> None:
    given().when(command).then_refused(RefusalCode.UNKNOWN_KNOWLEDGE_BASE)


def test_whoever_needs_an_active_knowledge_base_is_handed_it() -> None:
    assert active(given(CREATED).state).name == "手册"


@pytest.mark.parametrize(
    ("past", "code"),
    [((), RefusalCode.UNKNOWN_KNOWLEDGE_BASE), ((CREATED, DELETED), RefusalCode.KNOWLEDGE_BASE_DELETED)],
    ids=["unknown", "deleted"],
)
def test_whoever_needs_an_active_knowledge_base_is_told_why_there_is_none(
    past: tuple[Event, ...], code: RefusalCode
) -> None:
    with pytest.raises(Refused) as refused:
        active(given(*past).state)
    assert refused.value.code is code


@pytest.mark.parametrize("past", [(STARTED,), (CREATED, ACTIVATED), (CREATED, STARTED, STARTED)], ids=str)
def test_a_history_that_cannot_be_is_refused_loudly(past: tuple[Event, ...]) -> None:
    with pytest.raises(ImpossibleEvent, match="cannot follow"):
        given(*past)


OTHER = KnowledgeBaseSettings(chunk_tokens=64)
BUILDING = k.IndexGenerationStarted(generation=2, settings=OTHER)
ABANDONED = k.IndexGenerationAbandoned(generation=2, reason="no")


def test_an_index_by_other_settings_is_begun_under_the_next_number_and_its_settings_hold_with_the_switch() -> None:
    given(CREATED).when(c.StartIndexGeneration(settings=OTHER)).then(BUILDING)
    given(CREATED).when(c.StartIndexGeneration(settings=SETTINGS)).then(STARTED)
    building, switched = active(given(CREATED, BUILDING).state), active(given(CREATED, BUILDING, ACTIVATED).state)

    assert (building.settings, building.building_settings, building.wanted) == (SETTINGS, OTHER, 2)
    assert (switched.settings, switched.building, switched.generation, switched.wanted) == (OTHER, None, 2, 2)


def test_another_index_is_refused_while_one_is_built_and_the_same_is_no_second() -> None:
    given(CREATED, BUILDING).when(c.StartIndexGeneration(settings=OTHER)).then_nothing()
    given(CREATED, BUILDING).when(c.StartIndexGeneration()).then_refused(RefusalCode.REINDEX_IN_PROGRESS)


def test_a_request_begins_one_index_whatever_became_of_it() -> None:
    asked = c.StartIndexGeneration(settings=OTHER, request_sha256="a" * 64)
    begun = k.IndexGenerationStarted(generation=2, settings=OTHER, request_sha256="a" * 64)
    given(CREATED).when(asked).then(begun)
    for later in ((), (ACTIVATED,), (ABANDONED,)):
        given(CREATED, begun, *later).when(asked).then_nothing()


def test_what_is_built_may_be_given_up_and_its_number_is_not_given_again() -> None:
    given(CREATED, BUILDING).when(c.AbandonIndexGeneration(reason="no")).then(ABANDONED)
    given(CREATED).when(c.AbandonIndexGeneration()).then_nothing()
    given(CREATED, BUILDING, ABANDONED).when(ACTIVATE).then_nothing()
    third = k.IndexGenerationStarted(generation=3, settings=OTHER)
    given(CREATED, BUILDING, ABANDONED).when(c.StartIndexGeneration(settings=OTHER)).then(third)
    state = active(given(CREATED, BUILDING, ABANDONED).state)
    assert (state.generation, state.settings, state.building) == (1, SETTINGS, None)


def test_a_document_is_cut_for_the_new_index_if_searches_find_it_and_keeps_to_what_it_was_cut_for() -> None:
    building = active(given(CREATED, BUILDING).state)
    switched = active(given(CREATED, BUILDING, ACTIVATED).state)
    given_up = active(given(CREATED, BUILDING, ABANDONED).state)

    assert building.generation_for(is_searchable=True) == Generation(2, OTHER)
    assert building.generation_for(is_searchable=False) == Generation(1, SETTINGS)
    assert [building.generation_of(one) for one in (0, 1, 2, 3)] == [
        Generation(1, SETTINGS),
        Generation(1, SETTINGS),
        Generation(2, OTHER),
        None,
    ]
    assert switched.generation_of(1) == Generation(1, SETTINGS), "those under way come to their end"
    assert given_up.generation_of(2) is None
