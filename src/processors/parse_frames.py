"""What the worker and its parse children say to each other over the child's stdin and stdout.

A frame is a length (4 bytes, big-endian) and that many bytes of MessagePack. A request frame is followed by exactly
`size_bytes` raw bytes, the document. The child says Ready once, then one Answer a request.
"""

import struct
from typing import Final

import msgspec

from knowledge.limits import ParseLimits
from knowledge.text import ParsedText

LENGTH: Final = struct.Struct(">I")

REQUEST_BYTES_MAX: Final = 65_536
"""A request names a type and a file and holds the limits; the document follows outside of the frame."""


class ParseRequest(msgspec.Struct, frozen=True):
    """One document; `media_type` is a value of MediaType."""

    size_bytes: int
    media_type: str
    filename: str
    limits: ParseLimits


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """Everything is imported and every limit is set; `unlimited` names limits that this system does not know.

    `open_because` says why the child could still reach the network; None where it cannot.
    """

    unlimited: tuple[str, ...] = ()
    open_because: str | None = None


class Text(msgspec.Struct, frozen=True, tag="text"):
    """The document's text."""

    parsed: ParsedText


class Refusal(msgspec.Struct, frozen=True, tag="refusal"):
    """A ParseError: its code and message."""

    code: str
    message: str


class Broken(msgspec.Struct, frozen=True, tag="broken"):
    """An error that the parser did not expect; the child is thrown away."""

    error: str


Answer = Ready | Text | Refusal | Broken

decode_answer = msgspec.msgpack.Decoder(Answer).decode
decode_request = msgspec.msgpack.Decoder(ParseRequest).decode


def frame(message: Answer | ParseRequest) -> bytes:
    """A message behind its length."""
    body = msgspec.msgpack.encode(message)
    return LENGTH.pack(len(body)) + body
