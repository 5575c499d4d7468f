"""MemoryKeyStore keeps the contract."""

import pytest

from millstream.admission.key_store import KeyStore
from millstream.admission.memory_key_store import MemoryKeyStore
from tests.contract.key_store_contract import KeyStoreContract


class TestMemoryKeyStore(KeyStoreContract):
    @pytest.fixture
    def store(self) -> KeyStore:
        return MemoryKeyStore()
