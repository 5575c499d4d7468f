"""This machine's resolver keeps the contract, and hangs alone."""

import asyncio
import socket
import threading
from typing import Any

import pytest

from outbound.errors import Unresolvable
from outbound.system_resolver import SystemResolver
from tests.contract.resolver_contract import ResolverContract


class TestSystemResolver(ResolverContract):
    @pytest.fixture
    def resolver(self) -> SystemResolver:
        return SystemResolver()

    async def test_questions_that_hang_are_counted_until_they_end(self, monkeypatch: pytest.MonkeyPatch) -> None:
        may_answer = threading.Event()

        def hanging(*_arguments: object, **_named: object) -> list[Any]:
            may_answer.wait(10)
            raise OSError

        monkeypatch.setattr(socket, "getaddrinfo", hanging)
        resolver = SystemResolver(questions_max=1)
        first = asyncio.create_task(resolver.resolve("slow.invalid"))
        await asyncio.sleep(0)
        with pytest.raises(Unresolvable, match="too many"):
            await resolver.resolve("second.invalid")
        may_answer.set()
        with pytest.raises(Unresolvable, match="no address"):
            await first
