"""The files that are attached to a mail (RFC 5322, MIME)."""

import re
from collections.abc import Iterator
from email.errors import MessageError
from email.header import decode_header, make_header
from email.message import Message
from email.parser import BytesParser
from typing import Final

from knowledge.errors import ParseError, ParseErrorCode
from knowledge.filenames import clean_filename
from knowledge.limits import ParseLimits
from knowledge.members import Member

DEPTH_MAX: Final = 30
"""Parts within parts; a message that was forwarded ten times has twenty."""
FORWARDED: Final = "message.eml"
_MULTIPART: Final = re.compile(rb"^content-type:\s*multipart/", re.IGNORECASE | re.MULTILINE)
_MESSAGE: Final = "message/rfc822"


def mail_members(data: bytes, limits: ParseLimits) -> Iterator[Member]:
    """What is attached to the mail, in its order; pictures that its text shows are part of it and left out.

    Raises ParseError(archive_limit) before the first where it has too many parts, or parts too deep in one another.
    """
    if not _MULTIPART.search(data):
        return
    try:
        message = BytesParser().parsebytes(data)
    except (MessageError, ValueError, LookupError):
        return  # no mail for this reader: its text, as the other one sees it, is all there is
    except RecursionError as error:
        raise _too_deep() from error
    for part in list(_parts(message, limits.archive_entries_max)):  # all are counted before the first is read
        if part.get_content_type() == _MESSAGE:
            yield Member(path=_filename(part) or FORWARDED, data=_message_bytes(part))
        elif (name := _filename(part)) and not _is_shown_in_the_text(part):
            yield Member(path=name, data=_payload_bytes(part))


def _parts(message: Message, parts_max: int) -> Iterator[Message]:
    """The parts of the mail; those of attached messages, which are documents of their own, are only counted."""
    pending = [(message, 0, True)]
    count = 0
    while pending:
        part, depth, is_own = pending.pop()
        count += 1
        if count > parts_max:
            raise ParseError(ParseErrorCode.ARCHIVE_LIMIT, f"the mail has more than {parts_max:,} parts")
        if depth > DEPTH_MAX:
            raise _too_deep()
        if is_own and depth:
            yield part
        inner = part.get_payload()
        if isinstance(inner, list):
            is_own = is_own and (not depth or part.get_content_type() != _MESSAGE)
            pending += [(one, depth + 1, is_own) for one in reversed(inner) if isinstance(one, Message)]


def _filename(part: Message) -> str:
    """The name that the sender gave, as a name without folders; empty where there is none."""
    try:
        name = part.get_filename("")
        name = str(make_header(decode_header(name))) if "=?" in name else name
    except (MessageError, ValueError, LookupError, TypeError):
        return "unnamed"
    return clean_filename(name) if name else ""


def _is_shown_in_the_text(part: Message) -> bool:
    is_inline = part.get_content_disposition() != "attachment" and part.get("content-id") is not None
    return is_inline and part.get_content_maintype() == "image"


def _payload_bytes(part: Message) -> bytes | ParseError:
    payload = part.get_payload(decode=True)
    if isinstance(payload, bytes):
        return payload
    return ParseError(ParseErrorCode.PARSE_FAILED, "the attachment is damaged")


def _message_bytes(part: Message) -> bytes | ParseError:
    inner = part.get_payload()
    try:
        message = inner[0] if isinstance(inner, list) and inner else None
        if isinstance(message, Message):
            return message.as_bytes()
    except (MessageError, ValueError, LookupError, TypeError):
        pass
    return ParseError(ParseErrorCode.PARSE_FAILED, "the attached message is damaged")


def _too_deep() -> ParseError:
    return ParseError(ParseErrorCode.ARCHIVE_LIMIT, f"parts of the mail lie more than {DEPTH_MAX} deep in one another")
