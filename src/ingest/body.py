"""Bodies of requests: what their headers promise, and JSON within a limit."""

from typing import Any, Final, TypeVar

import msgspec
from starlette.datastructures import Headers
from starlette.requests import Request

from ingest.problems import ProblemCode, Rejected, invalid
from ingest.validation import rejected

Body = TypeVar("Body")

LENGTH_DIGITS_MAX: Final = 18
"""More than any length; Python takes time squared to read a number of a million digits."""


def content_length(headers: Headers) -> int | None:
    """What the client says it sends; None where it says nothing (chunked). Raises Rejected."""
    values = headers.getlist("content-length")
    if not values:
        return None
    value = values[0]
    if len(values) > 1 or not (value.isascii() and value.isdigit() and len(value) <= LENGTH_DIGITS_MAX):
        raise Rejected(ProblemCode.BAD_REQUEST, "Content-Length must be one number.")
    return int(value)


def refuse_encoded(headers: Headers) -> None:
    """A compressed body is a way past every limit on sizes. Raises Rejected."""
    if headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise Rejected(ProblemCode.CONTENT_ENCODING_NOT_SUPPORTED, "Send the body as it is, without Content-Encoding.")


def has_body(headers: Headers) -> bool:
    """Whether the request announces a body."""
    return "transfer-encoding" in headers or headers.get("content-length", "0") != "0"


async def read_json(request: Request, decoder: msgspec.json.Decoder[Body], *, bytes_max: int) -> Body:
    """The decoded body. Raises Rejected where it breaks a rule, and what msgspec raises where it is no JSON at all,
    RecursionError and UnicodeDecodeError among it."""
    content = await read_json_bytes(request, bytes_max)
    try:
        return decoder.decode(content)
    except msgspec.ValidationError as error:
        raise rejected(error, body=decoder.type) from error


async def read_json_bytes(request: Request, bytes_max: int) -> bytes:
    """The body as it came, of a request that says it is JSON. Raises Rejected."""
    _check_json_type(request.headers)
    refuse_encoded(request.headers)
    return await read_body(request, bytes_max=bytes_max)


def refuse_controls(text: str, pointer: str, *, allowed: str = "") -> None:
    """A NUL or an escape in a name breaks terminals, logs and C libraries downstream. Raises Rejected."""
    if any((character < " " or character == "\x7f") and character not in allowed for character in text):
        raise invalid(pointer, "must not contain control characters")


def refuse_nul(value: Any, pointer: str) -> None:
    """Raises Rejected."""
    if isinstance(value, str) and "\0" in value:
        raise invalid(pointer, "must not contain U+0000")


def _check_json_type(headers: Headers) -> None:
    media_type, _, parameters = headers.get("content-type", "").partition(";")
    charset = parameters.strip().lower().replace('"', "")
    if media_type.strip().lower() != "application/json" or charset not in {"", "charset=utf-8"}:
        raise Rejected(ProblemCode.UNSUPPORTED_MEDIA_TYPE, "Send JSON as application/json, in UTF-8.")


async def read_body(request: Request, *, bytes_max: int) -> bytes:
    """The body as it is. Raises Rejected."""
    announced = content_length(request.headers)
    if announced is not None and announced > bytes_max:
        raise _too_large(bytes_max)
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > bytes_max:
            raise _too_large(bytes_max)
    return bytes(body)


def _too_large(bytes_max: int) -> Rejected:
    return Rejected(ProblemCode.PAYLOAD_TOO_LARGE, f"A JSON body may have {bytes_max:,} bytes.")
