"""HTTP of `/docs`: the document as a page, from files that come with the program; nothing is loaded from elsewhere."""

import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

WEB: Final = Path(__file__).resolve().parents[1] / "web"
RENDERER: Final = WEB / "vendor" / "swagger-ui"

PAGE: Final = (WEB / "docs.html", "text/html; charset=utf-8")
FILES: Final[Mapping[str, tuple[Path, str]]] = {
    "docs.css": (WEB / "docs.css", "text/css; charset=utf-8"),
    "docs.js": (WEB / "docs.js", "text/javascript; charset=utf-8"),
    "docs.svg": (WEB / "docs.svg", "image/svg+xml"),
    "swagger-ui-bundle.js": (RENDERER / "swagger-ui-bundle.js", "text/javascript; charset=utf-8"),
    "swagger-ui.css": (RENDERER / "swagger-ui.css", "text/css; charset=utf-8"),
}
"""By the last part of their path: files and media types. What is not named here is not served."""

CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The page may speak to this service and to nobody else, and runs no script that is not one of its files."""


class _File(msgspec.Struct, frozen=True):
    content: bytes
    media_type: str
    tag: str


def page_routes() -> list[Route]:
    """`/docs` and its files: no part of the API."""

    async def docs(request: Request) -> Response:
        return _answer(request, _read(*PAGE))

    async def docs_file(request: Request) -> Response:
        known = FILES.get(request.path_params["name"])
        if known is None:
            raise HTTPException(404, detail="There is no such file.")
        return _answer(request, _read(*known))

    return [
        Route("/docs", docs, name="docs", include_in_schema=False),
        Route("/docs/{name}", docs_file, name="docs_file", include_in_schema=False),
    ]


@cache
def _read(path: Path, media_type: str) -> _File:
    """Read at the first request and kept: 2 MB, in a process that is asked for the page at all."""
    content = path.read_bytes()
    return _File(content, media_type, f'"{hashlib.sha256(content).hexdigest()[:32]}"')


def _answer(request: Request, file: _File) -> Response:
    headers = {"ETag": file.tag, "Cache-Control": "no-cache", "Content-Security-Policy": CONTENT_SECURITY_POLICY}
    if file.tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(file.content, media_type=file.media_type, headers=headers)
