"""Hand-made multipart bodies, right and wrong, byte by byte."""

from collections.abc import AsyncIterator, Iterable
from itertools import pairwise

BOUNDARY = "mill"
CONTENT_TYPE = f"multipart/form-data; boundary={BOUNDARY}"


def file_part(data: bytes, filename: str | bytes = "notes.txt", *, name: str = "file", headers: str = "") -> bytes:
    """One file part; `filename` goes onto the wire as it is."""
    raw = filename if isinstance(filename, bytes) else filename.encode()
    disposition = f'Content-Disposition: form-data; name="{name}"; filename="'.encode() + raw + b'"\r\n'
    return disposition + headers.encode() + b"\r\n" + data


def field_part(name: str, value: bytes) -> bytes:
    """One part without a filename."""
    return f'Content-Disposition: form-data; name="{name}"\r\n\r\n'.encode() + value


def form(*parts: bytes) -> bytes:
    """A whole body."""
    return open_form(*parts) + b"\r\n--" + BOUNDARY.encode() + b"--\r\n"


def open_form(*parts: bytes) -> bytes:
    """A body without its closing boundary."""
    return b"\r\n".join(b"--" + BOUNDARY.encode() + b"\r\n" + part for part in parts)


async def stream_of(pieces: Iterable[bytes]) -> AsyncIterator[bytes]:
    """A body as it comes off the wire."""
    for piece in pieces:
        yield piece


def cut(body: bytes, places: Iterable[int]) -> list[bytes]:
    """The body in pieces, cut at the given offsets."""
    marks = [0, *sorted({place % (len(body) + 1) for place in places}), len(body)]
    return [body[start:end] for start, end in pairwise(marks)]
