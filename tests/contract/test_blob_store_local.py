"""The directory keeps the blob store contract."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from blobs.local import LocalBlobStore
from tests.contract.blob_store_contract import BlobStoreContract, Leftovers


class TestLocalBlobStore(BlobStoreContract):
    @pytest.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[LocalBlobStore]:
        store = LocalBlobStore(tmp_path / "blobs")
        yield store
        await store.close()

    @pytest.fixture
    def leftovers(self, tmp_path: Path) -> Leftovers:
        async def count() -> int:
            return len(list((tmp_path / "blobs" / ".tmp").iterdir()))

        return count
