"""Which documents of a knowledge base have the same bytes: pure, shared by every store.

A live document (accepted, being worked on, searchable) claims the SHA-256 of its bytes; one that failed, was cancelled
or removed does not. Of several with the same bytes the first holds the digest: it is what an upload of these bytes is a
duplicate of. The claims of a digest follow from the facts alone, in the order of the log.
"""

from enum import StrEnum
from typing import Final, NamedTuple

import msgspec

from events.errors import InvalidAppend
from events.ids import DocumentId, KnowledgeBaseId

DIGEST_BYTES: Final = 16
"""Of the 32 that SHA-256 has. Two files that agree in so many take 2^64 tries to find, and harm nobody but the
knowledge base of whoever made them."""

CLAIMS_A_DIGEST_MAX: Final = 100
"""Documents with the same bytes that are remembered; whoever keeps more copies can do without the order of those
behind. An append rewrites them all: 1.8 kB."""


Claims = tuple[bytes, ...]
"""The packed ids of the documents that claim a digest, the holder first."""


class DigestKey(NamedTuple):
    """A digest (its first `DIGEST_BYTES`) within a knowledge base."""

    knowledge_base_id: KnowledgeBaseId
    digest: bytes


class Move(StrEnum):
    """What becomes of a document's claim."""

    FIRST = "first"
    """It claims the digest ahead of all others, in whose place it is to come."""

    LAST = "last"
    """It claims the digest behind all others; where there are none it holds it."""

    RELEASE = "release"
    """It claims the digest no more; whoever is next in the order holds it."""


class DigestChange(msgspec.Struct, frozen=True):
    """What an event does to the claim of its document."""

    sha256: str
    move: Move


class DigestClaim(msgspec.Struct, frozen=True):
    """Who holds a digest; None: nobody."""

    sha256: str
    holder: DocumentId | None


def digest_of(sha256: str) -> bytes:
    """Raises InvalidAppend for what is no SHA-256 in hex digits."""
    try:
        digest = bytes.fromhex(sha256)
    except ValueError as error:
        raise InvalidAppend("a digest is 64 hex digits") from error
    if len(digest) != 2 * DIGEST_BYTES:
        raise InvalidAppend("a digest is 64 hex digits")
    return digest[:DIGEST_BYTES]


def moved(claims: Claims, document: bytes, move: Move) -> Claims:
    """What is claimed after a change."""
    if not claims:
        return () if move is Move.RELEASE else (document,)
    others = tuple(one for one in claims if one != document)
    match move:
        case Move.FIRST:
            return (document, *others)[:CLAIMS_A_DIGEST_MAX]
        case Move.LAST:
            return claims if document in claims else (*claims, document)[:CLAIMS_A_DIGEST_MAX]
        case Move.RELEASE:
            return others
