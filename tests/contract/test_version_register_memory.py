"""The register in memory keeps the contract."""

import pytest

from knowledge.lance_versions import MemoryVersionRegister, VersionRegister
from tests.contract.version_register_contract import VersionRegisterContract


class TestMemoryVersionRegister(VersionRegisterContract):
    @pytest.fixture
    def register(self) -> VersionRegister:
        return MemoryVersionRegister()
