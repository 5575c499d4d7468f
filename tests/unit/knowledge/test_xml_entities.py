"""What entities would unpack to is known without unpacking any."""

import pytest

from knowledge.errors import ParseError, ParseErrorCode
from knowledge.limits import ParseLimits
from knowledge.xml_entities import check_entities

LIMITS = ParseLimits(text_bytes_max=10_000)


def document(declarations: str, body: str) -> bytes:
    return f"<?xml version='1.0'?><!DOCTYPE x [{declarations}]><x>{body}</x>".encode()


LAUGHS = "<!ENTITY a0 'ha'>" + "".join(f"<!ENTITY a{n} '{f'&a{n - 1};' * 10}'>" for n in range(1, 10))


@pytest.mark.parametrize(
    "hostile",
    [
        document(LAUGHS, "&a9;"),
        document(f"<!ENTITY long '{'x' * 1_000}'>", "&long;" * 11),
        document("<!ENTITY a '&b;'><!ENTITY b '&a;'>", "&a;"),
    ],
    ids=["laughs", "quadratic", "endless"],
)
def test_entities_that_unpack_to_too_much_are_a_resource_limit(hostile: bytes) -> None:
    with pytest.raises(ParseError) as caught:
        check_entities(hostile, LIMITS)
    assert caught.value.code is ParseErrorCode.RESOURCE_LIMIT


@pytest.mark.parametrize(
    "harmless",
    [
        document("<!ENTITY mill 'the red mill'><!ENTITY place '&mill;, by the river'>", "&place; &mill; &amp;"),
        document(LAUGHS, "declared and not used"),
        document("<!ENTITY far SYSTEM 'file:///etc/passwd'>", "&far;"),
        b"<x>&nothing;</x>",
    ],
    ids=["two words", "unused", "outside", "none"],
)
def test_others_pass(harmless: bytes) -> None:
    check_entities(harmless, LIMITS)
    assert len(harmless) < LIMITS.text_bytes_max
