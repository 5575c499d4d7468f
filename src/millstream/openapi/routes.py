"""HTTP of the contract: GET /openapi.json."""

import hashlib
from collections.abc import Callable, Iterable

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from millstream.openapi.document import build_document
from millstream.openapi.operations import OPERATIONS


def contract_routes(routes: Iterable[Route], *, keys_needed: Callable[[], bool]) -> list[Route]:
    """`routes` are all others; the document is made at the first request, as many processes are never asked for it."""
    made: dict[bool, tuple[bytes, str]] = {}

    async def openapi_document(request: Request) -> Response:
        needed = keys_needed()
        if needed not in made:
            document = build_document([*others, own], OPERATIONS, keys_needed=needed)
            written = msgspec.json.encode(document)
            made[needed] = (written, f'"{hashlib.sha256(written).hexdigest()[:32]}"')
        body, tag = made[needed]
        headers = {"ETag": tag, "Cache-Control": "no-cache"}
        given = {one.strip().removeprefix("W/") for one in request.headers.get("if-none-match", "").split(",")}
        if given & {tag, "*"}:
            return Response(status_code=304, headers=headers)
        return Response(body, media_type="application/json", headers=headers)

    others = list(routes)
    own = Route("/openapi.json", openapi_document, name="openapi_document")
    return [own]
