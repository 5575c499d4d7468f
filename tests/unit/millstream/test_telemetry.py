"""Logs: what is secret gets into no line, whichever form the lines have and whoever writes them."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from millstream.settings import MASK
from tests.log_lines import FORMATS, logged

CANARY = "sk-canary-7f31"


@pytest.fixture(params=FORMATS)
def lines(request: pytest.FixtureRequest) -> Iterator[io.StringIO]:
    with logged(request.param) as stream:
        yield stream


@pytest.mark.parametrize("name", ["authorization", "Authorization", "api_key", "openai_api_key", "s3_secret_key"])
def test_what_is_logged_under_the_name_of_a_secret_is_masked(lines: io.StringIO, name: str) -> None:
    structlog.get_logger().info("asked", **{name: f"Bearer {CANARY}", "path": "/readyz"})
    assert "/readyz" in lines.getvalue()
    assert MASK in lines.getvalue()
    assert CANARY not in lines.getvalue()


@pytest.mark.parametrize("logger", [structlog.get_logger(), logging.getLogger("a.library")], ids=["ours", "theirs"])
def test_a_traceback_names_functions_and_shows_no_values_of_variables(lines: io.StringIO, logger: Any) -> None:
    ask_in_vain({"Authorization": f"Bearer {CANARY}"}, logger)
    assert "refuse" in lines.getvalue()
    assert CANARY not in lines.getvalue()


def test_a_line_of_json_says_who_when_and_what() -> None:
    with logged("json") as stream:
        structlog.get_logger().info("石磨", count=3)
    told = json.loads(stream.getvalue())
    assert told.pop("timestamp").endswith("Z")
    assert told == {"event": "石磨", "count": 3, "level": "info", "role": "api"}


def ask_in_vain(headers: dict[str, str], logger: Any) -> None:
    """Logs an error that arose where the headers are a variable."""

    def refuse(_headers: dict[str, str]) -> None:
        raise ConnectionError("refused")

    try:
        refuse(headers)
    except ConnectionError:
        logger.exception("asked_in_vain")
