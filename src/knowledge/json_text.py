"""JSON and JSON lines -> readable text: a line for each value, under its keys."""

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from knowledge.errors import ParseError, ParseErrorCode
from knowledge.limits import ParseLimits

INDENT: Final = "  "


def json_lines(text: str, limits: ParseLimits) -> Iterator[str]:
    """Yields `key: value` lines, indented by depth, list items marked with `-`.

    Raises ParseError: parse_failed where the text is not JSON, resource_limit where it is nested too deeply.
    """
    yield from _render(_load(text), 0, limits.json_depth_max)


def _load(text: str) -> Any:  # any JSON value
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        first = error
    # One value a line (NDJSON): each must hold by itself.
    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) > 1:
        try:
            return [msgspec.json.decode(line) for line in lines]
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            pass  # the first error says more: the file may well be one value
    raise ParseError(ParseErrorCode.PARSE_FAILED, f"not JSON: {first}") from first


def _render(value: Any, depth: int, depth_max: int) -> Iterator[str]:
    if depth > depth_max:
        raise ParseError(ParseErrorCode.RESOURCE_LIMIT, f"the JSON is nested deeper than {depth_max} levels")
    indent = INDENT * depth
    match value:
        case dict():
            for key, item in value.items():
                yield from _entry(f"{indent}{key}:", item, depth, depth_max)
        case list():
            for item in value:
                yield from _entry(f"{indent}-", item, depth, depth_max)
        case _:
            yield indent + _scalar(value)


def _entry(label: str, item: Any, depth: int, depth_max: int) -> Iterator[str]:
    if isinstance(item, dict | list):
        yield label
        yield from _render(item, depth + 1, depth_max)
    else:
        yield f"{label} {_scalar(item)}"


def _scalar(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case _:
            return str(value)
