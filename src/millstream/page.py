"""HTTP of the page: `/`, and the files that it is made of, under a path that names all their contents at once.

As the path changes with any of them, browsers keep the files for ever and ask for the page alone. Whoever has an older
page open is given the files of today under yesterday's path.
"""

import base64
import hashlib
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from millstream.web_files import WEB, WebFile, answer_web_file, read_web_file, web_file

PAGE: Final = WEB / "page"
VENDORED: Final = ("preact/preact.mjs", "preact/hooks.mjs", "htm/htm.mjs", "tus-js-client/tus.min.js")

FILES: Final[Mapping[str, Path]] = {
    **{str(path.relative_to(PAGE)): path for path in sorted(PAGE.rglob("*.*")) if path.name != "index.html"},
    **{f"vendor/{name}": WEB / "vendor" / name for name in VENDORED},
}
"""By their path below `/page/…/`. What is not named here is not served."""

FOR_EVER: Final = "public, max-age=31536000, immutable"

_IMPORT_MAP: Final = re.compile(rb'<script type="importmap">(.*?)</script>', re.DOTALL)


class Page(msgspec.Struct, frozen=True):
    """`tag` stands in the paths of its files."""

    file: WebFile
    policy: str
    tag: str


def page_routes() -> list[Route]:
    """`/` and its files: no part of the API."""

    async def page(request: Request) -> Response:
        made = made_page()
        return answer_web_file(
            request,
            made.file,
            policy=made.policy,
            **{
                "Cross-Origin-Opener-Policy": "same-origin",
                "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
            },
        )

    async def page_file(request: Request) -> Response:
        known = FILES.get(request.path_params["name"])
        if known is None:
            raise HTTPException(404, detail="There is no such file.")
        made = made_page()
        is_present = request.path_params["tag"] == made.tag
        cache_control = FOR_EVER if is_present else "no-cache"
        return answer_web_file(request, read_web_file(known), policy=made.policy, cache_control=cache_control)

    return [
        Route("/", page, name="page", include_in_schema=False),
        Route("/page/{tag}/{name:path}", page_file, name="page_file", include_in_schema=False),
    ]


@cache
def made_page() -> Page:
    """The page with the paths of its files in it, and the policy that it is shown under."""
    every = hashlib.sha256()
    for name, path in sorted(FILES.items()):
        every.update(f"{name}\n{read_web_file(path).tag}\n".encode())
    tag = every.hexdigest()[:12]
    content = (PAGE / "index.html").read_bytes().replace(b"/page/", f"/page/{tag}/".encode())
    return Page(web_file(content, ".html"), _policy(content), tag)


def _policy(content: bytes) -> str:
    """Scripts are files of this service, and the one table of names within the page, by its digest: browsers take no
    table from a file. Nothing is ever made markup or script of a text (Trusted Types)."""
    tables = [base64.b64encode(hashlib.sha256(one).digest()).decode() for one in _IMPORT_MAP.findall(content)]
    scripts = " ".join(["'self'", *(f"'sha256-{digest}'" for digest in tables)])
    return (
        f"default-src 'none'; script-src {scripts}; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    )
