"""Files that lie in a file (an archive, a mail): each becomes a part of its text, under its path as a heading."""

import time
from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from knowledge.errors import ParseError, ParseErrorCode
from knowledge.limits import ParseLimits
from knowledge.media_type import SNIFF_BYTES, MediaType, sniff
from knowledge.text import ParsedText
from knowledge.writer import TextWriter

PATH_LEVEL: Final = 1
WARNINGS_MAX: Final = 15
"""Of the files within; what is left out is counted."""
_OF_NO_USE: Final = frozenset({ParseErrorCode.UNSUPPORTED_TYPE, ParseErrorCode.EMPTY_DOCUMENT})


class Member(msgspec.Struct, frozen=True):
    """One file within: its path as it is shown, and its bytes, or why there are none."""

    path: str
    data: bytes | ParseError


class Within(msgspec.Struct, frozen=True):
    """How many archives and how many mails a document lies in."""

    archives: int = 0
    mails: int = 0


OUTERMOST: Final = Within()
_NAMED_MAX: Final = 3


ReadMember = Callable[[bytes, MediaType, str, ParseLimits], ParsedText]


class MembersRead(msgspec.Struct, frozen=True):
    """What became of the files within."""

    parsers: tuple[str, ...]
    warnings: tuple[str, ...]
    refusals: tuple[tuple[str, ParseError], ...]

    def refusal(self) -> ParseError:
        """Why none of them could be read: the first reason that is not one of their kind."""
        for path, error in self.refusals:
            if error.code not in _OF_NO_USE:
                return ParseError(error.code, f"{path}: {error.message}")
        if not self.refusals:
            return ParseError(ParseErrorCode.EMPTY_DOCUMENT, "the archive holds no file")
        return ParseError(
            ParseErrorCode.UNSUPPORTED_TYPE,
            "the archive holds no file of a kind that is read; there is "
            + ", ".join(path for path, _ in self.refusals[:_NAMED_MAX])
            + (f" and {len(self.refusals) - _NAMED_MAX:,} more" if len(self.refusals) > _NAMED_MAX else ""),
        )


def write_members(writer: TextWriter, members: Iterable[Member], read: ReadMember, limits: ParseLimits) -> MembersRead:
    """Writes each of `members` that can be read; the others are told with the code that they would end with.

    The time for scans is one for all of them. Raises ParseError(resource_limit) where their texts together are too
    much.
    """
    end_s = time.monotonic() + limits.ocr_s
    parsers: dict[str, None] = {}
    warnings: list[str] = []
    refusals: list[tuple[str, ParseError]] = []
    for member in members:
        ocr_s = max(0, int(end_s - time.monotonic()))
        try:
            parsed = _read(member, read, msgspec.structs.replace(limits, ocr_s=ocr_s))
        except ParseError as error:
            refusals.append((member.path, error))
            warnings.append(f"skipped: {member.path} ({error.code})")
            continue
        writer.heading(PATH_LEVEL, member.path)
        writer.include(parsed, levels=PATH_LEVEL)
        parsers |= dict.fromkeys(parsed.parser.split(", "))
        warnings += [f"{member.path}: {warning}" for warning in parsed.warnings]
    return MembersRead(parsers=tuple(parsers), warnings=_shortened(warnings), refusals=tuple(refusals))


def _read(member: Member, read: ReadMember, limits: ParseLimits) -> ParsedText:
    if isinstance(member.data, ParseError):
        raise member.data
    media_type = sniff(member.data[:SNIFF_BYTES], member.data, member.path)
    return read(member.data, media_type, member.path, limits)


def _shortened(warnings: list[str]) -> tuple[str, ...]:
    shown, others = warnings[:WARNINGS_MAX], len(warnings) - WARNINGS_MAX
    return (*shown, f"and {others:,} more warnings of files within") if others > 0 else tuple(shown)
