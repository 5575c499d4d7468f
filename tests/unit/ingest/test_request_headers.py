"""Header fields that are taken apart once say what Starlette's say."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers

from ingest.request_headers import headers_of

_NAMES = st.sampled_from([b"host", b"x-request-id", b"content-length", b"accept", b"\xe9"])
_FIELDS = st.lists(st.tuples(_NAMES, st.binary(max_size=5)), max_size=8)


@given(raw=_FIELDS, name=st.sampled_from(["host", "Host", "X-REQUEST-ID", "content-length", "accept", "\xe9", "none"]))
def test_a_field_is_found_as_starlette_finds_it(raw: list[tuple[bytes, bytes]], name: str) -> None:
    scope: dict[str, Any] = {"headers": raw}
    ours, theirs = headers_of(scope), Headers(scope=scope)
    assert ours.get(name) == theirs.get(name)
    assert ours.get(name, "-") == theirs.get(name, "-")
    assert ours.getlist(name) == theirs.getlist(name)
    assert (name in ours) is (name in theirs)
    assert ours.items() == theirs.items()
    assert ours.raw == theirs.raw


def test_they_are_taken_apart_once_a_request() -> None:
    scope: dict[str, Any] = {"headers": [(b"host", b"a")]}
    assert headers_of(scope) is headers_of(scope)
    within = {**scope, "headers": [(b"host", b"b")]}
    assert headers_of(within)["host"] == "b", "of a scope made of another one"
    assert headers_of(scope)["host"] == "a"
