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


def refusals(routes: Iterable[Route]) -> list[Route]:
    """One route a path, to stand behind all others."""
    methods: dict[str, set[str]] = defaultdict(set)
    for route in routes:
        methods[route.path] |= route.methods or set()
    return [Route(path, _MethodRefused(allowed)) for path, allowed in methods.items()]
