"""DocumentAccepted -> text: the source is verified on its way into the sandbox, the text is stored."""

import hashlib
from collections.abc import AsyncIterator
from typing import Final, Protocol

from domain.commands import RecordParsed
from domain.document import About, Accepted, DocumentState
from events.failpoints import Place, failpoint
from events.steps import Step
from knowledge.media_type import MediaType
from knowledge.text import ParsedText
from processors.artifacts import text_blob
from processors.aside import aside
from processors.bundle import StepBlobs
from processors.failures import BlobCorrupt, shortened
from processors.leftovers import erase_leftovers
from processors.sandbox import ParserCrashed
from processors.step import Done, Outcome, Reject, Retry, Superseded, Work

PARSER_CRASHED: Final = "parser_crashed"

TITLE_CHARS_MAX: Final = 500
WARNINGS_MAX: Final = 20
"""Warnings and title are part of an event, which holds 64 KiB; a hostile document may bring thousands."""


class TextParser(Protocol):
    """Bytes to text, somewhere safe."""

    async def parse(
        self, pieces: AsyncIterator[bytes], *, size_bytes: int, media_type: MediaType, filename: str
    ) -> ParsedText:
        """As Sandbox.parse."""
        ...


class ParseStep:
    """The first step of every document."""

    step = Step.PARSE

    def __init__(self, blobs: StepBlobs, parser: TextParser, *, time_limit_s: float) -> None:
        self._blobs = blobs
        self._parser = parser
        self.time_limit_s = time_limit_s

    async def run(self, work: Work) -> Outcome:
        """Raises ParseError, BlobCorrupt and what the blob store raises."""
        if not isinstance(work.document, Accepted):
            return Superseded()
        about = work.document.record.about
        try:
            media_type = MediaType(about.media_type)
        except ValueError:
            return Reject("unsupported_type", f"files of type {shortened(about.media_type)} cannot be read")
        try:
            parsed = await self._parser.parse(
                verified(self._blobs, about),
                size_bytes=about.size_bytes,
                media_type=media_type,
                filename=about.filename,
            )
        except ParserCrashed as error:
            if PARSER_CRASHED in work.failures:  # twice is no accident
                return Reject("parse_failed", "the parser crashed on this document, twice")
            return Retry(PARSER_CRASHED, shortened(f"the parser crashed: {error}"))
        return await self._stored(work, parsed)

    async def abandon(self, work: Work, now: DocumentState) -> None:
        """A removed document keeps nothing."""
        await erase_leftovers(self._blobs, work, now)

    async def _stored(self, work: Work, parsed: ParsedText) -> Outcome:
        failpoint(Place.WORKER_PARSED)
        name, encoded = await aside(len(parsed.text), _named, parsed, work)
        stored = await self._blobs.put(name, encoded)
        return Done(
            (
                RecordParsed(
                    attempt=work.attempt,
                    text_blob=stored.key,
                    parser=parsed.parser,
                    pages=len(parsed.pages),
                    characters=len(parsed.text),
                    language=parsed.language,
                    title=parsed.title[:TITLE_CHARS_MAX] if parsed.title else None,
                    warnings=tuple(shortened(warning) for warning in parsed.warnings[:WARNINGS_MAX]),
                ),
            )
        )


def _named(parsed: ParsedText, work: Work) -> tuple[str, bytes]:
    encoded = parsed.encode()
    return text_blob(work.document_id, work.attempt, encoded), encoded


async def verified(blobs: StepBlobs, about: About) -> AsyncIterator[bytes]:
    """The source's bytes, the last piece only when length and SHA-256 are those of the accepted upload.

    A parser that needs all bytes therefore never begins on wrong ones. Raises BlobCorrupt, BlobMissing.
    """
    digest, size_bytes, held = hashlib.sha256(), 0, b""
    async for piece in blobs.read(about.source_blob):
        digest.update(piece)
        size_bytes += len(piece)
        if size_bytes > about.size_bytes:
            break
        if held:
            yield held
        held = piece
    if size_bytes != about.size_bytes or digest.hexdigest() != about.sha256:
        raise BlobCorrupt(f"the stored file is not the one that was accepted ({about.size_bytes} bytes)")
    failpoint(Place.WORKER_FETCHED)
    yield held
