"""Errors of the package cross process borders and show what they mean."""

import pickle

from knowledge.errors import EmbeddingError, InvalidSearch, KnowledgeError, ParseError, ParseErrorCode


def test_a_parse_error_survives_the_way_out_of_a_child_process() -> None:
    error = pickle.loads(pickle.dumps(ParseError(ParseErrorCode.NO_TEXT, "nothing to read")))  # noqa: S301
    assert isinstance(error, ParseError)
    assert (error.code, error.message) == (ParseErrorCode.NO_TEXT, "nothing to read")


def test_every_error_names_its_code_or_its_place() -> None:
    errors: list[KnowledgeError] = [
        ParseError(ParseErrorCode.RESOURCE_LIMIT, "too much"),
        EmbeddingError("rate_limited", "slow down", retry_after_s=3.0),
        InvalidSearch("must not be empty", "/query"),
    ]
    assert [str(error) for error in errors] == [
        "resource_limit: too much",
        "rate_limited: slow down",
        "must not be empty (at /query)",
    ]
