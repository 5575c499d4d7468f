"""The reader in memory keeps the contract."""

import pytest

from blobs.objects import MemoryObjects
from tests.contract.object_reader_contract import OBJECTS, ObjectReaderContract


class TestMemoryObjects(ObjectReaderContract):
    @pytest.fixture
    def reader(self) -> MemoryObjects:
        return MemoryObjects(OBJECTS)
