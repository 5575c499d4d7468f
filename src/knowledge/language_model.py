"""A model that answers in words: protocol, and what goes in and comes out."""

from collections.abc import AsyncIterator, Sequence
from enum import StrEnum
from typing import Protocol

import msgspec


class Role(StrEnum):
    """Who speaks: the rules, or whoever asks."""

    SYSTEM = "system"
    USER = "user"


class Message(msgspec.Struct, frozen=True):
    """One turn of a conversation."""

    role: Role
    text: str


class Usage(msgspec.Struct, frozen=True):
    """Tokens as the provider counts them; null where it does not say."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class Finished(msgspec.Struct, frozen=True):
    """The model has ended; `is_cut`: because of a limit, in the middle of its words."""

    usage: Usage = Usage()
    is_cut: bool = False


Piece = str | Finished


class LanguageModel(Protocol):
    """Goes on with a conversation."""

    @property
    def model(self) -> str:
        """The name that an answer shows."""

    def stream(self, messages: Sequence[Message]) -> AsyncIterator[Piece]:
        """The answer piece by piece, then `Finished`. Raises ProviderError and nothing else."""

    async def warm(self) -> None:
        """Loads what is slow to load, without asking anybody."""

    async def close(self) -> None:
        """Gives back connections."""
