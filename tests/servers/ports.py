"""A port of loopback that stays ours while whoever serves there is away."""

import socket


def reserved_port() -> socket.socket:
    """Bound and not listening: a server may listen there again and again, and nobody else gets the port meanwhile."""
    reserved = socket.socket()
    reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    reserved.bind(("127.0.0.1", 0))
    return reserved
