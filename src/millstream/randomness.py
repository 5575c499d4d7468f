"""Random bytes for ids, many by one call of the kernel: an upload makes five ids, and each call of the kernel gives the
interpreter's lock away to whichever thread waits for it."""

import os
from secrets import token_bytes
from typing import Final

POOLED_BYTES: Final = 10
"""What an id takes."""

AT_ONCE: Final = 256

_pool: Final[list[bytes]] = []
os.register_at_fork(after_in_child=_pool.clear)  # two processes must not hand out the same


def pooled_bytes(count: int) -> bytes:
    """`count` random bytes. For names, not for secrets: what comes next lies in memory. Good for several threads."""
    if count != POOLED_BYTES:
        return token_bytes(count)
    try:
        return _pool.pop()
    except IndexError:
        fetched = token_bytes(count * AT_ONCE)
        _pool.extend([fetched[at : at + count] for at in range(count, len(fetched), count)])
        return fetched[:count]
