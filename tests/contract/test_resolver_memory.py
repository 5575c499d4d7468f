"""The resolver in memory keeps the contract."""

import pytest

from outbound.memory_resolver import MemoryResolver
from tests.contract.resolver_contract import ResolverContract


class TestMemoryResolver(ResolverContract):
    @pytest.fixture
    def resolver(self) -> MemoryResolver:
        return MemoryResolver({"localhost": ["127.0.0.1"]})
