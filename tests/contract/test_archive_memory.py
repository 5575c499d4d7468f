"""Log and archive in memory keep the contract."""

import pytest

from blobs.memory import MemoryBlobStore
from tests.contract.archive_contract import ArchiveContract
from tests.contract.archive_world import ArchiveWorld, MemoryArchiveWorld


class TestMemoryArchive(ArchiveContract):
    @pytest.fixture
    def world(self) -> ArchiveWorld:
        return MemoryArchiveWorld(MemoryBlobStore())
