"""Forms off the wire, cut anywhere, right and wrong."""

import hashlib
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers

from blobs.errors import BlobError, BlobStoreFull
from blobs.memory import MemoryBlobStore
from blobs.store import BlobWriter
from ingest.form_headers import boundary_of
from ingest.multipart import PREAMBLE_BYTES_MAX, Form, read_form
from ingest.problems import ProblemCode, Rejected
from ingest.settings import IngestSettings
from knowledge.media_type import MediaType
from tests.multipart_forms import BOUNDARY, cut, field_part, file_part, form, open_form, stream_of

OLE2 = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
SETTINGS = IngestSettings(upload_bytes_max=200_000, request_bytes_max=400_000, files_max=3, fields_max=3)

TEXT = b"The miller's lien\r\n--mil\r\n--mil\nl\r\r\n-" * 7
WHOLE = form(
    file_part(TEXT, "a.txt", headers="Content-Type: text/plain\r\n"),
    field_part("options", b'{"metadata": {"year": 2024}}'),
    file_part(b"# Mill\n", "b.md"),
)


class Bench:
    """A memory store, and what a request left open."""

    def __init__(self) -> None:
        self.store = MemoryBlobStore()
        self.writers: list[BlobWriter] = []

    def open_blob(self, ordinal: int) -> BlobWriter:
        self.writers.append(self.store.writer(f"file/{ordinal}"))
        return self.writers[-1]

    async def read(self, *pieces: bytes, settings: IngestSettings = SETTINGS) -> Form:
        """The form, with its last file stored as well."""
        read = await read_form(stream_of(pieces), BOUNDARY, settings, self.open_blob)
        await read.last.commit()
        return read

    async def refused(self, *pieces: bytes, settings: IngestSettings = SETTINGS) -> Rejected:
        with pytest.raises(Rejected) as caught:
            await self.read(*pieces, settings=settings)
        return caught.value

    async def stored(self) -> list[str]:
        return [info.key async for info in self.store.list("")]


@pytest.fixture
def bench() -> Bench:
    return Bench()


async def check_whole(bench: Bench, read: Form) -> None:
    first, second = read.files
    assert (first.filename, first.media_type, first.declared_media_type) == ("a.txt", MediaType.TEXT, "text/plain")
    assert (second.filename, second.media_type, second.declared_media_type) == ("b.md", MediaType.MARKDOWN, None)
    assert await bench.store.get(first.blob.key) == TEXT
    assert first.blob.sha256 == hashlib.sha256(TEXT).hexdigest()
    assert read.options == b'{"metadata": {"year": 2024}}'


@given(st.lists(st.integers(min_value=0, max_value=len(WHOLE)), max_size=40))
async def test_a_form_is_the_same_however_the_wire_cuts_it(places: list[int]) -> None:
    bench = Bench()
    await check_whole(bench, await bench.read(*cut(WHOLE, places)))


async def test_a_form_may_come_byte_by_byte(bench: Bench) -> None:
    await check_whole(bench, await bench.read(*cut(WHOLE, range(len(WHOLE)))))


async def test_every_cut_in_two_reads_the_same() -> None:
    for place in range(len(WHOLE)):
        bench = Bench()
        await check_whole(bench, await bench.read(*cut(WHOLE, [place])))


async def test_a_form_that_ends_early_is_truncated_wherever_it_ends() -> None:
    closing = len(WHOLE) - len("--\r\n")
    for end in range(closing + 1):
        bench = Bench()
        refusal = await bench.refused(WHOLE[:end])
        assert refusal.code is ProblemCode.MULTIPART_TRUNCATED, end
        assert all(writer.size_bytes >= 0 for writer in bench.writers)


async def test_the_part_in_the_making_leaves_nothing(bench: Bench) -> None:
    await bench.refused(open_form(file_part(b"x" * 1000)))
    assert len(bench.writers) == 1
    assert await bench.stored() == []


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", ProblemCode.MULTIPART_TRUNCATED),
        (form(), ProblemCode.MISSING_FILE),
        (b"--mill--\r\n", ProblemCode.MISSING_FILE),
        (form(field_part("a", b"b")), ProblemCode.MISSING_FILE),
        (form(field_part("options", b"{}")), ProblemCode.MISSING_FILE),
        (form(field_part("a", b"b"), file_part(b"text")), ProblemCode.VALIDATION_FAILED),
        (form(file_part(b"text"), field_part("a", b"b")), ProblemCode.VALIDATION_FAILED),
        (form(file_part(b"text", name="picture")), ProblemCode.MISSING_FILE),
        (form(file_part(b"text"), field_part("options", b"{}"), field_part("options", b"{}")), "validation_failed"),
        (form(file_part(b"")), ProblemCode.EMPTY_FILE),
        (form(*[file_part(b"text")] * 4), ProblemCode.TOO_MANY_PARTS),
        (form(*[field_part("a", b"b")] * 4), ProblemCode.TOO_MANY_PARTS),
        (form(file_part(b"\x7fELF" + b"\0" * 100, "a.pdf")), ProblemCode.UNSUPPORTED_TYPE),
        (form(file_part(b"\x7fELF" + b"\0" * 100_000, "a.pdf")), ProblemCode.UNSUPPORTED_TYPE),
        (form(file_part(OLE2 + b"\0" * 100_000, "a.bin")), ProblemCode.UNSUPPORTED_TYPE),
        (form(file_part(b"x" * 200_001)), ProblemCode.PAYLOAD_TOO_LARGE),
        (form(file_part(b"YQ==", headers="Content-Transfer-Encoding: base64\r\n")), ProblemCode.MULTIPART_MALFORMED),
        (form(file_part(b"x", headers="Content-Type: multipart/mixed; boundary=b\r\n")), "multipart_malformed"),
        (form(file_part(b"x", headers="X: y\r\n" * 20)), ProblemCode.MULTIPART_MALFORMED),
        (form(file_part(b"x", "n" * 200_000)), ProblemCode.MULTIPART_MALFORMED),
        (form(file_part(b"x", headers="Content-Length: 5\r\n")), ProblemCode.MULTIPART_MALFORMED),
        (form(file_part(b"x", b"caf\xe9.txt")), ProblemCode.MULTIPART_MALFORMED),
        (form(b"Content-Type: text/plain\r\n\r\nno disposition"), ProblemCode.MULTIPART_MALFORMED),
        (form(b"no colon\r\n\r\nx"), ProblemCode.MULTIPART_MALFORMED),
        (form(file_part(b"x")).replace(b"\r\n", b"\n"), ProblemCode.MULTIPART_MALFORMED),
        (b"\r\n" * 180_000, ProblemCode.MULTIPART_MALFORMED),
        (b"junk" + form(file_part(b"x")), ProblemCode.MULTIPART_MALFORMED),
        (form(file_part(b"x")).replace(b"mill", b"null"), ProblemCode.MULTIPART_MALFORMED),
        (b"a;" * 20_000, ProblemCode.MULTIPART_MALFORMED),
        (form(field_part("note", b"b" * 2_000_000)), ProblemCode.PAYLOAD_TOO_LARGE),
    ],
)
async def test_a_wrong_form_is_refused(bench: Bench, body: bytes, code: str) -> None:
    refusal = await bench.refused(*cut(body, range(0, len(body), 65_536)))
    assert refusal.code == code
    assert refusal.detail


async def test_a_limit_of_one_is_said_as_one(bench: Bench) -> None:
    single = IngestSettings(files_max=1, fields_max=1)
    for body, said in (
        (form(*[file_part(b"text")] * 2), "One request may have 1 file."),
        (form(*[field_part("a", b"b")] * 2), "One request may have 1 field."),
    ):
        with pytest.raises(Rejected) as caught:
            await read_form(stream_of([body]), BOUNDARY, single, bench.open_blob)
        assert caught.value.detail == said


@pytest.mark.parametrize("junk", [b"\r\n", b"--mil\r\n", b"a;"])
async def test_a_preamble_is_not_read_to_its_end(bench: Bench, junk: bytes) -> None:
    """Counted: of 5 MB in front of the first boundary, what two limits and one piece hold is asked for."""
    asked_for = 0

    async def pieces() -> AsyncIterator[bytes]:
        nonlocal asked_for
        for _ in range(5_000_000 // 8_190):
            asked_for += 8_190
            yield junk * (8_190 // len(junk))

    settings = IngestSettings()
    with pytest.raises(Rejected) as caught:
        await read_form(pieces(), BOUNDARY, settings, bench.open_blob)
    assert caught.value.code is ProblemCode.MULTIPART_MALFORMED
    assert asked_for <= PREAMBLE_BYTES_MAX + settings.part_header_bytes_max + 2 * 8_190


async def test_a_file_of_exactly_the_limit_is_taken(bench: Bench) -> None:
    read = await bench.read(form(file_part(b"x" * 200_000)))
    assert read.files[0].blob.size_bytes == 200_000


async def test_the_last_file_is_not_stored_before_somebody_says_so(bench: Bench) -> None:
    body = form(file_part(b"first"), file_part(b"second"), field_part("options", b"{}"))
    read = await read_form(stream_of([body]), BOUNDARY, SETTINGS, bench.open_blob)
    assert await bench.stored() == ["file/0"]
    assert read.files[1].blob == read.last.ref == await read.last.commit()
    assert await bench.store.get("file/1") == b"second"


async def test_of_a_form_that_is_refused_behind_its_files_the_last_leaves_nothing(bench: Bench) -> None:
    await bench.refused(form(file_part(b"first"), file_part(b"second"), field_part("strange", b"{}")))
    assert await bench.stored() == ["file/0"]
    with pytest.raises(BlobError, match="aborted"):
        await bench.writers[1].commit()


async def test_a_field_over_its_limit_is_refused(bench: Bench) -> None:
    settings = IngestSettings(field_bytes_max=1024)
    refusal = await bench.refused(form(field_part("options", b" " * 1025), file_part(b"x")), settings=settings)
    assert refusal.code is ProblemCode.PAYLOAD_TOO_LARGE


async def test_a_request_over_its_limit_is_refused_by_counting(bench: Bench) -> None:
    body = form(*[file_part(b"x" * 150_000)] * 3)
    refusal = await bench.refused(*cut(body, range(0, len(body), 10_000)))
    assert refusal.code is ProblemCode.PAYLOAD_TOO_LARGE


async def test_junk_behind_the_closing_boundary_is_no_part_of_a_document(bench: Bench) -> None:
    read = await bench.read(form(file_part(b"x")), b"epilogue" * 100)
    assert await bench.store.get(read.files[0].blob.key) == b"x"


async def test_a_refusal_names_the_file(bench: Bench) -> None:
    refusal = await bench.refused(form(file_part(b"text", "good.txt"), file_part(b"", "hollow.txt")))
    assert "hollow.txt" in refusal.detail
    assert refusal.errors[0].pointer == "/file/1"


async def test_the_content_decides_and_not_the_extension(bench: Bench) -> None:
    read = await bench.read(form(file_part(b"%PDF-1.7 rest", "holiday.jpg")))
    assert read.files[0].media_type is MediaType.PDF


async def test_a_part_without_a_filename_is_a_file_without_a_name(bench: Bench) -> None:
    read = await bench.read(form(field_part("file", b"typed into a form")))
    assert read.files[0].filename == "unnamed"


async def test_a_chinese_file_name_in_any_form_arrives(bench: Bench) -> None:
    extended = b"Content-Disposition: form-data; name=\"file\"; filename*=utf-8''%E7%A3%A8.txt\r\n\r\nx"
    read = await bench.read(form(file_part("面粉".encode(), "磨坊.txt"), extended))
    assert [file.filename for file in read.files] == ["磨坊.txt", "磨.txt"]


async def test_a_full_store_ends_the_request_with_its_own_error(bench: Bench) -> None:
    class Full(MemoryBlobStore):
        def keep(self, key: str, data: bytes, metadata: bytes = b"") -> None:
            raise BlobStoreFull(f"no room for {key}")

    bench.store = Full()
    with pytest.raises(BlobStoreFull):
        await bench.read(form(file_part(b"x")))


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, ProblemCode.UNSUPPORTED_MEDIA_TYPE),
        ({"content-type": "application/json"}, ProblemCode.UNSUPPORTED_MEDIA_TYPE),
        ({"content-type": "multipart/mixed; boundary=a"}, ProblemCode.UNSUPPORTED_MEDIA_TYPE),
        ({"content-type": "multipart/form-data"}, ProblemCode.MULTIPART_MALFORMED),
        ({"content-type": "multipart/form-data; boundary="}, ProblemCode.MULTIPART_MALFORMED),
        ({"content-type": 'multipart/form-data; boundary=""'}, ProblemCode.MULTIPART_MALFORMED),
        ({"content-type": "multipart/form-data; boundary=" + "b" * 300}, ProblemCode.MULTIPART_MALFORMED),
        ({"content-type": "multipart/form-data; boundary=a; boundary=b"}, ProblemCode.MULTIPART_MALFORMED),
        (
            {"content-type": "multipart/form-data; boundary=a", "content-encoding": "gzip"},
            ProblemCode.CONTENT_ENCODING_NOT_SUPPORTED,
        ),
        (
            {"content-type": "multipart/form-data; boundary=a", "content-length": "400001"},
            ProblemCode.PAYLOAD_TOO_LARGE,
        ),
        ({"content-type": "multipart/form-data; boundary=a", "content-length": "+3"}, ProblemCode.BAD_REQUEST),
        ({"content-type": "multipart/form-data; boundary=a", "content-length": "9" * 40}, ProblemCode.BAD_REQUEST),
    ],
)
def test_headers_alone_can_refuse_a_form(headers: dict[str, str], code: ProblemCode) -> None:
    with pytest.raises(Rejected) as caught:
        boundary_of(Headers(headers), SETTINGS)
    assert caught.value.code is code


@pytest.mark.parametrize("quoted", ['"a b=c"', "abc", "----WebKitFormBoundary7MA4YWxkTrZu0gW"])
def test_a_boundary_may_be_quoted(quoted: str) -> None:
    headers = Headers({"content-type": f"multipart/form-data; charset=utf-8; boundary={quoted}"})
    assert boundary_of(headers, SETTINGS) == quoted.strip('"')
