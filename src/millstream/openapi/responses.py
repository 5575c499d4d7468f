"""The answers of a call as the document tells them: its own, and a problem document for each status that may come."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Final

from ingest.problems import MEDIA_TYPE, Problem, ProblemCode, answer_of
from millstream.openapi.operation import JSON, Answer, Header, Operation
from millstream.openapi.parameters import ANSWERED_REQUEST_ID, RETRY_AFTER

RETRIED_STATUSES: Final = frozenset({429, 503})
"""Their problems always say when to come back."""

Described = dict[str, Any]


class Responses:
    """`references` are those of structs; `shared` fills with the answers that are problems alone, by their names."""

    def __init__(self, references: Mapping[Any, Any]) -> None:
        self._references = references
        self.shared: dict[str, Described] = {}

    def of(self, operation: Operation, codes: AbstractSet[ProblemCode]) -> Described:
        """By status; a status that has an answer and a problem tells both."""
        found: Described = {str(answer.status): self._answer(answer) for answer in operation.answers}
        by_status: dict[int, list[ProblemCode]] = defaultdict(list)
        for code in sorted(codes):
            by_status[answer_of(code)[0]].append(code)
        for status, of_status in by_status.items():
            own = found.get(str(status))
            if own is None:
                found[str(status)] = self._problem(status, of_status)
            else:
                own["description"] += f" Or {_titles(of_status)}"
                own["content"][MEDIA_TYPE] = {"schema": self._problem_schema(status, of_status)}
        return dict(sorted(found.items()))

    def _problem(self, status: int, codes: Sequence[ProblemCode]) -> Described:
        digest = hashlib.sha256(",".join(codes).encode()).hexdigest()[:6]
        name = f"Problem{status}_{digest}"
        headers = [ANSWERED_REQUEST_ID, *([RETRY_AFTER] if status in RETRIED_STATUSES else [])]
        self.shared[name] = {
            "description": _titles(codes),
            "headers": _headers(headers),
            "content": {MEDIA_TYPE: {"schema": self._problem_schema(status, codes)}},
        }
        return {"$ref": f"#/components/responses/{name}"}

    def _problem_schema(self, status: int, codes: Sequence[ProblemCode]) -> Described:
        told = {"status": {"const": status}, "code": {"enum": [code.value for code in codes]}}
        return {
            "allOf": [self._references[Problem], {"type": "object", "required": ["request_id"], "properties": told}]
        }

    def _answer(self, answer: Answer) -> Described:
        described: Described = {
            "description": answer.description,
            "headers": _headers([*answer.headers, ANSWERED_REQUEST_ID]),
            "content": {},
        }
        schema = self._schema(answer)
        if schema is not None:
            content = described["content"][answer.media_type] = {"schema": schema}
            if answer.example is not None:
                content["example"] = answer.example
        described["content"].update({media_type: {"schema": other} for media_type, other in answer.others.items()})
        return described

    def _schema(self, answer: Answer) -> Any:
        if answer.events:
            told = [self._event(name, struct) for name, struct in answer.events.items()]
            return {"description": "One event of the stream.", "oneOf": told}
        schemas = [self._references[struct] for struct in answer.structs]
        if len(schemas) > 1:
            return {"anyOf": schemas}
        return schemas[0] if schemas else answer.schema

    def _event(self, name: str, struct: Any) -> Described:
        """By the members that a client takes from a server-sent event; `data` is JSON."""
        content = {"type": "object"} if struct is None else self._references[struct]
        data = {"type": "string", "contentMediaType": JSON, "contentSchema": content}
        return {
            "type": "object",
            "required": ["event", "data"],
            "properties": {"event": {"const": name}, "data": data, "id": {"type": "string"}},
        }


def _titles(codes: Sequence[ProblemCode]) -> str:
    return "; ".join(f"`{code}`: {answer_of(code)[1]}" for code in codes) + "."


def _headers(headers: Iterable[Header]) -> Described:
    return {one.name: {"description": one.description, "schema": one.schema, "required": one.always} for one in headers}
