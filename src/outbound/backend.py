"""The network below the client: it connects to the address that was checked, so that no second look-up can differ."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final

import httpcore

from outbound.addresses import reached
from outbound.errors import FetchFailed
from outbound.guard import Guard
from outbound.hosts import host_of
from outbound.urls import Place

ATTEMPTS_MAX: Final = 4
"""Addresses of one host that are tried, one after the other."""


class CheckedBackend(httpcore.AsyncNetworkBackend):
    """Resolves through the guard and connects by address; TLS and the Host header still see the name.

    `connect_s_max` is for resolving and connecting together, whatever httpcore was told.
    """

    def __init__(
        self, guard: Guard, *, connect_s_max: float, network: httpcore.AsyncNetworkBackend | None = None
    ) -> None:
        self._guard = guard
        self._connect_s_max = connect_s_max
        self._network = network or httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        try:
            async with asyncio.timeout(self._connect_s_max):
                addresses = await self._guard.addresses(_place(host, port))
                return await self._first_connection(
                    [str(reached(address)) for address in addresses[:ATTEMPTS_MAX]],
                    lambda address: self._network.connect_tcp(address, port, timeout, local_address, socket_options),
                )
        except TimeoutError as error:
            raise FetchFailed(f"no connection within {self._connect_s_max:g} s") from error

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def _first_connection(
        self, addresses: Sequence[str], connect: Callable[[str], Awaitable[httpcore.AsyncNetworkStream]]
    ) -> httpcore.AsyncNetworkStream:
        failure: Exception | None = None
        for address in addresses:
            try:
                return await connect(address)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise FetchFailed("no address of the host takes a connection") from failure


def _place(host: str | bytes, port: int) -> Place:
    """httpcore gives names as bytes or as text, and IPv6 addresses without brackets; a comparison of one kind with the
    other would be false and let a checked name pass for another."""
    text = host.decode("ascii") if isinstance(host, bytes) else host
    return Place(host_of(f"[{text}]" if ":" in text else text), port)
