"""What the headers of a resumable upload say, and what they must not."""

import base64
import hashlib
from contextlib import suppress
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers

from ingest.problems import Problem, ProblemCode, Rejected, problem
from ingest.resumable import (
    CHECKSUMS,
    METADATA_BYTES_MAX,
    PARTS_MAX,
    checksum_of,
    concat_of,
    expires_header,
    length_of_new,
    metadata_header,
    metadata_of,
    method_of,
    refuse_version,
    upload_offset,
)
from ingest.settings import IngestSettings
from ingest.upload_metadata import described
from ingest.upload_registry import UploadKind
from tests.event_samples import new_knowledge_base

GIB = 1024**3
SETTINGS = IngestSettings()


def headers(**values: str) -> Headers:
    return Headers(raw=[(key.replace("_", "-").lower().encode(), value.encode()) for key, value in values.items()])


def encoded(text: str | bytes) -> str:
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


def refusal(call: Any) -> Problem:
    with pytest.raises(Rejected) as caught:
        call()
    return problem(caught.value.code, caught.value.detail)


@given(st.integers(0, 10**18 - 1))
def test_an_offset_is_any_number_of_bytes(offset: int) -> None:
    assert upload_offset(headers(upload_offset=str(offset))) == offset


@given(st.text(st.characters(codec="latin-1", exclude_characters="0123456789 \t")))
def test_an_offset_is_nothing_else(text: str) -> None:
    made = Headers(raw=[(b"upload-offset", text.encode("latin-1"))])
    assert refusal(lambda: upload_offset(made)).code is ProblemCode.BAD_REQUEST


def test_a_header_that_comes_twice_is_refused() -> None:
    twice = Headers(raw=[(b"upload-offset", b"0"), (b"upload-offset", b"0")])
    assert refusal(lambda: upload_offset(twice)).code is ProblemCode.BAD_REQUEST


@pytest.mark.parametrize("value", ["", "0.2.2", "1.0", "1.0.0,0.2.2", "9"])
def test_another_version_is_refused(value: str) -> None:
    assert refusal(lambda: refuse_version(headers(tus_resumable=value))).status == 412
    assert refusal(lambda: refuse_version(headers())).status == 412
    refuse_version(headers(tus_resumable="1.0.0"))


@pytest.mark.parametrize(
    ("method", "override", "acts"),
    [
        *(("POST", "PATCH", "PATCH"), ("POST", "delete", "DELETE"), ("PATCH", "DELETE", "DELETE")),
        *(("HEAD", "DELETE", "HEAD"), ("GET", "PATCH", "GET"), ("OPTIONS", "DELETE", "OPTIONS")),
    ],
)
def test_a_method_is_overridden_unless_it_is_a_safe_one(method: str, override: str, acts: str) -> None:
    assert method_of(method, headers(x_http_method_override=override)) == acts
    assert method_of(method, headers()) == method


KEYS = st.text(st.characters(codec="ascii", categories=(), include_characters="abcXYZ019._-/;=\"'"), min_size=1)


@given(st.dictionaries(KEYS, st.binary(max_size=40), min_size=1, max_size=8), st.booleans())
def test_metadata_comes_out_as_it_went_in(pairs: dict[str, bytes], has_blanks: bool) -> None:
    comma = " , " if has_blanks else ","
    header = comma.join(f"{key} {encoded(value)}" if value else key for key, value in pairs.items())
    assert metadata_of(header) == pairs
    assert metadata_header(headers(upload_metadata=header)) == header.strip()


@pytest.mark.parametrize(
    "header",
    [
        *("a YQ==,a YQ==", "a YQ==,", ",", "a *", "a YQ", "a YQ== YQ==", "é YQ==", "a é", "a\tYQ=="),
        f"a {'YWFh' * (METADATA_BYTES_MAX // 4)}",
    ],
)
def test_metadata_that_cannot_be_read_is_refused(header: str) -> None:
    assert refusal(lambda: metadata_of(header)).status == 400


@given(st.text())
def test_whatever_metadata_comes_is_read_or_refused(header: str) -> None:
    with suppress(Rejected):
        metadata_of(header)


@given(st.sampled_from(sorted(CHECKSUMS)), st.binary())
def test_a_checksum_is_an_algorithm_and_its_digest(algorithm: str, data: bytes) -> None:
    digest = hashlib.new(algorithm, data).digest()
    found = checksum_of(headers(upload_checksum=f"{algorithm} {encoded(digest)}"))
    assert found is not None
    assert (found.algorithm, found.digest) == (algorithm, digest)


@pytest.mark.parametrize(
    "value", ["", "sha1", "sha1 ", "SHA1 " + encoded(b"x" * 20), "sha1 " + encoded(b"x" * 19), "crc32 AAAAAA=="]
)
def test_a_checksum_that_is_none_is_refused(value: str) -> None:
    assert refusal(lambda: checksum_of(headers(upload_checksum=value))).status == 400
    assert checksum_of(headers()) is None


def test_parts_are_named_by_any_url_that_ends_in_an_upload() -> None:
    ids = [f"{number:032x}" for number in range(3)]
    urls = f"/api/v1/uploads/{ids[0]} https://mill.example/api/v1/uploads/{ids[1]} http://x/behind/uploads/{ids[2]}"
    found = concat_of(headers(upload_concat=f"final;{urls}"))
    assert (found.kind, list(found.parts), found.header) == (UploadKind.FINAL, ids, f"final;{urls}")
    assert concat_of(headers(upload_concat="partial")).kind is UploadKind.PARTIAL
    assert concat_of(headers()).kind is UploadKind.WHOLE


@pytest.mark.parametrize(
    "value",
    [
        *("", "final", "final;", "final; ", "final;/uploads/1", "partial;", "Partial", f"final;/uploads/{'g' * 32}"),
        f"final;/uploads/{'0' * 32} /uploads/",
        "final;" + f"/uploads/{'0' * 32} " * (PARTS_MAX + 1),
    ],
)
def test_parts_that_are_none_of_ours_are_refused(value: str) -> None:
    assert refusal(lambda: concat_of(headers(upload_concat=value))).status == 400


@pytest.mark.parametrize(
    ("values", "answers"),
    [
        *(({"upload_length": "5"}, 5), ({"upload_defer_length": "1"}, None), ({"upload_length": "6"}, 413), ({}, 400)),
        *(({"upload_length": "5", "upload_defer_length": "1"}, 400), ({"upload_defer_length": "0"}, 400)),
        *(({"upload_concat": f"final;/uploads/{'0' * 32}"}, None),),
        *(({"upload_concat": f"final;/uploads/{'0' * 32}", "upload_length": "5"}, 400),),
    ],
)
def test_a_new_upload_has_a_length_or_gets_one_later(values: dict[str, str], answers: int | None) -> None:
    made = headers(**values)

    def length() -> int | None:
        return length_of_new(made, concat_of(made), bytes_max=5)

    if answers in {400, 413}:
        assert refusal(length).status == answers
    else:
        assert length() == answers


@given(st.integers(0, 4_000_000_000_000_000))
def test_a_time_is_told_to_the_second(expires_us: int) -> None:
    header = expires_header(expires_us)
    assert header.endswith(" GMT")
    assert int(parsedate_to_datetime(header).timestamp()) == expires_us // 1_000_000


def test_metadata_describes_the_document_and_what_else_is_there_is_the_clients_own() -> None:
    kb = new_knowledge_base(0)
    pairs = {"knowledge_base": kb, "name": "../磨坊.md", "type": "text/x", "relativePath": "a/b", "caption": ""}
    found = described(",".join(f"{key} {encoded(value)}" for key, value in pairs.items()), SETTINGS, 0)
    assert (found.knowledge_base_id, found.filename, found.declared_media_type) == (kb, "磨坊.md", "text/x")
    named = described(f"knowledge_base {encoded(kb)},filename {encoded(bytes([0xFF, 65]))}", SETTINGS, 0)
    assert (named.filename, named.declared_media_type) == ("\ufffdA", None)
    assert described(f"knowledge_base {encoded(kb)}", SETTINGS, 0).filename == "unnamed"
    deep = described(f"knowledge_base {encoded(kb)},filename {encoded('reports/五月.pdf'.encode())}", SETTINGS, 0)
    assert (deep.filename, deep.path) == ("五月.pdf", "reports/五月.pdf")
