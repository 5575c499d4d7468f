"""Problem documents for the errors of packages that `ingest` may not know."""

from collections.abc import Callable, Mapping
from typing import Any

from ingest.problems import Flaw, Problem, ProblemCode, problem
from projections.errors import InvalidCursor, InvalidQuery, TooManyStreams


def _of_query(error: InvalidQuery) -> Problem:
    return problem(ProblemCode.VALIDATION_FAILED, error.message, errors=(Flaw(error.pointer, error.message),))


def _of_cursor(_error: InvalidCursor) -> Problem:
    return problem(ProblemCode.BAD_CURSOR, "The cursor is not one of this list; start again without it.")


def _of_streams(error: TooManyStreams) -> Problem:
    return problem(ProblemCode.DEPENDENCY_UNAVAILABLE, str(error))


PROJECTION_PROBLEMS: Mapping[type[Exception], Callable[[Any], Problem]] = {
    InvalidQuery: _of_query,
    InvalidCursor: _of_cursor,
    TooManyStreams: _of_streams,
}
