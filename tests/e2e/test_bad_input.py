"""What comes in and is no good: each gets the answer that it was promised, and the service works on as before."""

import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest

from domain.status import DocumentPhase, DocumentStatus, TaskPhase
from tests.e2e.api import Api, problem_code
from tests.e2e.papers import archive, blank_pdf, encrypted_pdf, text_of, word_of
from tests.servers.service_process import ServiceProcess

pytest_plugins = ("tests.servers.service",)

BOUNDARY = "millstone"
MULTIPART = {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}
NUMBER_OF_GOOD = 4711


@pytest.fixture(scope="module")
def api(service: ServiceProcess) -> Iterator[Api]:
    with Api(service.url) as client:
        yield client


@pytest.fixture(scope="module")
def kb(api: Api) -> str:
    return api.create("bad input")


@pytest.fixture(scope="module")
def mixed(api: Api, kb: str) -> dict[str, DocumentStatus]:
    """Good and bad documents in one task: none of the bad ones may take a good one with it."""
    files = [
        ("first.txt", text_of(NUMBER_OF_GOOD)),
        ("locked.pdf", encrypted_pdf()),
        ("blank.pdf", blank_pdf()),
        ("cut.pdf", b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog /Pages"),
        ("spaces.txt", b" \n\t \n" * 20),
        ("really-text.pdf", text_of(NUMBER_OF_GOOD + 1)),
        ("really-a-blank-pdf.docx", blank_pdf() + b"\n% another\n"),
        ("last.txt", text_of(NUMBER_OF_GOOD + 2)),
        ("papers.zip", archive({"夜班/report.txt": text_of(NUMBER_OF_GOOD + 3), "locked.pdf": encrypted_pdf()})),
        ("shut.zip", archive({"locked.pdf": encrypted_pdf()})),
        ("outside.zip", archive({"../../report.txt": text_of(NUMBER_OF_GOOD)})),
    ]
    return {document.filename: document for document in api.ingest(kb, files)}


def part(name: str, content: bytes, *, filename: str | None = None) -> bytes:
    shown = f'; filename="{filename}"' if filename is not None else ""
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{shown}\r\n\r\n'
    return head.encode() + content + b"\r\n"


END = f"--{BOUNDARY}--\r\n".encode()


@pytest.mark.parametrize(
    ("filename", "code"),
    [
        ("locked.pdf", "encrypted_document"),
        ("blank.pdf", "no_text"),
        ("cut.pdf", "parse_failed"),
        ("spaces.txt", "no_text"),
        ("really-a-blank-pdf.docx", "no_text"),
        ("shut.zip", "encrypted_document"),
        ("outside.zip", "archive_unsafe"),
    ],
)
def test_a_bad_document_fails_with_its_reason(mixed: dict[str, DocumentStatus], filename: str, code: str) -> None:
    document = mixed[filename]
    assert document.status is DocumentPhase.FAILED
    assert document.error is not None
    assert document.error.code == code
    assert document.error.message
    assert document.error.retry_at is None, "it will not get better by itself"
    assert "Traceback" not in document.error.message
    assert not document.searchable


@pytest.mark.parametrize("filename", ["first.txt", "really-text.pdf", "last.txt", "papers.zip"])
def test_a_good_document_beside_bad_ones_is_found(
    api: Api, kb: str, mixed: dict[str, DocumentStatus], filename: str
) -> None:
    assert mixed[filename].status is DocumentPhase.COMPLETED
    number = NUMBER_OF_GOOD + ["first.txt", "really-text.pdf", "last.txt", "papers.zip"].index(filename)
    assert [one.filename for one in api.search(kb, word_of(number), mode="keyword")] == [filename]


def test_a_file_of_an_archive_is_found_under_its_path_and_one_that_is_left_out_is_named(
    api: Api, kb: str, mixed: dict[str, DocumentStatus]
) -> None:
    [passage] = api.search(kb, word_of(NUMBER_OF_GOOD + 3), mode="keyword")
    assert passage.headings == ("夜班/report.txt",)
    assert mixed["papers.zip"].warnings == ("skipped: locked.pdf (encrypted_document)",)


def test_a_task_with_good_and_bad_documents_ends_partial(api: Api, mixed: dict[str, DocumentStatus]) -> None:
    task = api.task(mixed["first.txt"].task_id)
    assert task.status is TaskPhase.PARTIAL
    assert (task.documents.completed, task.documents.failed) == (4, 7)
    assert task.progress == 1.0


def test_a_task_of_bad_documents_alone_ends_failed(api: Api, kb: str) -> None:
    assert api.ended(api.upload(kb, [("blank.pdf", blank_pdf())])).status is TaskPhase.FAILED


def test_a_type_that_nobody_reads_is_refused_at_once(api: Api, kb: str) -> None:
    program = b"\x7fELF\x02\x01\x01" + bytes(range(256)) * 40
    assert problem_code(api.post_files(kb, [("report.pdf", program)])) == (415, "unsupported_type")


def test_an_empty_file_is_refused(api: Api, kb: str) -> None:
    assert problem_code(api.post_files(kb, [("empty.txt", b"")])) == (422, "empty_file")


def test_one_refused_file_takes_the_whole_request_with_it(api: Api, kb: str) -> None:
    before = api.knowledge_base(kb).documents.total
    files = [("good.txt", text_of(1)), ("empty.txt", b"")]
    assert problem_code(api.post_files(kb, files)) == (422, "empty_file")
    assert api.knowledge_base(kb).documents.total == before


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        (END, (400, "missing_file")),
        (part("other", b"x") + END, (400, "missing_file")),
        (b"", (400, "multipart_truncated")),
        (part("file", b"text", filename="a.txt"), (400, "multipart_truncated")),
        (part("file", b"text", filename="a.txt")[:-20], (400, "multipart_truncated")),
        (part("file", b"text", filename="a.txt")[:40], (400, "multipart_truncated")),
        (part("options", b"{", filename=None) + part("file", b"t", filename="a.txt") + END, (400, "invalid_json")),
        (part("options", b'{"x":1}') + part("file", b"t", filename="a.txt") + END, (422, "validation_failed")),
    ],
    ids=["no part", "no file", "nothing", "no end", "cut in content", "cut in head", "broken options", "wrong options"],
)
def test_a_broken_form_is_refused_and_leaves_nothing(api: Api, kb: str, body: bytes, answer: tuple[int, str]) -> None:
    before = api.knowledge_base(kb)
    response = api.http.post(f"/knowledge-bases/{kb}/documents", content=body, headers=MULTIPART)
    assert problem_code(response) == answer
    assert api.knowledge_base(kb) == before


def test_an_upload_that_breaks_off_leaves_nothing(api: Api, kb: str, service: ServiceProcess) -> None:
    """The client says how much is to come, sends half of it, and hangs up."""
    before = api.knowledge_base(kb)
    address = urlsplit(service.url)
    whole = part("file", text_of(5), filename="a.txt") + END
    head = (
        f"POST /api/v1/knowledge-bases/{kb}/documents HTTP/1.1\r\nHost: {address.netloc}\r\n"
        f"Content-Type: {MULTIPART['content-type']}\r\nContent-Length: {len(whole)}\r\n\r\n"
    )
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=10) as connection:
        connection.sendall(head.encode() + whole[: len(whole) // 2])
        connection.shutdown(socket.SHUT_WR)
        assert b" 202 " not in connection.recv(4096)
    assert api.knowledge_base(kb) == before
    assert not list((service.data_dir / "blobs").glob(".tmp/*"))


def test_a_body_that_is_no_form_is_refused(api: Api, kb: str) -> None:
    response = api.http.post(f"/knowledge-bases/{kb}/documents", json={"file": "x"})
    assert problem_code(response)[0] == 415
    gzipped = api.http.post(
        f"/knowledge-bases/{kb}/documents", content=END, headers={**MULTIPART, "content-encoding": "gzip"}
    )
    assert problem_code(gzipped) == (415, "content_encoding_not_supported")


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\\\temp\\\\report.txt", "report.txt"),
        ("/etc/shadow.txt", "shadow.txt"),
        ("", "unnamed"),
        ("..", "unnamed"),
        ("报告 №7.txt", "报告 №7.txt"),
        ("x" * 400 + ".txt", None),
    ],
)
def test_a_hostile_file_name_is_cleaned(
    api: Api, kb: str, service: ServiceProcess, sent: str, stored: str | None
) -> None:
    body = part("file", text_of(6), filename=sent) + END
    response = api.http.post(f"/knowledge-bases/{kb}/documents", content=body, headers=MULTIPART)
    assert response.status_code == 202, response.text
    (document,) = response.json()["documents"]
    name = document["filename"]
    assert stored in {None, name}
    assert len(name.encode()) <= 255
    assert "/" not in name
    api.ended(response.json()["task_id"])
    assert not [path for path in service.data_dir.rglob("*") if name and path.name == name], "no path holds the name"


@pytest.mark.parametrize("kb_id", ["kb_0001a20a8aab3e7206a4b0b84f35404316", "nonsense", "%2e%2e", "*", "kb_", "task_1"])
def test_an_unknown_knowledge_base_is_not_found(api: Api, kb_id: str) -> None:
    assert problem_code(api.post_files(kb_id, [("a.txt", text_of(1))]))[0] == 404
    assert problem_code(api.http.get(f"/knowledge-bases/{kb_id}"))[0] == 404
    assert problem_code(api.post_search(kb_id, "anything"))[0] == 404


@pytest.mark.parametrize("path", ["/tasks/nonsense", "/tasks/task_0001a20a8aab3e7206a4b0b84f35404316", "/no-such-path"])
def test_what_is_not_there_is_not_found(api: Api, path: str) -> None:
    assert problem_code(api.http.get(path))[0] == 404


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        (b"", (400, "invalid_json")),
        (b"{", (400, "invalid_json")),
        (b'{"name": "x"} trailing', (400, "invalid_json")),
        (b'{"name": "\xff"}', (400, "invalid_json")),
        (b"[" * 100_000, (422, "validation_failed")),
        (b'{"name": "a", "settings": ' + b'{"x": [' * 100_000, (422, "validation_failed")),
        (b"null", (422, "validation_failed")),
        (b'{"name": ""}', (422, "validation_failed")),
        (b'{"name": 1}', (422, "validation_failed")),
        (b'{"name": "a", "nmae": "b"}', (422, "validation_failed")),
        (b'{"name": "a\\u0000b"}', (422, "validation_failed")),
        (b'{"name": "a", "settings": {"embedding_model": "no-such"}}', (422, "validation_failed")),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_a_bad_body_is_told_apart_by_what_is_wrong_with_it(api: Api, body: bytes, answer: tuple[int, str]) -> None:
    response = api.http.post("/knowledge-bases", content=body, headers={"content-type": "application/json"})
    assert problem_code(response) == answer


@pytest.mark.parametrize(
    "body",
    [
        {"query": ""},
        {"query": "   "},
        {"query": "x" * 2_001},
        {"query": "x", "top_k": 0},
        {"query": "x", "top_k": 101},
        {"query": "x", "mode": "psychic"},
        {"query": "x", "unknown": 1},
        {"query": "x", "filters": {"$nonsense": 1}},
        {},
    ],
    ids=lambda value: repr(value)[:40],
)
def test_a_bad_search_breaks_a_rule(api: Api, kb: str, body: dict[str, object]) -> None:
    response = api.http.post(f"/knowledge-bases/{kb}/search", json=body)
    assert problem_code(response) == (422, "validation_failed")
    assert response.json()["errors"]


@pytest.mark.parametrize("query", ["*", "%", "'; DROP TABLE", "a OR", '"', "()", "\\", "的", "🌾", "NOT NOT", "x:y"])
@pytest.mark.parametrize("mode", ["hybrid", "keyword"])
def test_a_query_is_words_whatever_it_looks_like(api: Api, kb: str, query: str, mode: str) -> None:
    assert api.post_search(kb, query, mode=mode).status_code == 200


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=201", "limit=ten", "unknown=1", "status=nonsense", "cursor=garbage"]
)
def test_a_bad_parameter_of_a_list_is_refused(api: Api, query: str) -> None:
    code = problem_code(api.http.get(f"/tasks?{query}"))
    assert code == ((400, "bad_cursor") if query.startswith("cursor") else (422, "validation_failed"))


def test_the_same_key_and_request_answer_the_same_task(api: Api, kb: str) -> None:
    files = [("once.txt", text_of(77))]
    first = api.post_files(kb, files, Idempotency_Key="key-77")
    again = api.post_files(kb, files, Idempotency_Key="key-77")
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json()["task_id"] == again.json()["task_id"]
    api.ended(first.json()["task_id"])
    assert len({passage.chunk_id for passage in api.search(kb, word_of(77), mode="keyword")}) == 1


def test_the_same_key_with_another_request_is_refused(api: Api, kb: str) -> None:
    assert api.post_files(kb, [("a.txt", text_of(78))], Idempotency_Key="key-78").status_code == 202
    reused = api.post_files(kb, [("a.txt", text_of(79))], Idempotency_Key="key-78")
    assert problem_code(reused) == (422, "idempotency_key_reused")


def test_a_method_that_a_path_does_not_have_is_told_which_it_has(api: Api, kb: str) -> None:
    response = api.http.put(f"/knowledge-bases/{kb}")
    assert problem_code(response) == (405, "method_not_allowed")
    assert {"GET", "PATCH", "DELETE"} <= {method.strip() for method in response.headers["allow"].split(",")}


def test_another_host_or_origin_does_not_get_through(api: Api, service: ServiceProcess) -> None:
    assert problem_code(api.http.get("/tasks", headers={"host": "evil.example"})) == (400, "bad_host")
    evil = {"origin": "https://evil.example"}
    assert problem_code(api.http.post("/knowledge-bases", json={"name": "x"}, headers=evil)) == (403, "forbidden")
    seen = api.http.get("/tasks", headers=evil)
    assert "access-control-allow-origin" not in seen.headers
    preflight = api.http.options("/knowledge-bases", headers={**evil, "access-control-request-method": "PATCH"})
    assert "access-control-allow-origin" not in preflight.headers
    assert httpx.get(f"{service.url}/healthz", trust_env=False).status_code == 200


def raw_answer(service: ServiceProcess, request: bytes) -> bytes:
    address = urlsplit(service.url)
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=10) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        return connection.recv(4096)


@pytest.mark.parametrize(
    "head",
    [
        b"GET /healthz HTTP/1.1\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: x/../admin?\r\n\r\n",
        b"POST /api/v1/knowledge-bases HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\n{}",
        b"POST /api/v1/knowledge-bases HTTP/1.1\r\nHost: localhost\r\nContent-Length: +3\r\n\r\n{}",
        b"nonsense\r\n\r\n",
    ],
)
def test_a_request_that_is_no_http_is_answered_with_400(service: ServiceProcess, head: bytes) -> None:
    assert raw_answer(service, head).startswith(b"HTTP/1.1 400 ")
    assert httpx.get(f"{service.url}/readyz", trust_env=False).status_code == 200


def test_nothing_of_all_this_was_a_surprise_to_the_service(service: ServiceProcess) -> None:
    assert "Traceback" not in service.errors
