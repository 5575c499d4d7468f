"""The document: routes and the table of operations put together."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from typing import Any, Final

from starlette.routing import Route

from ingest.problems import Problem
from millstream.openapi.operation import JSON, Access, In, JsonBody, Operation, Parameter, RawBody, Tag
from millstream.openapi.parameters import IDEMPOTENCY_KEY, PATH_PARAMETERS, REQUEST_ID
from millstream.openapi.problems import problems_of
from millstream.openapi.responses import Responses
from millstream.openapi.schemas import components_of

OPENAPI: Final = "3.1.1"
KEY_SCHEME: Final = "key"
_PATH_PARAMETER: Final = re.compile(r"\{(\w+)(?::\w+)?\}")

DESCRIPTION: Final = """\
The event-sourced ingestion backbone under a knowledge base: accepted at once, processed once, searchable, provable.

* Errors are problem documents (RFC 9457): branch on `code`, show `detail`, report `request_id`.
* Lists answer `{data, total, next_cursor}`; unknown members of a body and unknown parameters are refused.
* A POST with an `Idempotency-Key` may be repeated safely.
* Every GET answers HEAD too.
"""

Document = dict[str, Any]


def build_document(routes: Iterable[Route], operations: Mapping[str, Operation], *, keys_needed: bool) -> Document:
    """`keys_needed`: calls without a key are refused; in the open mode they are answered. Raises KeyError for a route
    without an operation."""
    told = [route for route in routes if route.include_in_schema]
    of_routes = [operations[route.name] for route in told]
    sent, answered = _types_of(of_routes)
    components = components_of(sent, answered)
    references = {
        **dict(zip(answered, components.answered, strict=True)),
        **dict(zip(sent, components.sent, strict=True)),
    }
    responses = Responses(references)
    paths: dict[str, dict[str, Any]] = defaultdict(dict)
    for route, operation in zip(told, of_routes, strict=True):
        path = _PATH_PARAMETER.sub(r"{\1}", route.path)
        paths[path][method_of(route)] = _operation(route, operation, references, responses, keys_needed=keys_needed)
    return {
        "openapi": OPENAPI,
        "info": {
            "title": "Millstream",
            "version": version("millstream"),
            "description": DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": tag.value} for tag in Tag if any(one.tag is tag for one in of_routes)],
        "paths": dict(paths),
        "components": {
            "schemas": dict(sorted(components.schemas.items())),
            "responses": dict(sorted(responses.shared.items())),
            "securitySchemes": {
                KEY_SCHEME: {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "`Authorization: Bearer ms_…`; `millstream keys create` makes one.",
                }
            },
        },
    }


def method_of(route: Route) -> str:
    """The one method of a route, in lower case; HEAD goes with GET. Raises ValueError for a route with several."""
    methods = set(route.methods or {"GET"})
    if "GET" in methods:
        methods.discard("HEAD")
    if len(methods) != 1:
        raise ValueError(f"the route {route.name} has several methods: give each a route with a name of its own")
    return methods.pop().lower()


def path_parameters_of(route: Route) -> list[str]:
    """Their names, in order."""
    return _PATH_PARAMETER.findall(route.path)


def _types_of(operations: Sequence[Operation]) -> tuple[list[Any], list[Any]]:
    """What is sent and what is answered, each type once."""
    sent: dict[Any, None] = {}
    answered: dict[Any, None] = {Problem: None}
    for operation in operations:
        match operation.body:
            case JsonBody(struct=struct):
                sent[struct] = None
            case RawBody(structs=structs):
                sent.update(dict.fromkeys(structs))
            case None:
                pass
        for answer in operation.answers:
            answered.update(dict.fromkeys([*answer.structs, *filter(None, answer.events.values())]))
    return list(sent), list(answered)


def _operation(
    route: Route, operation: Operation, references: Mapping[Any, Any], responses: Responses, *, keys_needed: bool
) -> Document:
    names = path_parameters_of(route)
    headers = (IDEMPOTENCY_KEY, REQUEST_ID) if operation.is_idempotent else (REQUEST_ID,)
    parameters = [_path_parameter(name) for name in names]
    parameters += [_parameter(one) for one in (*operation.parameters, *headers)]
    described: Document = {
        "operationId": route.name,
        "tags": [operation.tag.value],
        "summary": operation.summary,
        "description": operation.description or f"{operation.summary}.",
        "parameters": parameters,
        "responses": responses.of(operation, problems_of(operation, has_path_parameters=bool(names))),
        "security": _security(operation.access, keys_needed=keys_needed),
    }
    if operation.body is not None:
        described["requestBody"] = _body(operation.body, references)
    return described


def _security(access: Access, *, keys_needed: bool) -> list[dict[str, list[str]]]:
    if access is Access.PUBLIC:
        return []
    return [{KEY_SCHEME: []}] if keys_needed else [{}, {KEY_SCHEME: []}]


def _path_parameter(name: str) -> Document:
    schema, description = PATH_PARAMETERS[name]
    return {"name": name, "in": "path", "required": True, "schema": schema, "description": description}


def _parameter(parameter: Parameter) -> Document:
    described: Document = {
        "name": parameter.name,
        "in": parameter.where.value,
        "required": parameter.required,
        "schema": parameter.schema,
        "description": parameter.description,
    }
    if parameter.where is In.QUERY and parameter.schema.get("type") in {"array", "object"}:
        # One parameter with commas, or, of an open object, a parameter for each of its members.
        described |= {"style": "form", "explode": parameter.is_open}
    if parameter.example is not None:
        described["example"] = parameter.example
    return described


def _body(body: JsonBody | RawBody, references: Mapping[Any, Any]) -> Document:
    match body:
        case JsonBody():
            content: Document = {"schema": references[body.struct]}
            if body.examples:
                content["examples"] = {name: {"value": value} for name, value in body.examples.items()}
            return {"required": body.required, "content": {JSON: content}}
        case RawBody():
            content = {"schema": body.schema}
            if body.encoding:
                content["encoding"] = body.encoding
            return {"required": body.required, "description": body.description, "content": {body.media_type: content}}
