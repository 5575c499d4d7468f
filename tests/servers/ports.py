"""Ports of loopback: one that stays ours while whoever serves there is away, and some that nobody had a moment ago."""

import os
import socket
from contextlib import ExitStack
from typing import Final

PORT_MAX: Final = 65_535

_FIRST: Final = 21_000
"""Below the ports that Linux gives to clients: 32768 and up."""


def reserved_port() -> socket.socket:
    """Bound and not listening: a server may listen there again and again, and nobody else gets the port meanwhile."""
    reserved = socket.socket()
    reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    reserved.bind(("127.0.0.1", 0))
    return reserved


def free_port() -> int:
    """Of a moment ago; for a server that is told its port, and whose first start may fail."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def free_ports_in_a_row(count: int) -> int:
    """The first of them, of a moment ago; each process of tests begins to look elsewhere."""
    begin = _FIRST + os.getpid() % 3_000 * count % 10_000
    for first in range(begin, begin + 100 * count, count):
        with ExitStack() as stack:
            probes = [stack.enter_context(socket.socket()) for _ in range(count)]
            try:
                for place, probe in enumerate(probes):
                    probe.bind(("127.0.0.1", first + place))
            except OSError:
                continue
            return first
    raise AssertionError("no ports are free")


def free_ports(count: int, *, beside: int | None = None) -> list[int]:
    """Several of a moment ago, no two the same; with `beside` the port so far above each is free too."""
    with ExitStack() as held:
        found: list[int] = []
        while len(found) < count:
            port = _held(held, 0)
            if port is None or (beside is not None and (port + beside > PORT_MAX or not _held(held, port + beside))):
                continue
            found.append(port)
        return found


def _held(stack: ExitStack, port: int) -> int | None:
    """The port, 0 is any, as long as the stack lasts; None where somebody has it."""
    one = stack.enter_context(socket.socket())
    try:
        one.bind(("127.0.0.1", port))
    except OSError:
        return None
    bound: int = one.getsockname()[1]
    return bound
