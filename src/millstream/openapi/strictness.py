"""Query parameters that no operation knows are refused: who mistypes one would be answered something else in silence.

The table of operations is what is compared with, so a parameter that is not told is not taken either.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from millstream.openapi.operation import Access, In, Operation
from projections.errors import InvalidQuery

Endpoint = Callable[[Request], Awaitable[Response]]


def strict(routes: Iterable[Route], operations: Mapping[str, Operation]) -> list[Route]:
    """The same routes; those that need a key raise InvalidQuery for what their operation does not name, and for what is
    given twice. Probes of /healthz may carry what they like, and a page is no operation."""
    return [
        _strict(route, operations[route.name])
        if route.name in operations and operations[route.name].access is not Access.PUBLIC
        else route
        for route in routes
    ]


def _strict(route: Route, operation: Operation) -> Route:
    endpoint: Endpoint = route.endpoint
    asked = [one for one in operation.parameters if one.where is In.QUERY]
    known = [one.name for one in asked if not one.is_open]
    prefixes = tuple(f"{one.name}." for one in asked if one.is_open)

    async def answer(request: Request) -> Response:
        _check(request.query_params.multi_items(), known, prefixes)
        return await endpoint(request)

    return Route(route.path, answer, methods=sorted(route.methods or {"GET"}), name=route.name)


def _check(items: Iterable[tuple[str, str]], known: Sequence[str], prefixes: tuple[str, ...]) -> None:
    seen: set[str] = set()
    for name, _ in items:
        if name not in known and not (name.startswith(prefixes) and name not in prefixes):
            shown = ", ".join([*sorted(known), *(f"{prefix}*" for prefix in prefixes)])
            raise InvalidQuery(f"/{name}", f"unknown parameter; known here: {shown or 'none'}")
        if name in seen:
            raise InvalidQuery(f"/{name}", "the parameter is given twice")
        seen.add(name)
