"""What is loaded ahead: which steps need what, and that the garbage collector does not look at it for ever."""

import asyncio
import gc

import pytest

from events.steps import Step
from ingest.problems import ProblemCode, Rejected
from millstream.collecting import import_for_good
from millstream.warming import CHUNKING_STEPS, SEARCHING_STEPS, until_searchable


@pytest.fixture(autouse=True)
def _only_what_is_held_is_frozen() -> None:
    gc.collect()


def test_what_was_imported_for_good_is_not_looked_at_again() -> None:
    before = gc.get_freeze_count()
    import_for_good("json.tool")
    assert gc.get_freeze_count() > before
    assert gc.isenabled()


def test_garbage_is_collected_again_after_an_import_that_failed() -> None:
    with pytest.raises(ModuleNotFoundError):
        import_for_good("knowledge.nothing_of_this_name")
    assert gc.isenabled()


def test_a_worker_that_only_fetches_and_parses_loads_neither_splitters_nor_the_index() -> None:
    assert {Step.FETCH, Step.PARSE, Step.FINISH}.isdisjoint(CHUNKING_STEPS | SEARCHING_STEPS)


async def test_a_search_waits_for_the_index_to_be_loaded_but_not_for_ever() -> None:
    can_search = asyncio.Event()
    with pytest.raises(Rejected) as raised:
        await until_searchable(can_search, 0.01)
    assert raised.value.code is ProblemCode.DEPENDENCY_UNAVAILABLE
    assert raised.value.retry_after_s
    asyncio.get_running_loop().call_soon(can_search.set)
    await until_searchable(can_search, 60)
    assert can_search.is_set()
