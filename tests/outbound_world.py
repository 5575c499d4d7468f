"""What tests of outbound calls share: a network that notes every connection, and guards over a table of names."""

from collections.abc import Iterable, Mapping, Sequence

import httpcore

from outbound.backend import CheckedBackend
from outbound.guard import Guard
from outbound.memory_resolver import MemoryResolver
from outbound.rules import rules_of


class NotedNetwork(httpcore.AsyncNetworkBackend):
    """Lets nobody out; `connected` is every address that somebody wanted to reach."""

    def __init__(self) -> None:
        self.connected: list[str] = []

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        self.connected.append(f"{host}:{port}")
        raise httpcore.ConnectError("this network ends here")


def guard_over(answers: Mapping[str, Sequence[str]], *, allow: str = "", resolve_s_max: float = 5.0) -> Guard:
    return Guard(rules_of(allow, "80,443"), MemoryResolver(answers), resolve_s_max=resolve_s_max)


def backend_over(guard: Guard, network: httpcore.AsyncNetworkBackend) -> CheckedBackend:
    return CheckedBackend(guard, connect_s_max=5.0, network=network)
