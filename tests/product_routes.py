"""Every route of the product, with nothing behind it: for tests of what is said about them."""

import asyncio
from collections.abc import Mapping
from typing import NamedTuple
from unittest.mock import MagicMock

from starlette.routing import Route

from millstream.app import api_routes
from millstream.openapi.document import method_of
from millstream.openapi.operation import Operation
from millstream.openapi.operations import OPERATIONS
from millstream.settings import Settings


def product_routes() -> list[Route]:
    """What is behind them must never be reached."""
    stores = MagicMock(settings=Settings(), secret=bytes(32))
    return api_routes(stores, MagicMock(), asyncio.Event(), MagicMock(), MagicMock())


class Call(NamedTuple):
    """One operation at its place."""

    name: str
    method: str
    path: str
    operation: Operation

    @property
    def ids(self) -> list[str]:
        """Names of the ids in its path."""
        return [segment[1:-1] for segment in self.path.split("/") if segment.startswith("{")]

    def target(self, ids: Mapping[str, str]) -> str:
        """The path with these ids in it."""
        return self.path.format(**ids)


def product_calls() -> list[Call]:
    """Every call that has an operation."""
    routes = [route for route in product_routes() if route.name in OPERATIONS]
    return [Call(route.name, method_of(route).upper(), route.path, OPERATIONS[route.name]) for route in routes]
