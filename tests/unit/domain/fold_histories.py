"""Program of the first law: folds the histories on its standard input, in a process of its own.

In: a MessagePack array of histories, each an array of encoded envelopes. Out: one of encoded states and versions.
"""

import sys

import msgspec

from domain.decider import fold
from domain.deciders import DOCUMENT
from events.codec import decode


def fold_all(histories: bytes) -> bytes:
    """Folds documents' histories from and to bytes."""
    folded = [
        fold(DOCUMENT, [decode(payload) for payload in history])
        for history in msgspec.msgpack.decode(histories, type=list[list[bytes]])
    ]
    return msgspec.msgpack.encode(folded)


if __name__ == "__main__":
    sys.stdout.buffer.write(fold_all(sys.stdin.buffer.read()))
