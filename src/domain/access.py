"""Who asks, and what they may: scopes, and the knowledge bases that a key is bound to."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any, Final

import msgspec

from events.ids import KnowledgeBaseId, uuid8_hex

Bound = frozenset[KnowledgeBaseId] | None
"""The knowledge bases that who asks may see; None: all."""

ANONYMOUS: Final = "anonymous"
"""The actor of every request as long as there are no keys."""

_STATE: Final = "principal"


class Scope(StrEnum):
    """What a key is good for: `admin` includes `write`, and `write` includes `read`."""

    READ = "read"
    WRITE = "write"
    ADMIN = "admin"


_INCLUDED: Final[Mapping[Scope, frozenset[Scope]]] = {
    Scope.READ: frozenset({Scope.READ}),
    Scope.WRITE: frozenset({Scope.READ, Scope.WRITE}),
    Scope.ADMIN: frozenset(Scope),
}


def with_included(scopes: Iterable[Scope]) -> frozenset[Scope]:
    """The scopes with those that they include."""
    return frozenset(one for scope in scopes for one in _INCLUDED[scope])


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks. `scopes` with what they include; `knowledge_bases` None is bound to none: all may be seen."""

    actor: str
    scopes: frozenset[Scope]
    knowledge_bases: Bound = None

    def may(self, scope: Scope) -> bool:
        """Whether calls that need this scope are allowed."""
        return scope in self.scopes

    def may_see(self, knowledge_base: str | None) -> bool:
        """Whether what belongs to this knowledge base exists for who asks; None belongs to nobody that is bound."""
        return self.knowledge_bases is None or knowledge_base in self.knowledge_bases


EVERYBODY: Final = Principal(actor=ANONYMOUS, scopes=frozenset(Scope))
"""Whoever reaches a service that is open."""


def admitted(scope: Mapping[str, Any], principal: Principal) -> None:
    """Notes who asks in the state of an ASGI scope."""
    scope["state"][_STATE] = principal


def principal_of(scope: Mapping[str, Any]) -> Principal:
    """Who asks, as admission noted it. An application that is put together without admission is open."""
    principal: Principal = scope.get("state", {}).get(_STATE, EVERYBODY)
    return principal


def unknown_instead(stream_id: str) -> str:
    """An id of the same kind and partition that nothing was ever given.

    Whoever asks for what they may not see is answered as if they had asked for this: by the very same code, so that
    no difference in text, order of checks or time tells that there is something.
    """
    head = stream_id.index("_") + 3
    return stream_id[:head] + uuid8_hex("nobody", stream_id)
