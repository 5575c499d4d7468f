"""Files that come with the program and are sent to browsers: read once, tagged, packed where the browser takes it."""

import gzip
import hashlib
from functools import cache
from pathlib import Path
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

WEB: Final = Path(__file__).resolve().parent / "web"

PACKED_SHARE_MAX: Final = 0.9
"""Of its size: what does not become smaller by a tenth is sent as it is."""

MEDIA_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


class WebFile(msgspec.Struct, frozen=True):
    """`packed` by gzip; None where that is no use. `tag` is the digest of the content."""

    content: bytes
    packed: bytes | None
    media_type: str
    tag: str


def web_file(content: bytes, suffix: str) -> WebFile:
    """A file of this content, as what its suffix says."""
    packed = gzip.compress(content, mtime=0)
    is_smaller = len(packed) < PACKED_SHARE_MAX * len(content)
    return WebFile(content, packed if is_smaller else None, MEDIA_TYPES[suffix], hashlib.sha256(content).hexdigest())


@cache
def read_web_file(path: Path) -> WebFile:
    """Read at the first request and kept: 2 MB, in a process that is asked for all of them."""
    return web_file(path.read_bytes(), path.suffix)


def answer_web_file(
    request: Request, file: WebFile, *, policy: str, cache_control: str = "no-cache", **headers: str
) -> Response:
    """The file under a Content-Security-Policy, or 304 for who has it."""
    is_packed = file.packed is not None and "gzip" in request.headers.get("accept-encoding", "")
    tag = f'"{file.tag[:32]}{"-gzip" if is_packed else ""}"'
    told = {
        "ETag": tag,
        "Cache-Control": cache_control,
        "Vary": "Accept-Encoding",
        "Content-Security-Policy": policy,
        **headers,
    }
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=told)
    if file.packed is None or not is_packed:
        return Response(file.content, media_type=file.media_type, headers=told)
    return Response(file.packed, media_type=file.media_type, headers={**told, "Content-Encoding": "gzip"})
