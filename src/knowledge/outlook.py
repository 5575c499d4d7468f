"""The files that are attached to a mail of Outlook (MSG): streams of a compound file ([MS-OXMSG] 2.2.2)."""

from collections.abc import Iterator, Mapping
from typing import Final

from knowledge.compound_file import CompoundFile, CompoundFileDamaged
from knowledge.decode import decode
from knowledge.errors import ParseError, ParseErrorCode
from knowledge.filenames import clean_filename
from knowledge.limits import ParseLimits
from knowledge.members import Member

_ATTACHMENT: Final = "__attach_version1.0_#"
_DATA: Final = "__substg1.0_37010102"
_NAMES: Final = ("__substg1.0_3707", "__substg1.0_3704", "__substg1.0_3001")
"""The long name, the short one of eight and three characters, and the one that is shown."""
_CONTENT_ID: Final = "__substg1.0_3712"
_UNICODE: Final = "001F"
_EIGHT_BIT: Final = "001E"
_PICTURES: Final = (".png", ".jpg", ".jpeg", ".gif", ".bmp")


def msg_members(data: bytes, limits: ParseLimits) -> Iterator[Member]:
    """What is attached to the mail, in its order; pictures that its text shows are part of it and left out.

    Raises ParseError(archive_limit) before the first where there are too many. Attached messages are no files here.
    """
    try:
        file = CompoundFile(data)
        attached = [streams for name, streams in file.storages().items() if name.startswith(_ATTACHMENT)]
    except CompoundFileDamaged:
        return  # its text, as the parser sees it, is all there is
    if len(attached) > limits.archive_entries_max:
        raise ParseError(
            ParseErrorCode.ARCHIVE_LIMIT, f"the mail has more than {limits.archive_entries_max:,} attachments"
        )
    for streams in attached:
        name = next(filter(None, (_text(file, streams, tag) for tag in _NAMES)), "")
        is_shown_in_the_text = name.lower().endswith(_PICTURES) and _text(file, streams, _CONTENT_ID)
        if not is_shown_in_the_text:
            yield Member(path=clean_filename(name), data=_bytes(file, streams))


def _bytes(file: CompoundFile, streams: Mapping[str, int]) -> bytes | ParseError:
    if _DATA not in streams:
        return ParseError(ParseErrorCode.UNSUPPORTED_TYPE, "a message or an object of another program, not a file")
    try:
        return file.stream(streams[_DATA])
    except CompoundFileDamaged as error:
        return ParseError(ParseErrorCode.PARSE_FAILED, f"the attachment is damaged ({error})")


def _text(file: CompoundFile, streams: Mapping[str, int], tag: str) -> str:
    try:
        if (number := streams.get(tag + _UNICODE)) is not None:
            return file.stream(number).decode("utf-16-le", "replace").rstrip("\0")
        if (number := streams.get(tag + _EIGHT_BIT)) is not None:
            return decode(file.stream(number)).text.rstrip("\0")
    except CompoundFileDamaged:
        pass
    return ""
