"""Facts in memory turned into those of a newer program, and back."""

import msgspec

from events.memory import MemoryLog
from events.type_codes import TYPE_CODES

TYPE, SCHEMA_VERSION = 1, 2
"""Their places in an envelope on the wire."""


def written_in_version(log: MemoryLog, event_type: str, schema_version: int) -> int:
    """Says of every fact of this type that it was written in that version; answers how many there are."""
    changed = 0
    for partition in log.store.partitions:
        for entry in partition.log:
            frame = msgspec.msgpack.decode(entry.payload)
            if frame[TYPE] == TYPE_CODES[event_type]:
                frame[SCHEMA_VERSION] = schema_version
                entry.payload = msgspec.msgpack.encode(frame)
                changed += 1
    return changed
