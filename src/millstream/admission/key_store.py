"""Where API keys are kept: the protocol. A version rises with each change, so that seeing one costs one short call."""

from collections.abc import Mapping
from typing import Protocol

import msgspec

from domain.api_keys import KeyRecord


class KeysSeen(msgspec.Struct, frozen=True):
    """Every key at one moment, in the order of their ids. `version` 0: no key was ever made."""

    version: int
    records: tuple[KeyRecord, ...]


class KeyStore(Protocol):
    """Raises LogUnavailable and LogFull from every call."""

    async def version(self) -> int:
        """How many changes there have been."""
        ...

    async def read(self) -> KeysSeen:
        """All keys, the revoked ones too."""
        ...

    async def put(self, record: KeyRecord, *, before: KeyRecord | None) -> bool:
        """Replaces what was there; False where something else is there than `before` (None: nothing)."""
        ...

    async def take_over(self, seen: KeysSeen) -> bool:
        """Puts all of a copy in place of what is there; False where what is there has the same version or a later."""
        ...

    async def note_used(self, used_at_us: Mapping[str, int]) -> None:
        """When keys were used last, by id."""
        ...

    async def used(self) -> dict[str, int]:
        """What was noted."""
        ...
