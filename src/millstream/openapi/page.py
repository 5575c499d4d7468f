"""HTTP of `/docs`: the document as a page, from files that come with the program; nothing is loaded from elsewhere."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from millstream.web_files import WEB, answer_web_file, read_web_file

RENDERER: Final = WEB / "vendor" / "swagger-ui"

PAGE: Final = WEB / "docs.html"
FILES: Final[Mapping[str, Path]] = {
    "docs.css": WEB / "docs.css",
    "docs.js": WEB / "docs.js",
    "docs.svg": WEB / "docs.svg",
    "swagger-ui-bundle.js": RENDERER / "swagger-ui-bundle.js",
    "swagger-ui.css": RENDERER / "swagger-ui.css",
}
"""By the last part of their path. What is not named here is not served."""

CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The page may speak to this service and to nobody else, and runs no script that is not one of its files."""


def docs_routes() -> list[Route]:
    """`/docs` and its files: no part of the API."""

    async def docs(request: Request) -> Response:
        return _answer(request, PAGE)

    async def docs_file(request: Request) -> Response:
        known = FILES.get(request.path_params["name"])
        if known is None:
            raise HTTPException(404, detail="There is no such file.")
        return _answer(request, known)

    return [
        Route("/docs", docs, name="docs", include_in_schema=False),
        Route("/docs/{name}", docs_file, name="docs_file", include_in_schema=False),
    ]


def _answer(request: Request, path: Path) -> Response:
    return answer_web_file(request, read_web_file(path), policy=CONTENT_SECURITY_POLICY)
