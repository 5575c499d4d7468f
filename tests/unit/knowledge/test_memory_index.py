"""The index in memory, held to the contract of every index."""

import pytest

from knowledge.index import Index
from knowledge.memory_index import MemoryIndex
from tests.contract.index_contract import IndexContract


class TestMemoryIndex(IndexContract):
    @pytest.fixture
    def index(self) -> Index:
        return MemoryIndex()
