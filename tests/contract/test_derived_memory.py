"""What follows from the log, made anew in memory, keeps the contract."""

import pytest

from events.derived import DerivedStore
from events.memory_derived import MemoryDerived
from tests.contract.derived_contract import DerivedContract, DerivedWorld
from tests.contract.digest_contract import DigestContract
from tests.contract.log_world import MemoryWorld


class _World(MemoryWorld):
    def __init__(self) -> None:
        super().__init__()
        self.derived: DerivedStore = MemoryDerived(self.memory)

    async def lose_everything_derived(self) -> None:
        for state in self.memory.store.partitions:
            state.inboxes.clear()
            state.due.clear()
            state.dead.clear()
            state.tallies.clear()
            state.digests.clear()


class TestMemoryDerived(DerivedContract):
    @pytest.fixture
    def world(self) -> DerivedWorld:
        return _World()


class TestMemoryDigests(DigestContract):
    @pytest.fixture
    def world(self) -> DerivedWorld:
        return _World()
