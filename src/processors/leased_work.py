"""What a worker elsewhere is asked for, and what it answers."""

import hashlib
from collections.abc import AsyncIterator, Callable, Sequence

import msgspec

from domain.document import About
from knowledge.page_texts import PageText
from knowledge.text import TextFormat
from processors.step import Reject, Retry


class ParseAsked(msgspec.Struct, frozen=True):
    """A document to be read; `read` begins anew at each call. It raises BlobCorrupt and what the blob store raises."""

    about: About
    read: Callable[[], AsyncIterator[bytes]]

    @property
    def fingerprint(self) -> bytes:
        """An attempt to parse asks once."""
        return b""


class EmbedAsked(msgspec.Struct, frozen=True):
    """Texts to be embedded as they are."""

    model: str
    dimensions: int
    texts: tuple[str, ...]

    @property
    def fingerprint(self) -> bytes:
        """Tells one batch of an attempt from the next, in any process."""
        return hashlib.sha256(msgspec.msgpack.encode((self.model, self.dimensions, self.texts))).digest()


class PagesRead(msgspec.Struct, frozen=True, kw_only=True):
    """What a parser elsewhere found."""

    pages: tuple[PageText, ...]
    format: TextFormat
    title: str
    language: str
    parser: str
    warnings: tuple[str, ...]


class VectorsMade(msgspec.Struct, frozen=True):
    """Vectors as they came, not looked at yet."""

    rows: Sequence[Sequence[float]]


class Failed(msgspec.Struct, frozen=True):
    """The worker says that it cannot."""

    outcome: Retry | Reject


Asked = ParseAsked | EmbedAsked
Answer = PagesRead | VectorsMade | Failed
