"""Ids, parameters, conditions and methods that are none, on every call, found by the table of operations."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Final
from urllib.parse import quote

import msgspec
import pytest

from millstream.openapi.operation import MULTIPART, Access, In, JsonBody, RawBody
from tests.integration.refusals import JSON, UNIQUE, Caller, calling
from tests.product_routes import Call, product_calls
from tests.servers.redis_process import RedisProcess

pytest_plugins = ("tests.servers.redis",)

RULE: Final = (422, "validation_failed")
CURSOR: Final = (400, "bad_cursor")
MARK: Final = "qxz"
"""Stands in every id that is none, so that it is found wherever it went."""

CALLS: Final = [call for call in product_calls() if call.operation.access is not Access.PUBLIC]
PLACES: Final = [(call, name) for call in CALLS for name in call.ids]
LISTS: Final = [call for call in CALLS if {"limit", "cursor"} <= {one.name for one in call.operation.parameters}]
RESUMABLE: Final = {
    "Tus-Resumable": "1.0.0",
    "Upload-Offset": "0",
    "Content-Type": "application/offset+octet-stream",
    "X-HTTP-Method-Override": "PATCH",
}
FORM: Final = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\ntext\r\n--x--\r\n'
ASKED: Final = {"OPTIONS"}
"""Answers whatever was asked about."""

NO_IDS: Final = [
    "%2e%2e",
    "%2e",
    "%2e%2e%2fkeys",
    "*",
    "{}",
    "%00",
    f"{MARK}%00",
    f"{MARK}%ff",
    f"{MARK}[a-z]*",
    f"{MARK}*",
    "$",
    "%3e",
    "0-0",
    f"'; DROP TABLE {MARK};--",
    f"kb_{MARK}",
    f"kb_{UNIQUE}0",
    f"KB_{UNIQUE}",
    f"kb_{UNIQUE[:14]}1{UNIQUE[15:]}",
    f"task_{UNIQUE} {MARK}",
    f"doc_{UNIQUE}%0a",
    "%e4%b8%ad%e6%96%87",
    f"{MARK}%0d%0aX-Injected:%20yes",
    MARK * 1_000,
    "hook_",
    "msg_",
]
"""As they stand in the target; what is no ASCII letter there is escaped before."""


@pytest.fixture(scope="module")
def caller(redis_server: RedisProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    with calling(redis_server.url, tmp_path_factory.mktemp("ids")) as caller:
        yield caller


def sent_with(call: Call) -> tuple[bytes | None, dict[str, str]]:
    """What the call needs besides, so that nothing but the id can be at fault."""
    match call.operation.body:
        case JsonBody(required=True, examples=examples):
            return msgspec.json.encode(next(iter(examples.values()), {})), JSON
        case RawBody(media_type=media_type) if media_type == MULTIPART:
            return FORM, {"Content-Type": f"{MULTIPART}; boundary=x"}
        case _:
            return None, RESUMABLE if "/uploads" in call.path else {}


@pytest.mark.parametrize(("call", "name"), PLACES, ids=lambda value: value if isinstance(value, str) else value.name)
def test_an_id_that_is_none_is_not_found_and_never_reaches_redis(caller: Caller, call: Call, name: str) -> None:
    if call.method in ASKED:
        return
    others = {one for one in caller.ids if one != name}
    targets = [call.target({**caller.ids, name: quote(text, safe="%")}) for text in NO_IDS]
    targets += [call.target({**caller.ids, name: caller.ids[other]}) for other in sorted(others)]
    targets += [call.target({**caller.ids, name: caller.ids[name].upper()})] if name != "upload_id" else []
    body, headers = sent_with(call)
    with caller.redis.monitor() as commands:  # type: ignore[no-untyped-call]  # redis says nothing of its type
        for target in targets:
            if call.method == "HEAD":
                status, code = caller.send("HEAD", target, body, headers).status, ""
            else:
                status, code = caller.refused(call.method, target, body, headers)
            assert status in {404, 410}, (target, status, code)
        caller.redis.echo(b"the end")
        for command in commands.listen():
            assert MARK not in command["command"], command
            if command["command"].startswith("ECHO"):
                break


@pytest.mark.parametrize(("call", "name"), PLACES, ids=lambda value: value if isinstance(value, str) else value.name)
def test_an_id_that_is_empty_or_endless_is_refused(caller: Caller, call: Call, name: str) -> None:
    body, headers = sent_with(call)
    empty = caller.send(call.method, call.target({**caller.ids, name: ""}), body, headers)
    assert empty.status in {404, 405}
    endless = caller.send(call.method, call.target({**caller.ids, name: "x" * 10_240}), body, headers)
    assert endless.status == 414


@pytest.mark.parametrize("call", LISTS, ids=lambda call: call.name)
def test_a_bad_limit_or_cursor_of_a_list_is_refused(caller: Caller, call: Call) -> None:
    target = call.target(caller.ids)
    if "webhook_id" in call.ids:
        return  # there is none, which is told before
    for limit in ("0", "-1", "201", "1000000000", "ten", "", "1.0", "1e1", "+1", "%201", "٣", "0x10", "1&limit=1"):
        assert caller.refused(call.method, f"{target}?limit={quote(limit, safe='%&=')}") == RULE, limit
    for cursor in ("x", "garbage", "AAAA", "%00", "a" * 600, "*", quote("中文"), ""):
        assert caller.refused(call.method, f"{target}?cursor={cursor}")[0] in {400, 404}, cursor
    for extra in ("sort=name", "order=asc", "offset=1", "page=2", "tenant_id=x", "Limit=1", "limit%5b%5d=1"):
        assert caller.refused(call.method, f"{target}?{extra}") == RULE, extra


def test_a_cursor_of_another_list_or_one_that_was_touched_is_refused(caller: Caller) -> None:
    given = caller.send("GET", "/api/v1/tasks?limit=1").json["next_cursor"]
    assert caller.send("GET", f"/api/v1/tasks?limit=1&cursor={given}").status == 200
    touched = given[:-1] + ("A" if given[-1] != "A" else "B")
    base = caller.world.knowledge_base
    for target in (
        f"/api/v1/tasks?cursor={touched}",
        f"/api/v1/tasks?cursor={given}AAAA",
        f"/api/v1/tasks?status=failed&cursor={given}",
        f"/api/v1/tasks?knowledge_base={base}&cursor={given}",
        f"/api/v1/knowledge-bases?cursor={given}",
        f"/api/v1/knowledge-bases/{base}/documents?cursor={given}",
        f"/api/v1/dead-letters?cursor={given}",
        f"/api/v1/events?after={given}",
    ):
        assert caller.refused("GET", target) == CURSOR, target


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.name)
def test_a_parameter_that_a_call_does_not_have_is_refused(caller: Caller, call: Call) -> None:
    told = caller.send(call.method, f"{call.target(caller.ids)}?no_such=1", *sent_with(call))
    assert told.status == 422
    if call.method != "HEAD":
        detail, known = told.json["detail"], {one.name for one in call.operation.parameters if one.where is In.QUERY}
        assert all(name in detail for name in known), "what there is instead is told"


@pytest.mark.parametrize(
    "target",
    [
        "/api/v1/tasks?status=done",
        "/api/v1/tasks?status=",
        "/api/v1/tasks/{task_id}?wait=61",
        "/api/v1/tasks/{task_id}?wait=-1",
        "/api/v1/tasks/{task_id}?wait=soon",
        "/api/v1/tasks/{task_id}?wait=1&until=tomorrow",
        "/api/v1/tasks/{task_id}/events?at=yesterday",
        "/api/v1/tasks/{task_id}/events?at=2026-11-23",
        "/api/v1/dead-letters?since=2026-11-23T08:00:00",
        "/api/v1/dead-letters?step=walk",
        "/api/v1/dead-letters?code=No%20Text",
        "/api/v1/events?types=TaskSubmitted,NoSuch",
        "/api/v1/system?minutes=0",
        "/api/v1/knowledge-bases?name=",
        "/api/v1/knowledge-bases/{kb_id}/documents?metadata.=x",
        "/api/v1/knowledge-bases/{kb_id}/documents?" + "&".join(f"metadata.k{number}=x" for number in range(17)),
    ],
)
def test_a_value_that_a_parameter_cannot_have_is_refused(caller: Caller, target: str) -> None:
    assert caller.refused("GET", target.format(**caller.ids)) == RULE


@pytest.mark.parametrize("path", ["/api/v1/tasks", "/api/v1/dead-letters", "/api/v1/events"])
def test_a_knowledge_base_to_filter_by_that_is_none_is_not_found(caller: Caller, path: str) -> None:
    for named in ("x", "*", f"kb_{UNIQUE}", f"task_{UNIQUE}", ""):
        assert caller.refused("GET", f"{path}?knowledge_base={named}")[0] == 404, named


@pytest.mark.parametrize("path", ["/api/v1/stream", "/api/v1/tasks/{task_id}/stream"])
@pytest.mark.parametrize("place", ["garbage", "9" * 30, "99999999999999-0", "0-0_0-0_0-0", "1-1~x.1", "-1", "*"])
def test_a_place_that_no_stream_gave_out_leads_to_a_fresh_start(caller: Caller, path: str, place: str) -> None:
    target = path.format(**caller.ids)
    first = b"event: snapshot" if path.endswith("v1/stream") else b"event: status"
    for told in (
        caller.send("GET", target, headers={"Last-Event-ID": place}),
        caller.send("GET", f"{target}?last_event_id={quote(place)}"),
    ):
        assert told.status == 200
        assert told.body.startswith(b"retry: 1000\n\n" + first)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PATCH", "/api/v1/knowledge-bases/{kb_id}"),
        ("DELETE", "/api/v1/knowledge-bases/{kb_id}"),
        ("DELETE", "/api/v1/knowledge-bases/{kb_id}/documents/{document_id}"),
    ],
)
def test_what_is_not_at_the_version_that_was_seen_is_not_changed(caller: Caller, method: str, path: str) -> None:
    target = path.format(**caller.ids)
    tag = caller.send("GET", target).headers["etag"]
    sent = (b'{"description": "new"}', JSON) if method == "PATCH" else (None, {})
    for condition in (
        {"If-Match": '"0"'},
        {"If-Match": f"W/{tag}"},
        {"If-Match": '"x", "y"'},
        {"If-Match": ""},
        {"If-None-Match": "*"},
        {"If-None-Match": f'"0", {tag}'},
    ):
        refused = caller.refused(method, target, sent[0], {**sent[1], **condition})
        assert refused == (412, "precondition_failed"), condition


def test_what_is_at_the_version_that_was_seen_is_changed_once(caller: Caller) -> None:
    target, body = f"/api/v1/knowledge-bases/{caller.world.spare}", b'{"description": "changed"}'
    tag = caller.send("GET", target).headers["etag"]
    first = caller.send("PATCH", target, body, {**JSON, "If-Match": f'"7", {tag}', "If-None-Match": '"0"'})
    assert first.status == 200
    assert first.headers["etag"] != tag
    assert caller.refused("PATCH", target, body, {**JSON, "If-Match": tag}) == (412, "precondition_failed")
    assert caller.send("GET", target, headers={"If-None-Match": first.headers["etag"]}).status == 304
    assert caller.send("GET", target, headers={"If-None-Match": "*"}).status == 304
    assert caller.send("DELETE", target, headers={"If-Match": "*"}).status == 202


def test_a_method_that_a_path_does_not_have_is_told_which_it_has(caller: Caller) -> None:
    methods: dict[str, set[str]] = defaultdict(set)
    for call in product_calls():
        methods[call.target(caller.ids)] |= {call.method, *(("HEAD",) if call.method == "GET" else ())}
    for target, known in methods.items():
        for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"} - known:
            told = caller.send(method, target)
            assert (told.status, told.json["code"]) == (405, "method_not_allowed"), (method, target)
            # What is no method of ours at all is refused before it is known what was asked for.
            allowed = set(told.headers["allow"].split(", "))
            assert allowed >= known if method in {"TRACE", "PROPFIND"} else allowed == known, (method, target)


def test_head_answers_the_headers_of_get(caller: Caller) -> None:
    changing = {"date", "x-request-id", "content-length", "ratelimit", "transfer-encoding"}
    for call in product_calls():
        if call.method == "GET":
            got, asked = (caller.send(method, call.target(caller.ids)) for method in ("GET", "HEAD"))
            assert (asked.status, asked.body) == (got.status, b""), call.name
            assert asked.headers.keys() - changing == got.headers.keys() - changing, call.name
            assert asked.headers.get("etag") == got.headers.get("etag")
