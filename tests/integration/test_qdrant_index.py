"""The index on Qdrant, in the local mode of its client."""
from collections.abc import AsyncIterator
import pytest
from qdrant_client import AsyncQdrantClient
from knowledge.index import Index
from knowledge.qdrant_index import QdrantIndex
from tests.contract.index_contract import IndexContract


class TestQdrantIndexInLocalMode(IndexContract):
    @pytest.fixture
    async def index(self) -> AsyncIterator[Index]:
        index = QdrantIndex(AsyncQdrantClient(":memory:"))
        yield index
        await index.close()
