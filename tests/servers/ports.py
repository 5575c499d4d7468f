"""Ports of loopback: one that stays ours while whoever serves there is away, and one that nobody had a moment ago."""

import socket


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
