"""Fewer routes are tried, and the answer is the same."""

import asyncio

from hypothesis import example, given
from hypothesis import strategies as st
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Message, Scope

from millstream.methods import with_refusals
from millstream.narrowed_routes import NarrowedRoutes

PATHS = (
    "/healthz",
    "/",
    "/assets/{rest:path}",
    "/api/v1/tasks",
    "/api/v1/tasks/{id}",
    "/api/v1/tasks/mine",
    "/api/v1/tasks/{id}/stream",
    "/api/v1/{anything}/{id}/stream",
    "/api/v1/documents/{id}",
    "/api/v1/documents/{id}/{part}",
)


def router() -> Router:
    async def answer(request: Request) -> Response:
        return Response(f"{request.scope['route'].path} {request.path_params}")

    return Router(with_refusals([Route(path, answer, methods=["GET"]) for path in PATHS]), redirect_slashes=False)


WHOLE = router()
NARROWED = NarrowedRoutes(router())


def answer_of(app: ASGIApp, scope: Scope) -> list[Message] | tuple[int, str]:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b""}

    async def send(message: Message) -> None:
        sent.append(message)

    async def ask() -> None:
        await app(dict(scope), receive, send)

    try:
        asyncio.run(ask())
    except HTTPException as refused:
        return refused.status_code, refused.detail
    return sent


WORDS = st.sampled_from(["", "api", "v1", "tasks", "documents", "mine", "stream", "assets", "healthz", "x", "文"])


@given(st.lists(WORDS, max_size=7), st.sampled_from(["GET", "HEAD", "POST"]), st.sampled_from(["", "/api"]))
@example(["api", "v1", "tasks", "mine"], "GET", "")
@example(["api", "v1", "tasks", ""], "GET", "")
@example(["api", "v1", "x", "1", "stream"], "GET", "")
@example(["api", "v1", "documents", "1"], "POST", "")
@example(["assets", "a", "b", "c", "d", "e"], "GET", "")
def test_every_path_is_answered_as_before(words: list[str], method: str, root_path: str) -> None:
    path = "/" + "/".join(words)
    scope: Scope = {"type": "http", "method": method, "path": path, "root_path": root_path, "headers": [], "app": None}
    assert answer_of(NARROWED, scope) == answer_of(WHOLE.app, scope)
