"""What can go wrong between a document's bytes and the passages of an answer."""

from enum import StrEnum


class ParseErrorCode(StrEnum):
    """Why a document cannot become text or chunks; the values are the stable codes of a failed document."""

    PARSE_FAILED = "parse_failed"
    ENCRYPTED_DOCUMENT = "encrypted_document"
    NO_TEXT = "no_text"
    RESOURCE_LIMIT = "resource_limit"
    UNSUPPORTED_TYPE = "unsupported_type"
    EMPTY_DOCUMENT = "empty_document"
    ARCHIVE_LIMIT = "archive_limit"
    ARCHIVE_UNSAFE = "archive_unsafe"
    TOO_MANY_CHUNKS = "too_many_chunks"


class KnowledgeError(Exception):
    """Base of every error that this package raises on purpose."""


class ParseError(KnowledgeError):
    """A document that cannot be used; `message` is written for the person who uploaded it.

    The same bytes fail the same way again, so a step rejects and never retries it.
    """

    def __init__(self, code: ParseErrorCode, message: str) -> None:
        # Both arguments stay in `args`: the error crosses a process border as a pickle.
        super().__init__(code, message)
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


class EmbeddingError(KnowledgeError):
    """An embedding model that gave no usable vectors.

    `retry_after_s` is what the provider asked for, in seconds; `is_permanent` means that asking again with
    the same texts and settings cannot help; `place` (from 0) is that of the text that it is about, where it is one.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        retry_after_s: float | None = None,
        is_permanent: bool = False,
        place: int | None = None,
    ) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message
        self.retry_after_s = retry_after_s
        self.is_permanent = is_permanent
        self.place = place

    @property
    def is_outage(self) -> bool:
        """Whether it is the provider's, and will pass: its limit, its pause, its silence."""
        return not self.is_permanent and self.code.startswith("provider_")

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


class ProviderError(KnowledgeError):
    """A model behind an address (a reranker, a language model) that gave no usable answer.

    `retry_after_s` is what it asked for, in seconds; `is_permanent` means that the same call cannot work later: a key,
    a model's name, a text that it does not take.
    """

    def __init__(
        self, code: str, message: str, *, retry_after_s: float | None = None, is_permanent: bool = False
    ) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message
        self.retry_after_s = retry_after_s
        self.is_permanent = is_permanent

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


class NoLanguageModel(KnowledgeError):
    """A question was asked of an installation that has no language model."""


class Overtaken(KnowledgeError):
    """Rows of a newer attempt are in the index: who writes older ones is late, and wrote nothing."""


class InvalidSearch(KnowledgeError):
    """A search request that breaks a rule; `pointer` is the JSON pointer of the member that does."""

    def __init__(self, message: str, pointer: str = "") -> None:
        super().__init__(message, pointer)
        self.message = message
        self.pointer = pointer

    def __str__(self) -> str:
        return f"{self.message} (at {self.pointer or '/'})"


class IndexUnavailable(KnowledgeError):
    """The index could not be read or written now; trying again later may work."""


class IndexRefused(IndexUnavailable):
    """The server of the index answers, and will not serve: it is too old, or refuses the key. Somebody has to act."""
