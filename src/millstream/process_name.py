"""What a process is called where it holds a lease, a delivery or a turn."""

import os
import secrets
import socket


def process_name(role: str) -> str:
    """Unique among all processes that ever run: role, host, pid and chance."""
    return f"{role}@{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
