"""JSON that is none, too much, or breaks a rule: on every call that takes a body, found by the table of operations."""

from collections.abc import Iterator
from typing import Final

import msgspec
import pytest

from millstream.openapi.operation import JsonBody
from tests.integration.refusals import JSON, Caller, calling
from tests.product_routes import Call, product_calls
from tests.servers.redis_process import RedisProcess

pytest_plugins = ("tests.servers.redis",)

INVALID: Final = (400, "invalid_json")
RULE: Final = (422, "validation_failed")
TOO_LARGE: Final = (413, "payload_too_large")
MIB: Final = 1024 * 1024

CALLS: Final = [call for call in product_calls() if isinstance(call.operation.body, JsonBody)]
LONGER: Final = {"import_documents": 8 * MIB}
"""A text comes in as JSON: such a body may be longer than the 1 MiB of the others."""

BODIES: Final = {
    "null": (b"null", RULE),
    "a list": (b"[]", RULE),
    "a string": (b'"x"', RULE),
    "truncated": (b"{", INVALID),
    "truncated in a name": (b'{"na', INVALID),
    "something behind it": (b"{} {}", None),
    "a byte order mark": (b"\xef\xbb\xbf{}", INVALID),
    "UTF-16": ("{}".encode("utf-16"), INVALID),
    "invalid UTF-8": (b'{"\xff": 1}', INVALID),
    "overlong UTF-8": (b'{"\xc0\xaf": 1}', INVALID),
    "deep": (b"[" * 100_000, None),
    "deep in an unknown member": (b'{"no_such": ' + b"[" * 100_000, None),
    "an unknown member": (b'{"no_such": 1}', RULE),
    "a comment": (b"/* */ {}", INVALID),
    "no JSON at all": (b"name=x", INVALID),
}
"""None: any of the three. What is missing may be told before what stands behind it is read, or be too long to be."""

REFUSED: Final = {INVALID, RULE, TOO_LARGE}


@pytest.fixture(scope="module")
def caller(redis_server: RedisProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    with calling(redis_server.url, tmp_path_factory.mktemp("bodies")) as caller:
        yield caller


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.name)
def test_a_body_that_is_none_is_refused(caller: Caller, call: Call) -> None:
    for name, (body, answer) in BODIES.items():
        found = caller.refused(call.method, call.target(caller.ids), body, JSON)
        assert found in (REFUSED if answer is None else {answer}), name


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.name)
def test_a_body_of_another_type_or_form_is_refused(caller: Caller, call: Call) -> None:
    target = call.target(caller.ids)
    for declared in ({}, {"Content-Type": "text/plain"}, {"Content-Type": "application/json; charset=utf-7"}):
        assert caller.refused(call.method, target, b"{}", declared) == (415, "unsupported_media_type"), declared
    packed = {**JSON, "Content-Encoding": "gzip"}
    assert caller.refused(call.method, target, b"\x1f\x8b", packed) == (415, "content_encoding_not_supported")


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.name)
def test_a_body_that_is_too_large_is_refused(caller: Caller, call: Call) -> None:
    body = b'{"no_such": "%b"}' % (b"x" * LONGER.get(call.name, MIB))
    assert caller.refused(call.method, call.target(caller.ids), body, JSON) == TOO_LARGE


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.name)
def test_no_body_is_refused_where_one_has_to_be(caller: Caller, call: Call) -> None:
    if isinstance(call.operation.body, JsonBody) and call.operation.body.required:
        assert caller.refused(call.method, call.target(caller.ids), b"", JSON) == INVALID


SEARCH: Final = "/api/v1/knowledge-bases/{kb_id}/search"
SEARCHES: Final = "/api/v1/search"
BASES: Final = "/api/v1/knowledge-bases"
TOP_K: Final = b'{"query": "x", "top_k": %b}'
TOKENS: Final = b'{"name": "x", "settings": {"chunk_tokens": %b}}'
FILTER: Final = b'{"query": "x", "filters": %b}'
QUERY: Final = b'{"query": %b}'
NAME: Final = b'{"name": %b}'
MANY: Final = b"[" + b"1," * 999_999 + b"1]"

MEMBERS: Final = {
    **{
        f"{value[:20]!r} for a count of {path}": (path, body % value, answer)
        for path, body in ((SEARCH, TOP_K), (BASES, TOKENS))
        for value, answer in (
            (b"NaN", INVALID),
            (b"Infinity", INVALID),
            (b"-Infinity", INVALID),
            (b"1e999", RULE),
            (b"9" * 5_000, RULE),
            (b"18446744073709551616", RULE),
            (b"-1", RULE),
            (b"1.0", RULE),
            (b'"1"', RULE),
            (b"true", RULE),
            (b"[1]", RULE),
        )
    },
    "half a surrogate pair in a name": (BASES, NAME % b'"\\ud800"', INVALID),
    "half a surrogate pair in a query": (SEARCH, QUERY % b'"\\ud800"', INVALID),
    "invalid UTF-8 in a name": (BASES, NAME % b'"\xff"', INVALID),
    "U+0000 in a name": (BASES, NAME % b'"a\\u0000b"', RULE),
    "U+0000 in a description": (BASES, b'{"name": "x", "description": "\\u0000"}', RULE),
    "U+0000 in a model": (BASES, b'{"name": "x", "settings": {"embedding_model": "\\u0000"}}', RULE),
    "a blank name": (BASES, NAME % b'"  "', RULE),
    "a name of 201 characters": (BASES, NAME % (b'"%b"' % (b"x" * 201)), RULE),
    "a setting that there is not": (BASES, b'{"name": "x", "settings": {"chunks": 1}}', RULE),
    "deep filters": (SEARCH, FILTER % (b'{"not":' * 30_000), INVALID),
    "filters nine deep": (SEARCH, FILTER % (b'{"not": ' * 9 + b'{"page": 1}' + b"}" * 9), RULE),
    "a number out of range in a filter": (SEARCH, FILTER % b'{"page": 1e999}', RULE),
    "a filter by another tenant": (SEARCH, FILTER % b'{"tenant_id": "other"}', RULE),
    "a filter by a knowledge base": (SEARCH, FILTER % b'{"knowledge_base_id": "other"}', RULE),
    "a filter by a table": (SEARCH, FILTER % b'{"table": "kb_other_g1"}', RULE),
    "no query": (SEARCH, b"{}", RULE),
    "an empty query": (SEARCH, QUERY % b'""', RULE),
    "a blank query": (SEARCH, QUERY % b'" \\t\\n "', RULE),
    "a query of 2,001 characters": (SEARCH, QUERY % (b'"%b"' % (b"x" * 2_001)), RULE),
    "a query of a megabyte": (SEARCH, QUERY % (b'"%b"' % (b"x" * MIB)), TOO_LARGE),
    "a vector": (SEARCH, b'{"query": "x", "vector": [0.1, 0.2]}', RULE),
    "an unknown mode": (SEARCH, b'{"query": "x", "mode": "psychic"}', RULE),
    "documents without end": (SEARCH, b'{"query": "x", "document_ids": %b}' % MANY, TOO_LARGE),
    "1,001 documents": (SEARCH, b'{"query": "x", "document_ids": [%b"x"]}' % (b'"x",' * 1_000), RULE),
    "no knowledge base": (SEARCHES, b'{"query": "x", "knowledge_base_ids": []}', RULE),
    "21 knowledge bases": (SEARCHES, b'{"query": "x", "knowledge_base_ids": [%b"x"]}' % (b'"x",' * 20), RULE),
    "a table as a knowledge base": (
        SEARCHES,
        b'{"query": "x", "knowledge_base_ids": ["kb_other_g1"]}',
        (404, "not_found"),
    ),
}


@pytest.mark.parametrize("name", MEMBERS)
def test_a_member_that_breaks_a_rule_is_refused(caller: Caller, name: str) -> None:
    path, body, answer = MEMBERS[name]
    assert caller.refused("POST", path.format(**caller.ids), body, JSON) == answer


@pytest.mark.parametrize(
    "query", ["the of and", "*" * 200, "%%%%", "(a+)+$", "[a-z]*", "a" * 2_000, "\\", '"', "的的的", "-", "NOT", "a\0b"]
)
@pytest.mark.parametrize("mode", ["hybrid", "keyword", "vector"])
def test_a_query_is_words_whatever_it_looks_like(caller: Caller, query: str, mode: str) -> None:
    body = msgspec.json.encode({"query": query, "mode": mode})
    told = caller.send("POST", SEARCH.format(**caller.ids), body, JSON)
    assert (told.status, told.json["passages"]) == (200, [])
