"""The dictionary keeps the blob store contract."""

import pytest

from blobs.memory import MemoryBlobStore
from tests.contract.blob_store_contract import BlobStoreContract, Leftovers


class TestMemoryBlobStore(BlobStoreContract):
    @pytest.fixture
    def store(self) -> MemoryBlobStore:
        return MemoryBlobStore()

    @pytest.fixture
    def leftovers(self, store: MemoryBlobStore) -> Leftovers:
        async def count() -> int:
            return 0  # a writer of this store holds its bytes itself: they go with it

        return count
