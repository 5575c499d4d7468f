"""Every route says what it asks of a key, in one table, and the description of the API says the same."""

import asyncio
from unittest.mock import MagicMock

import pytest
from starlette.routing import Route

from domain.access import Scope
from millstream.admission.admit import admitted_routes
from millstream.admission.route_access import ROUTES
from millstream.app import api_routes
from millstream.openapi.operation import Access
from millstream.openapi.operations import OPERATIONS
from millstream.openapi.problems import INTAKE
from millstream.settings import Settings


@pytest.fixture(scope="module")
def routes() -> list[Route]:
    """Of the product; what is behind them is never reached here."""
    stores = MagicMock(settings=Settings(), secret=bytes(32))
    return api_routes(stores, MagicMock(), asyncio.Event(), MagicMock(), MagicMock())


def test_every_route_has_an_entry_and_every_entry_a_route(routes: list[Route]) -> None:
    served = {route.name for route in routes}

    assert served - ROUTES.keys() == set(), "add it to src/millstream/admission/route_access.py"
    assert ROUTES.keys() - served == set(), "entries of routes that are gone"


def test_a_route_without_an_entry_keeps_the_service_from_starting() -> None:
    with pytest.raises(KeyError):
        admitted_routes([Route("/secret", lambda _request: None, name="secret")], MagicMock())


def test_what_is_public_is_told_to_be_public() -> None:
    public = {name for name, needed in ROUTES.items() if needed.scope is None}
    told = {name for name, operation in OPERATIONS.items() if operation.access is Access.PUBLIC}

    assert told == public & OPERATIONS.keys()


def test_nothing_below_the_api_is_public(routes: list[Route]) -> None:
    public = {route.path for route in routes if ROUTES[route.name].scope is None}

    assert [path for path in public if path.startswith("/api/")] == []


def test_what_changes_something_needs_more_than_the_scope_read(routes: list[Route]) -> None:
    searches = {"search", "search_many", "answer_question", "answer_many", "preview_chunks"}
    # A message changes nothing: the calls that its tools make are judged by themselves.
    searches |= {"mcp"}
    changing = {route.name for route in routes if not (route.methods or set()) <= {"GET", "HEAD"}} - searches

    assert {name for name in changing if ROUTES[name].scope is Scope.READ} == set()


def test_what_brings_documents_in_tells_of_its_refusals() -> None:
    intake = {name for name, needed in ROUTES.items() if needed.is_intake}

    assert {name for name in intake if not OPERATIONS[name].problems >= INTAKE} == set()
