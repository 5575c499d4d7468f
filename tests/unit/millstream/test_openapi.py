"""The document of the API and the router say the same, and the document is what OpenAPI and JSON Schema call valid."""

from collections.abc import Iterator, Mapping
from typing import Any

import jsonschema_rs
import msgspec
import pytest
from starlette.routing import Route

from ingest.problems import ProblemCode
from millstream.openapi.document import build_document, method_of
from millstream.openapi.operations import OPERATIONS
from tests.product_routes import product_routes

PAGES = ("/", "/docs", "/page")
"""What may be served without being part of the API."""

DESCRIBES_ITSELF = ("/mcp",)
"""Another protocol at one address: its own `tools/list` says what there is (ADR 39)."""


@pytest.fixture(scope="module")
def routes() -> list[Route]:
    return product_routes()


@pytest.fixture(scope="module")
def document(routes: list[Route]) -> Any:
    """As a client reads it."""
    return msgspec.json.decode(msgspec.json.encode(build_document(routes, OPERATIONS, keys_needed=True)))


def operations_in(document: Any) -> Iterator[tuple[str, str, Any]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield path, method, operation


def test_every_route_has_an_operation_and_every_operation_a_route(routes: list[Route]) -> None:
    served = [route.name for route in routes if route.include_in_schema]
    assert sorted(served) == sorted(set(served)), "a name stands for one route"
    missing, left_over = set(served) - OPERATIONS.keys(), OPERATIONS.keys() - set(served)
    assert missing == set(), "how to add an operation: src/millstream/openapi/__init__.py"
    assert left_over == set(), "operations of routes that are gone"


def test_the_document_has_the_paths_and_methods_of_the_router_and_no_others(routes: list[Route], document: Any) -> None:
    served = {(route.path, method_of(route), route.name) for route in routes if route.include_in_schema}
    assert {(path, method, one["operationId"]) for path, method, one in operations_in(document)} == served


def test_only_pages_and_what_describes_itself_are_left_out(routes: list[Route]) -> None:
    left_out = [route.path for route in routes if not route.include_in_schema]
    assert [path for path in left_out if "/" + path.split("/")[1] not in PAGES + DESCRIBES_ITSELF] == []


def test_a_route_with_several_methods_is_refused() -> None:
    route = Route("/both", lambda _request: None, methods=["PATCH", "DELETE"], name="both")
    with pytest.raises(ValueError, match="both has several methods"):
        method_of(route)


def test_the_document_is_valid_openapi(document: Any) -> None:
    from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR

    assert [error.message for error in OPENAPI_31_VALIDATOR.iter_errors(document)] == []


def test_every_schema_is_valid_and_every_reference_leads_somewhere(document: Any) -> None:
    for name, schema in document["components"]["schemas"].items():
        jsonschema_rs.Draft202012Validator({**schema, "components": document["components"]})
        assert schema["description"], f"{name} says nothing of itself"
    for reference in references_in(document):
        found: Any = document
        for step in reference.removeprefix("#/").split("/"):
            found = found[step]


def references_in(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for one in value.values():
            yield from references_in(one)
    elif isinstance(value, list):
        for one in value:
            yield from references_in(one)


def test_every_example_is_one(document: Any) -> None:
    validated = 0
    for _, _, operation in operations_in(document):
        for content in operation.get("requestBody", {}).get("content", {}).values():
            schema = {**content["schema"], "components": document["components"]}
            for example in content.get("examples", {}).values():
                jsonschema_rs.Draft202012Validator(schema).validate(example["value"])
                validated += 1
        for parameter in operation["parameters"]:
            if "example" in parameter:
                jsonschema_rs.Draft202012Validator(parameter["schema"]).validate(parameter["example"])
                validated += 1
    assert validated > 20, "or nobody looks at them"


def test_every_problem_code_may_come_from_somewhere(document: Any) -> None:
    told: set[str] = set()
    for answer in document["components"]["responses"].values():
        told |= set(answer["content"]["application/problem+json"]["schema"]["allOf"][1]["properties"]["code"]["enum"])
    of_no_operation = {ProblemCode.METHOD_NOT_ALLOWED}
    of_grpc_alone = {ProblemCode.BAD_RESULT, ProblemCode.LEASE_LOST, ProblemCode.TOO_MANY_WORKERS}
    assert set(ProblemCode) - told == of_no_operation | of_grpc_alone


def test_times_and_members_of_answers_are_told_exactly(document: Any) -> None:
    schemas = document["components"]["schemas"]
    status = schemas["DocumentStatus"]
    assert status["properties"]["updated_at"] == {"type": "string", "format": "date-time"}
    assert {"type": "string", "format": "date-time"} in schemas["TaskStatus"]["properties"]["started_at"]["anyOf"]
    assert set(status["required"]) == set(status["properties"]), "what is answered is always whole"
    assert "request_id" not in schemas["Problem"]["required"], "but for what a struct leaves out"
    assert schemas["CreateBody"]["required"] == ["name"], "what is sent may leave out what has a default"
    assert schemas["CreateBody"]["additionalProperties"] is False


@pytest.mark.parametrize(("keys_needed", "security"), [(True, [{"key": []}]), (False, [{}, {"key": []}])])
def test_a_key_is_asked_for_where_the_service_asks_for_one(
    routes: list[Route], keys_needed: bool, security: list[Any]
) -> None:
    paths = build_document(routes, OPERATIONS, keys_needed=keys_needed)["paths"]
    assert paths["/api/v1/tasks"]["get"]["security"] == security
    assert paths["/healthz"]["get"]["security"] == []
