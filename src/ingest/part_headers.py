"""Pure: what is kept of what a part of a form says of itself, and what is said of one that cannot be read."""

from typing import Final

from ingest.problems import ProblemCode, Rejected

DECLARED_TYPE_CHARS_MAX: Final = 200


def short_ascii(declared: str | None) -> str | None:
    """A declared media type that may be kept, None for any other: it is a hint, and its absence no error."""
    is_kept = declared is not None and declared.isascii() and declared.isprintable()
    return declared if is_kept and 0 < len(declared or "") <= DECLARED_TYPE_CHARS_MAX else None


def malformed(reason: str) -> Rejected:
    """A body that is no form that can be read."""
    return Rejected(ProblemCode.MULTIPART_MALFORMED, f"The multipart body cannot be read: {reason}.")
