"""Requests of an API process: how many, how answered, how fast, and the bytes that they bring."""

import time
from collections.abc import Awaitable, Iterable
from typing import Final

from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from millstream.admission.route_access import ROUTES
from millstream.observing import catalogue
from millstream.observing.registry import OTHER, Registry

NO_ROUTE: Final = "none"
"""A path that nothing is served at, or a method that it does not take."""

METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

_KEY: Final = "millstream.route"


def named_routes(routes: Iterable[Route]) -> list[Route]:
    """The same routes; each leaves its name with the request."""
    found = []
    for route in routes:
        route.app = _Named(route.app, route.name)
        found.append(route)
    return found


def route_of(scope: Scope) -> str:
    """The name of the route that answered, NO_ROUTE where none did."""
    name: str = scope.get(_KEY, NO_ROUTE)
    return name


class _Named:
    def __init__(self, app: ASGIApp, name: str) -> None:
        self._app = app
        self._name = name

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        scope[_KEY] = self._name
        return self._app(scope, receive, send)


class MeasuringMiddleware:
    """Stands before all others, so that what they refuse is counted too."""

    def __init__(self, app: ASGIApp, figures: Registry) -> None:
        self._app = app
        self._figures = figures

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        figures, began_s, received_bytes = self._figures, time.perf_counter(), 0

        async def counted() -> Message:
            nonlocal received_bytes
            message = await receive()
            received_bytes += len(message.get("body", b""))
            return message

        def timed(message: Message) -> Awaitable[None]:
            if message["type"] == "http.response.start":
                self._answered(scope, message["status"], time.perf_counter() - began_s)
            return send(message)

        figures.add(catalogue.IN_FLIGHT)
        try:
            await self._app(scope, counted, timed)
        finally:
            figures.add(catalogue.IN_FLIGHT, -1)
            if received_bytes and (access := ROUTES.get(route_of(scope))) is not None and access.is_intake:
                figures.add(catalogue.UPLOAD_BYTES, received_bytes, route_of(scope))

    def _answered(self, scope: Scope, status: int, took_s: float) -> None:
        route, method = route_of(scope), scope["method"]
        self._figures.add(catalogue.REQUESTS, 1, route, method if method in METHODS else OTHER, str(status))
        self._figures.observe(catalogue.REQUEST_SECONDS, took_s, route)
