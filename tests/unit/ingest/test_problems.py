"""Every error has its problem document, and no document says more than it should."""

import io
import json
from collections.abc import Callable
from typing import Any, Literal

import httpx
import msgspec
import pytest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from blobs.errors import BlobStoreFull, BlobStoreUnavailable
from domain.errors import Contention, RefusalCode, Refused
from events.document import OnDuplicate
from events.errors import ArchiveRefused, InvalidId, LogFull, LogUnavailable, SegmentDamaged
from events.knowledge_base import ChunkerKind
from ingest.answers import exception_handlers
from ingest.choices import choices_at
from ingest.knowledge_bases import CreateBody
from ingest.options import OptionsBody
from ingest.problems import Problem, ProblemCode, Rejected, problem
from ingest.request_id import RequestIdMiddleware
from ingest.validation import flaw_of, rejected
from knowledge.errors import EmbeddingError, IndexUnavailable, InvalidSearch


class Listed(msgspec.Struct):
    names: list[str]


class Chosen(msgspec.Struct):
    many: list[OnDuplicate]
    either: Literal["a", "b"] | None
    free: str


class Foreign(Exception):
    """An error of a package that this one may not know."""


def of_foreign(error: Exception) -> Problem:
    return problem(ProblemCode.BAD_CURSOR, str(error))


async def answer_to(error: Exception, headers: dict[str, str] | None = None) -> httpx.Response:
    return (await answers_to(error, 1, headers))[0]


async def answers_to(error: Exception, count: int, headers: dict[str, str] | None = None) -> list[httpx.Response]:
    async def fail(request: Request) -> Response:
        raise error

    app = Starlette(
        routes=[Route("/fail", fail)],
        exception_handlers=exception_handlers({Foreign: of_foreign}),
        middleware=[Middleware(RequestIdMiddleware, new_request_id=lambda: "made-here")],
    )
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://mill") as client:
        return [await client.get("/fail", headers=headers) for _ in range(count)]


def validation_error(body: bytes) -> msgspec.ValidationError:
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.json.decode(body, type=CreateBody)
    return caught.value


def raised(call: Callable[[], Any]) -> Exception:
    with pytest.raises(Exception) as caught:
        call()
    return caught.value


ANSWERS = [
    *((Refused(code, "why"), 404, code.value) for code in RefusalCode if code.value.startswith("unknown_")),
    (Refused(RefusalCode.IDEMPOTENCY_KEY_REUSED, "why"), 422, "idempotency_key_reused"),
    (Refused(RefusalCode.TASK_FINISHED, "why"), 409, "task_finished"),
    (Refused(RefusalCode.DOCUMENT_ENDED, "why"), 409, "document_ended"),
    (Refused(RefusalCode.DOCUMENT_REMOVED, "why"), 409, "document_removed"),
    (Refused(RefusalCode.KNOWLEDGE_BASE_DELETED, "why"), 409, "knowledge_base_deleted"),
    (Refused(RefusalCode.REINDEX_REQUIRED, "why"), 409, "reindex_required"),
    (Refused(RefusalCode.WEBHOOK_DISABLED, "why"), 409, "webhook_disabled"),
    (Refused(RefusalCode.TOO_MANY_WEBHOOKS, "why"), 409, "too_many_webhooks"),
    (Refused(RefusalCode.VALIDATION_FAILED, "why"), 422, "validation_failed"),
    (InvalidId("no"), 404, "not_found"),
    (LogUnavailable("redis://secret@host"), 503, "dependency_unavailable"),
    (LogFull("oom"), 507, "storage_full"),
    (SegmentDamaged("1_9.seg", "a secret hash"), 500, "archive_damaged"),
    (ArchiveRefused("secret"), 500, "archive_damaged"),
    (BlobStoreUnavailable("s3 secret"), 503, "dependency_unavailable"),
    (BlobStoreFull("disk"), 507, "storage_full"),
    (IndexUnavailable("secret path"), 503, "dependency_unavailable"),
    (Contention("kb_00"), 503, "contention"),
    (InvalidSearch("the query is empty", "/query"), 422, "validation_failed"),
    (EmbeddingError("x", "secret"), 503, "embedding_unavailable"),
    (EmbeddingError("x", "secret", is_permanent=True), 502, "embedding_rejected"),
    (raised(lambda: msgspec.json.decode(b"{")), 400, "invalid_json"),
    (raised(lambda: b"\xff".decode()), 400, "invalid_json"),
    (RecursionError(), 400, "invalid_json"),
    (Rejected(ProblemCode.MISSING_FILE, "no file"), 400, "missing_file"),
    (HTTPException(404), 404, "not_found"),
    (HTTPException(418), 400, "bad_request"),
    (Foreign("garbled"), 400, "bad_cursor"),
    (ZeroDivisionError("secret"), 500, "internal_error"),
]


@pytest.mark.usefixtures("log_lines")  # as a machine reads them: a traceback in colours takes half a second
@pytest.mark.parametrize(("error", "status", "code"), ANSWERS, ids=lambda value: str(value)[:40])
async def test_an_error_is_answered_with_its_problem(error: Exception, status: int, code: str) -> None:
    answer = await answer_to(error)
    document = answer.json()
    assert (answer.status_code, document["status"], document["code"]) == (status, status, code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-request-id"] == document["request_id"] == "made-here"
    assert document["type"] == f"urn:millstream:problem:{code}"
    assert document["title"]
    assert document["detail"]
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text
    assert ("retry-after" in answer.headers) == (status == 503)


async def test_a_path_that_no_call_has_leads_to_those_that_there_are() -> None:
    assert "/docs" in (await answer_to(HTTPException(404))).json()["detail"]
    assert (await answer_to(HTTPException(404, "There is no such file."))).json()["detail"] == "There is no such file."


async def test_every_client_hears_of_an_outage_and_the_log_once_a_second(log_lines: io.StringIO) -> None:
    answers = await answers_to(LogUnavailable("reset by peer"), 20)
    assert {(one.status_code, one.headers["Retry-After"]) for one in answers} == {(503, "5")}
    assert log_lines.getvalue().count("answered_unavailable") == 1


async def test_what_the_provider_asked_for_is_passed_on() -> None:
    answer = await answer_to(EmbeddingError("rate", "slow down", retry_after_s=41.6))
    assert answer.headers["retry-after"] == "42"


async def test_the_allowed_methods_are_named() -> None:
    answer = await answer_to(HTTPException(405, headers={"Allow": "GET"}))
    assert answer.json()["code"] == "method_not_allowed"
    assert answer.headers["allow"] == "GET"


async def test_a_harmless_request_id_is_kept_and_a_hostile_one_replaced() -> None:
    assert (await answer_to(InvalidId("x"), {"X-Request-Id": "abc-1.2_3"})).headers["x-request-id"] == "abc-1.2_3"
    for hostile in ("a b", "a" * 65, "<script>", ""):
        answer = await answer_to(InvalidId("x"), {"X-Request-Id": hostile})
        assert answer.headers["x-request-id"] == "made-here"


async def test_a_broken_rule_is_answered_with_its_pointer() -> None:
    answer = await answer_to(validation_error(b'{"name": "a", "settings": {"chunk_tokens": 1}}'))
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/settings/chunk_tokens"


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        (b"[]", ""),
        (b'{"name": 1}', "/name"),
        (b"{}", "/name"),
        (b'{"name": "a", "nmae": 1}', "/nmae"),
        (b'{"name": "a", "a/b~c": 1}', "/a~1b~0c"),
        (b'{"name": "a", "settings": {"chunk": 1}}', "/settings/chunk"),
        (b'{"name": "a", "settings": {"vector_weight": 2}}', "/settings/vector_weight"),
    ],
)
def test_a_pointer_names_the_place(body: bytes, pointer: str) -> None:
    flaw = flaw_of(validation_error(body))
    assert flaw.pointer == pointer
    assert "$" not in flaw.message


@pytest.mark.parametrize(
    ("body", "kind", "detail"),
    [
        (b'{"name": ""}', CreateBody, "/name: Expected `str` of length >= 1"),
        (b'{"nmae": "a"}', CreateBody, "Object contains unknown field `nmae`"),
        (
            b'{"name": "a", "settings": {"chunker": "none"}}',
            CreateBody,
            "/settings/chunker: Invalid enum value 'none': one of "
            + ", ".join(kind.value for kind in ChunkerKind)
            + " is expected",
        ),
        (
            b'{"on_duplicate": "nah"}',
            OptionsBody,
            "/on_duplicate: Invalid enum value 'nah': one of skip, replace, keep is expected",
        ),
    ],
)
def test_the_detail_alone_says_where_the_flaw_is_and_which_words_may_stand_there(
    body: bytes, kind: Any, detail: str
) -> None:
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.json.decode(body, type=kind)
    refused = rejected(caught.value, body=kind)
    assert refused.detail == detail
    assert refused.errors[0].message in detail


def test_words_are_found_through_lists_and_choices_of_types_and_only_where_there_are_any() -> None:
    assert choices_at(Chosen, ["many", "3"]) == ("skip", "replace", "keep")
    assert choices_at(Chosen, ["either"]) == ("a", "b")
    assert choices_at(Chosen, ["free"]) == ()
    assert choices_at(Chosen, ["unknown"]) == ()


def test_an_element_of_a_list_is_pointed_at_by_its_index() -> None:
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.json.decode(b'{"names": ["a", 1]}', type=Listed)
    assert flaw_of(caught.value).pointer == "/names/1"


def test_every_refusal_of_the_domain_has_a_code_and_every_code_an_answer() -> None:
    assert {code.value for code in RefusalCode} <= {code.value for code in ProblemCode}
    for code in ProblemCode:
        document = problem(code, "detail")
        assert 400 <= document.status < 600
        assert json.loads(msgspec.json.encode(document))["code"] == code.value
