"""Facts as maps, each field under its name and those that are as by default left out: what programs up to November 2026
wrote into the log, and what clients are shown.

Facts themselves are arrays to msgspec (`facts_by_place`), so that each type has a second struct here for its maps.
"""

from typing import Any, Final

import msgspec

from events.envelope import Fact


class _Maps(dict[type[Fact], type[msgspec.Struct]]):
    def __missing__(self, fact: type[Fact]) -> type[msgspec.Struct]:
        fields: list[Any] = []
        for field in msgspec.structs.fields(fact):
            default = msgspec.field(default=field.default, default_factory=field.default_factory)  # type: ignore[call-overload]
            fields.append((field.name, field.type) if field.required else (field.name, field.type, default))
        found = self[fact] = msgspec.defstruct(fact.__name__, fields, frozen=True, omit_defaults=True, gc=False)
        return found


MAPS: Final = _Maps()
"""By type of fact the struct that is a map on the wire, with the same fields in the same order; made as it is asked
for."""


def as_map(fact: Fact) -> msgspec.Struct:
    """A fact as it is encoded by name."""
    found: msgspec.Struct = MAPS[type(fact)](*msgspec.structs.astuple(fact))
    return found


def shown(fact: Fact) -> dict[str, Any]:
    """A fact's fields by name, of plain values, without those that are as by default."""
    found: dict[str, Any] = msgspec.to_builtins(as_map(fact))
    return found
