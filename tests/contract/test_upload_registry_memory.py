"""The registry in memory keeps the contract."""

import pytest

from ingest.memory_uploads import MemoryUploads
from tests.contract.upload_registry_contract import UploadRegistryContract


class TestMemoryUploads(UploadRegistryContract):
    @pytest.fixture
    def registry(self) -> MemoryUploads:
        return MemoryUploads()
