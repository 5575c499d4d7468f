"""From names to addresses: the protocol."""

from collections.abc import Sequence
from typing import Protocol


class Resolver(Protocol):
    """Every address of a name, as text, in the order in which to try them."""

    async def resolve(self, name: str) -> Sequence[str]:
        """Raises Unresolvable where there is none. May take for ever; whoever asks has a deadline."""
        ...
