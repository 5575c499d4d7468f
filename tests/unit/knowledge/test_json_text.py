"""JSON becomes lines that read: each value under its keys."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.errors import ParseError, ParseErrorCode
from knowledge.json_text import json_lines
from knowledge.limits import ParseLimits


def text_of(text: str) -> str:
    return "\n".join(json_lines(text, ParseLimits()))


def test_values_stand_under_their_keys() -> None:
    value = {"mill": {"name": "赤杨", "open": True, "stones": [1, 2.5, None]}, "parts": [{"id": "MS-4410"}]}
    assert text_of(json.dumps(value)).split("\n") == [
        "mill:",
        "  name: 赤杨",
        "  open: true",
        "  stones:",
        "    - 1",
        "    - 2.5",
        "    - null",
        "parts:",
        "  -",
        "    id: MS-4410",
    ]


def test_one_value_a_line_is_read_as_a_list() -> None:
    assert text_of('{"a": 1}\n\n{"a": 2}\n').count("a: ") == 2


@pytest.mark.parametrize(
    "text",
    [
        "{",
        '{"a": NaN}',
        "1" * 5000,
        "[" * 100_000 + "]" * 100_000,
        '{"a": 1}\n' + "[" * 100_000 + "]" * 100_000,
        "not json",
        '{"a": 1}\nnot json',
        "",
    ],
)
def test_what_is_not_json_fails(text: str) -> None:
    with pytest.raises(ParseError) as caught:
        text_of(text)
    assert caught.value.code is ParseErrorCode.PARSE_FAILED


def test_nesting_beyond_the_limit_is_refused() -> None:
    with pytest.raises(ParseError) as caught:
        text_of("[" * 300 + "]" * 300)
    assert caught.value.code is ParseErrorCode.RESOURCE_LIMIT


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda values: st.lists(values, max_size=4) | st.dictionaries(st.text("abc", min_size=1), values, max_size=4),
)


@given(VALUES)
def test_every_text_of_a_value_is_found(value: Any) -> None:
    rendered = text_of(json.dumps(value))

    def texts(part: Any) -> list[str]:
        match part:
            case dict():
                return [text for item in part.values() for text in texts(item)]
            case list():
                return [text for item in part for text in texts(item)]
            case str():
                return [part]
            case _:
                return []

    assert all(text in rendered for text in texts(value))
