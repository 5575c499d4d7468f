"""405 answers that name every method of a path: several packages serve the same path with different ones."""

from collections import defaultdict
from collections.abc import Iterable

from starlette.exceptions import HTTPException
from starlette.routing import Route
from starlette.types import Receive, Scope, Send


class _MethodRefused:
    """An ASGI application: matches every method, and is reached by those alone that no route before it serves."""

    def __init__(self, methods: Iterable[str]) -> None:
        self._allowed = ", ".join(sorted(methods))

    async def __call__(self, scope: Scope, _receive: Receive, _send: Send) -> None:
        detail = f"{scope['method']} is not allowed here; use one of {self._allowed}"
        raise HTTPException(405, detail=detail, headers={"Allow": self._allowed})


def with_refusals(routes: Iterable[Route]) -> list[Route]:
    """The routes path by path, each path with its refusal of all other methods behind it.

    A path that says a segment out goes before one that has a parameter there (`/dead-letters/retry` before
    `/dead-letters/{document_id}`): what one refuses the other must not take for an id.
    """
    of_path: dict[str, list[Route]] = defaultdict(list)
    for route in routes:
        of_path[route.path].append(route)
    ordered: list[Route] = []
    for path in sorted(of_path, key=_parameters_in):
        methods = set[str]().union(*(route.methods or set() for route in of_path[path]))
        ordered += [*of_path[path], Route(path, _MethodRefused(methods), include_in_schema=False)]
    return ordered


def _parameters_in(path: str) -> tuple[bool, ...]:
    return tuple(segment.startswith("{") for segment in path.split("/"))
