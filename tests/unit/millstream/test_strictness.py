"""What is no parameter of a call, and what is no method of a path, is refused by name."""

from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ingest.answers import exception_handlers
from millstream.methods import with_refusals
from millstream.openapi.operation import Access, Answer, In, Operation, Parameter, Tag
from millstream.openapi.strictness import strict
from millstream.problems import PROJECTION_PROBLEMS


def operation(*names: str, access: Access = Access.KEY) -> Operation:
    parameters = [
        Parameter(name=name.rstrip("*"), schema={}, description="", is_open=name.endswith("*")) for name in names
    ]
    header = Parameter(name="If-Match", where=In.HEADER, schema={}, description="")
    return Operation(
        summary="", tag=Tag.TASKS, access=access, parameters=(*parameters, header), answers=(Answer(description=""),)
    )


async def answer(request: Request) -> Response:
    return PlainTextResponse(request.scope["route"].name)


def routes() -> list[Route]:
    return [
        Route("/items/{id}", answer, name="one"),
        Route("/items/{id}", answer, methods=["DELETE"], name="delete"),
        Route("/items/retry", answer, methods=["POST"], name="retry"),
        Route("/items", answer, name="list"),
        Route("/alive", answer, name="alive"),
        Route("/page", answer, name="page", include_in_schema=False),
    ]


OPERATIONS = {
    "one": operation(),
    "delete": operation(),
    "retry": operation("from"),
    "list": operation("limit", "metadata*"),
    "alive": operation(access=Access.PUBLIC),
}


@pytest.fixture
def client() -> httpx.AsyncClient:
    app = Starlette(
        routes=with_refusals(strict(routes(), OPERATIONS)), exception_handlers=exception_handlers(PROJECTION_PROBLEMS)
    )
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1")


@pytest.mark.parametrize(
    ("path", "refused"),
    [
        ("/items", None),
        ("/items?limit=1&metadata.a=x&metadata.b=y", None),
        ("/items?colour=red", "/colour"),
        ("/items?limit=1&limit=2", "/limit"),
        ("/items?metadata=x", "/metadata"),
        ("/items?metadata.=x", "/metadata."),
        ("/items?If-Match=x", "/If-Match"),
        ("/items/7?x", "/x"),
        ("/items/7?x=1", "/x"),
        ("/alive?at=now", None),
        ("/page?theme=dark", None),
    ],
)
async def test_a_parameter_that_no_operation_names_is_refused(
    client: httpx.AsyncClient, path: str, refused: str | None
) -> None:
    response = await client.get(path)
    if refused is None:
        assert response.status_code == 200
    else:
        assert (response.status_code, response.json()["errors"][0]["pointer"]) == (422, refused)


@pytest.mark.parametrize(
    ("method", "path", "told"),
    [
        ("GET", "/items/7", (200, "one")),
        ("HEAD", "/items/7", (200, "")),
        ("DELETE", "/items/7", (200, "delete")),
        ("POST", "/items/retry", (200, "retry")),
        ("DELETE", "/items/retry", (405, "POST")),
        ("GET", "/items/retry", (405, "POST")),
        ("PATCH", "/items/7", (405, "DELETE, GET, HEAD")),
        ("TRACE", "/items", (405, "GET, HEAD")),
    ],
)
async def test_a_path_refuses_the_methods_that_it_does_not_have_by_name(
    client: httpx.AsyncClient, method: str, path: str, told: tuple[int, Any]
) -> None:
    response = await client.request(method, path)
    assert (response.status_code, response.headers.get("allow", response.text)) == told


class Signed:
    """Middleware of one route."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"].append((b"x-signed", b"yes"))
            await send(message)

        await self._app(scope, receive, sending)


async def test_a_route_keeps_its_own_middleware() -> None:
    route = Route("/items", answer, name="list", middleware=[Middleware(Signed)])
    app = Starlette(routes=with_refusals(strict([route], OPERATIONS)))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as client:
        assert (await client.get("/items?limit=1")).headers["x-signed"] == "yes"
