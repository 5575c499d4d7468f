"""What this program cannot read of a frame that is whole: one rule for both forms of the wire."""

from events.envelope import UnknownEvent, UnknownReason
from events.errors import CorruptEvent
from events.type_codes import EVENT_TYPES
from events.upcasters import current_version


def unread(name: str, version: int) -> UnknownEvent | None:
    """None for a type that is known in a version up to today's. Raises CorruptEvent for versions that never were."""
    if name not in EVENT_TYPES:
        return UnknownEvent(name, version, UnknownReason.UNKNOWN_TYPE)
    if version > current_version(name):
        return UnknownEvent(name, version, UnknownReason.NEWER_VERSION)
    if version < 1:
        raise CorruptEvent(f"{name} has no version {version}")
    return None
