"""Query parameters that no operation knows are refused: who mistypes one would be answered something else in silence.

The table of operations is what is compared with, so a parameter that is not told is not taken either.
"""

from collections.abc import Awaitable, Iterable, Mapping
from urllib.parse import parse_qsl

from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from millstream.openapi.operation import Access, In, Operation
from projections.errors import InvalidQuery


def strict(routes: Iterable[Route], operations: Mapping[str, Operation]) -> list[Route]:
    """The same routes; those that need a key raise InvalidQuery for what their operation does not name, and for what is
    given twice. Probes of /healthz may carry what they like, and a page is no operation."""
    found = []
    for route in routes:
        operation = operations.get(route.name)
        if operation is not None and operation.access is not Access.PUBLIC:
            route.app = _StrictRoute(route.app, operation)
        found.append(route)
    return found


class _StrictRoute:
    """An ASGI application in front of one route's."""

    def __init__(self, app: ASGIApp, operation: Operation) -> None:
        asked = [one for one in operation.parameters if one.where is In.QUERY]
        self._app = app
        self._known = frozenset(one.name for one in asked if not one.is_open)
        self._prefixes = tuple(f"{one.name}." for one in asked if one.is_open)

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["query_string"]:
            self._check(
                [name for name, _ in parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)]
            )
        return self._app(scope, receive, send)

    def _check(self, names: Iterable[str]) -> None:
        seen: set[str] = set()
        for name in names:
            if name not in self._known and not (name.startswith(self._prefixes) and name not in self._prefixes):
                shown = ", ".join([*sorted(self._known), *(f"{prefix}*" for prefix in self._prefixes)])
                raise InvalidQuery(f"/{name}", f"unknown parameter; known here: {shown or 'none'}")
            if name in seen:
                raise InvalidQuery(f"/{name}", "the parameter is given twice")
            seen.add(name)
