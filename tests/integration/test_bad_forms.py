"""Forms that are broken, too much, or hostile: table B of bad input, each with a length and in chunks.

A refused request leaves no fact and no blob; that the service goes on is shown by the next row.
"""

import io
import time
import zipfile
from collections.abc import AsyncIterator, Iterator
from io import StringIO

import pytest
import pytest_asyncio

from events.document import DocumentAccepted
from events.ids import KnowledgeBaseId
from ingest.settings import KIB
from tests.integration.ingest_app import Mill, make_services, running_mill
from tests.integration.wire import Answer, connected, pieces_of
from tests.log_lines import logged
from tests.multipart_forms import CONTENT_TYPE, field_part, file_part, form, open_form

pytestmark = pytest.mark.asyncio(loop_scope="module")

FILE_MAX = 256 * KIB
REQUEST_MAX = 1024 * KIB
PIECE_BYTES = 50_000


@pytest.fixture(scope="module")
def log() -> Iterator[StringIO]:
    with logged("json") as stream:
        yield stream


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mill(tmp_path_factory: pytest.TempPathFactory, log: StringIO) -> AsyncIterator[Mill]:
    async with running_mill(make_services(tmp_path_factory.mktemp("blobs"))) as mill:
        yield mill


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def kb(mill: Mill) -> KnowledgeBaseId:
    return await mill.knowledge_base()


async def post(
    mill: Mill, kb: str, body: bytes, *, is_chunked: bool = False, content_type: str = CONTENT_TYPE, length: int = -1
) -> Answer:
    """Sends all of it, whatever comes back meanwhile."""
    framing = "Transfer-Encoding: chunked" if is_chunked else f"Content-Length: {len(body) if length < 0 else length}"
    lines = [f"POST /api/v1/knowledge-bases/{kb}/documents HTTP/1.1", "Host: mill", framing]
    head = "\r\n".join([*lines, *([f"Content-Type: {content_type}"] if content_type else []), "", ""]).encode()
    pieces = pieces_of(body, PIECE_BYTES)
    if is_chunked:
        pieces = [*(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces), b"0\r\n\r\n"]
    async with connected(mill.port) as wire:
        await wire.send(head, *pieces)
        return await wire.next()


def zipped(name: str) -> bytes:
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w") as archive:
        archive.writestr(name, "alert(1)")
    return memory.getvalue()


MALFORMED = (400, "multipart_malformed")
UNSUPPORTED = (415, "unsupported_type")
TEXT = "text/plain"
GZIP = b"\x1f\x8b\x08" + b"\0" * 99
HIDDEN = b"--inner\r\nContent-Disposition: file; filename=a.txt\r\n\r\ntext\r\n--inner--"

REFUSED = {
    "B-030 another boundary": (form(file_part(b"text")).replace(b"mill", b"wind"), *MALFORMED),
    "B-031 empty body": (b"", 400, "multipart_truncated"),
    "B-031 no closing boundary": (open_form(file_part(b"text")), 400, "multipart_truncated"),
    "B-031 cut inside a part header": (form(file_part(b"text"))[:40], 400, "multipart_truncated"),
    "B-031 cut in the second file": (form(file_part(b"good"), file_part(b"text"))[:-9], 400, "multipart_truncated"),
    "B-031 cut behind a whole file": (
        form(file_part(b"good"), field_part("options", b"{}"))[:-9],
        400,
        "multipart_truncated",
    ),
    "B-032 no disposition": (form(b"Content-Type: text/plain\r\n\r\nx"), *MALFORMED),
    "B-032 no name": (form(b"Content-Disposition: form-data\r\n\r\nx"), 400, "missing_file"),
    "B-032 another disposition": (form(b'Content-Disposition: attachment; name="file"\r\n\r\nx'), *MALFORMED),
    "B-032 nested": (form(file_part(HIDDEN, headers="Content-Type: multipart/mixed; boundary=inner\r\n")), *MALFORMED),
    "B-032 line feeds only": (form(file_part(b"x")).replace(b"\r\n", b"\n"), *MALFORMED),
    "B-033 no part": (form(), 400, "missing_file"),
    "B-033 no file part": (form(field_part("note", b"x")), 400, "missing_file"),
    "B-033 file under another name": (form(file_part(b"x", name="picture")), 400, "missing_file"),
    "B-033 too many files": (form(*[file_part(b"text")] * 21), 400, "too_many_parts"),
    "B-033 too many fields": (form(*[field_part("a", b"b")] * 1_001), 400, "too_many_parts"),
    "B-033 part header of 1 MB": (form(file_part(b"x", "n" * 1_000_000)), *MALFORMED),
    "B-033 part header without an end": (open_form(b"A: " + b"b" * 900_000), *MALFORMED),
    "B-033 5,000 part headers": (form(file_part(b"x", headers="A: b\r\n" * 5_000)), *MALFORMED),
    "B-033 field of 2 MB": (form(field_part("options", b" " * 2_000_000), file_part(b"x")), 413, "payload_too_large"),
    "B-034 preamble": (b"\r\n" * 400_000 + form(file_part(b"x")), *MALFORMED),
    "B-034 preamble of boundaries": (b"--mil\r\n" * 100_000 + form(file_part(b"x")), *MALFORMED),
    "B-035 base64": (form(file_part(b"eA==", headers="Content-Transfer-Encoding: base64\r\n")), *MALFORMED),
    "B-039 latin-1 name": (form(file_part(b"x", b"caf\xe9.txt")), *MALFORMED),
    "B-039 overlong UTF-8 name": (form(file_part(b"x", b"a\xc0\xafb.txt")), *MALFORMED),
    "B-039 surrogate in the name": (form(file_part(b"x", b"a\xed\xa0\x80b.txt")), *MALFORMED),
    "B-042 empty file": (form(file_part(b"good"), file_part(b"")), 422, "empty_file"),
    "B-043 file over its limit": (form(file_part(b"x" * (FILE_MAX + 1))), 413, "payload_too_large"),
    "B-043 request over its limit": (form(*[file_part(b"x" * FILE_MAX)] * 5), 413, "payload_too_large"),
    "B-044 program as pdf": (form(file_part(b"\x7fELF\2\1\1" + b"\0" * 99, "a.pdf")), *UNSUPPORTED),
    "B-044 program as text": (form(file_part(b"MZ" + b"\0" * 99 + b"PE\0\0", "a.txt")), *UNSUPPORTED),
    "B-044 noise as docx": (form(file_part(bytes(range(256)) * 999, "a.docx")), *UNSUPPORTED),
    "B-044 archive as docx": (form(file_part(b"Rar!\x1a\x07\x00" + b"\0" * 99, "a.docx")), *UNSUPPORTED),
    "B-044 gzip in the second file": (form(file_part(b"good"), file_part(GZIP, "a.txt")), *UNSUPPORTED),
    "options no JSON": (form(file_part(b"x"), field_part("options", b"{")), 400, "invalid_json"),
    "options not UTF-8": (form(file_part(b"x"), field_part("options", b'{"lane": "\xff"}')), 400, "invalid_json"),
    "options wrong": (form(file_part(b"x"), field_part("options", b'{"lane": 1}')), 422, "validation_failed"),
    "options twice": (form(file_part(b"x"), *[field_part("options", b"{}")] * 2), 422, "validation_failed"),
    "unknown part": (form(file_part(b"x"), field_part("extra", b"")), 422, "validation_failed"),
}  # fmt: skip


@pytest.mark.parametrize("is_chunked", [False, True], ids=["length", "chunked"])
@pytest.mark.parametrize("name", REFUSED)
async def test_a_bad_form_is_refused_whole(mill: Mill, kb: KnowledgeBaseId, name: str, is_chunked: bool) -> None:
    body, status, code = REFUSED[name]
    before = await stored(mill)
    began_s = time.process_time()
    answer = await post(mill, kb, body, is_chunked=is_chunked)
    assert answer.verdict == (status, code), answer.body
    answer.check_problem()
    assert time.process_time() - began_s < 1.0, "of the processor, client included (B-034)"
    assert await stored(mill) == before


HEADS = {
    "B-030 no boundary": ("multipart/form-data", *MALFORMED),
    "B-030 empty boundary": ("multipart/form-data; boundary=", *MALFORMED),
    "B-030 two boundaries": ("multipart/form-data; boundary=mill; boundary=wind", *MALFORMED),
    "B-030 300 characters": ("multipart/form-data; boundary=" + "b" * 300, *MALFORMED),
    "B-032 mixed": ("multipart/mixed; boundary=mill", 415, "unsupported_media_type"),
    "B-034 a;a;": ("application/x-www-form-urlencoded;" + "a;" * 8_000, 415, "unsupported_media_type"),
    "B-034 parameters": ("multipart/form-data" + "; boundary" * 1_500, *MALFORMED),
    "B-109 JSON": ("application/json", 415, "unsupported_media_type"),
    "B-109 nothing": ("", 415, "unsupported_media_type"),
}


@pytest.mark.parametrize("name", HEADS)
async def test_a_bad_content_type_is_refused(mill: Mill, kb: KnowledgeBaseId, name: str) -> None:
    content_type, status, code = HEADS[name]
    before = await stored(mill)
    answer = await post(mill, kb, form(file_part(b"x")), content_type=content_type)
    answer.check_problem()
    assert answer.verdict == (status, code)
    assert answer.headers["connection"] == "close"
    assert await stored(mill) == before


async def test_more_than_a_request_may_have_is_refused_by_its_length_alone(mill: Mill, kb: KnowledgeBaseId) -> None:
    """B-043: not a byte of the body was sent."""
    answer = await post(mill, kb, b"", length=REQUEST_MAX + 1)
    assert answer.verdict == (413, "payload_too_large")


DISPOSITION = b'Content-Disposition: form-data; name="file"; '
TAKEN = {
    "B-034 epilogue": (form(file_part(b"text", "a.txt")) + b"junk" * 100_000, "a.txt", TEXT),
    "B-034 a;a; in a part": (form(file_part(b"text", "a.txt", headers="X: " + "a;" * 30_000 + "\r\n")), "a.txt", TEXT),
    "B-034 a;a; in its head": (form(DISPOSITION + b"filename=a.txt" + b";a" * 30_000 + b"\r\n\r\n-"), "a.txt", TEXT),
    "B-036 up": (form(file_part(b"text", "../../etc/passwd")), "passwd", TEXT),
    "B-036 drive": (form(file_part(b"text", "C:\\x\\y.txt")), "y.txt", TEXT),
    "B-036 root": (form(file_part(b"text", "/etc/passwd")), "passwd", TEXT),
    "B-036 share": (form(file_part(b"text", "\\\\host\\share\\z.txt")), "z.txt", TEXT),
    "B-037 quote": (form(file_part(b"text", 'a\\"b.txt')), 'a"b.txt', TEXT),
    "B-037 percent quote": (form(file_part(b"text", "a%22b.txt")), 'a"b.txt', TEXT),
    "B-037 semicolon": (form(file_part(b"text", "a;b.txt")), "a;b.txt", TEXT),
    "B-037 ESC and DEL": (form(file_part(b"text", "a\x1b[2Jb\x7f.txt")), "a_[2Jb_.txt", TEXT),
    "B-037 NUL": (form(file_part(b"text", b"a\0b.txt")), "a_b.txt", TEXT),
    "B-037 encoded CR LF": (form(file_part(b"text", "a%0d%0aSet-Cookie: b.txt")), "a%0d%0aSet-Cookie: b.txt", TEXT),
    "B-037 CR LF": (form(file_part(b"text", b"a\r\nSet-Cookie: b.txt")), "unnamed", TEXT),
    "B-037 CR": (form(file_part(b"text", b"a\rb.txt")), "a_b.txt", TEXT),
    "B-038 reversed": (form(file_part(b"text", "\u202etxt.exe")), "_txt.exe", TEXT),
    "B-039 NFD": (form(file_part(b"text", "cafe\u0301.txt")), "caf\u00e9.txt", TEXT),
    "B-039 surrogate": (form(DISPOSITION + b"filename*=utf-8''%ed%a0%80.txt\r\n\r\n-"), 3 * "\ufffd" + ".txt", TEXT),
    "B-039 unknown charset": (form(DISPOSITION + b"filename*=x-none''a%e9.txt\r\n\r\nx"), "a\ufffd.txt", TEXT),
    "B-040 256 bytes": (form(file_part(b"text", "x" * 252 + ".txt")), "x" * 251 + ".txt", TEXT),
    "B-040 64 kB": (form(file_part(b"text", "x" * 60_000 + ".md")), "x" * 252 + ".md", "text/markdown"),
    "B-040 empty": (form(file_part(b"text", "")), "unnamed", TEXT),
    "B-040 dot": (form(file_part(b"text", ".")), "unnamed", TEXT),
    "B-040 dots": (form(file_part(b"text", "..")), "unnamed", TEXT),
    "B-040 spaces": (form(file_part(b"text", "   ")), "unnamed", TEXT),
    "B-040 device": (form(file_part(b"text", "CON")), "CON", TEXT),
    "B-040 option": (form(file_part(b"text", "-rf")), "-rf", TEXT),
    "B-040 hidden": (form(file_part(b"text", ".htaccess")), ".htaccess", TEXT),
    "B-040 emoji": (form(file_part(b"text", "👩\u200d🌾.md")), "👩\u200d🌾.md", "text/markdown"),
    "B-040 Chinese": (form(file_part(b"text", "价目表；2024.txt")), "价目表；2024.txt", TEXT),
    "B-043 at the limit": (form(file_part(b"x" * FILE_MAX, "a.txt")), "a.txt", TEXT),
    "B-044 html as png": (form(file_part(b"<!doctype html><script>alert(1)</script>", "a.png")), "a.png", "text/html"),
    "B-044 pdf and zip": (form(file_part(b"%PDF-1.7\n" + zipped("a.js"), "a.zip")), "a.zip", "application/pdf"),
    "B-044 gif and script": (form(file_part(b"GIF89a/*" + b"\0" * 20 + b"*/=1;alert(1)", "a.js")), "a.js", "image/gif"),
    "B-045 .pdf.php": (form(file_part(b"<?php echo 1;", "a.pdf.php")), "a.pdf.php", TEXT),
    "B-045 .php%00.pdf": (form(file_part(b"<?php echo 1;", "a.php%00.pdf")), "a.php%00.pdf", TEXT),
    "B-045 .PDF and a space": (form(file_part(b"text", "a.PDF ")), "a.PDF", TEXT),
}  # fmt: skip


@pytest.mark.parametrize("name", TAKEN)
async def test_a_hostile_file_is_stored_under_no_name_of_its_own(mill: Mill, name: str) -> None:
    body, kept, media_type = TAKEN[name]
    kb = await mill.knowledge_base(name)
    began_s = time.process_time()
    answer = await post(mill, kb, body)
    assert answer.status == 202, answer.body
    assert time.process_time() - began_s < 1.0, "of the processor, client included (B-034)"
    (document,) = answer.problem["documents"]
    assert document["filename"] == kept
    assert len(kept.encode()) <= 255
    accepted = next(one.event for one in await mill.facts() if one.stream_id == document["document_id"])
    assert isinstance(accepted, DocumentAccepted)
    assert (accepted.filename, accepted.media_type) == (kept, media_type)
    assert not {part for part in kept.split(".") if len(part) > 1} & set(accepted.source_blob.split("/"))


async def test_none_of_this_was_a_surprise(mill: Mill, kb: KnowledgeBaseId, log: StringIO) -> None:
    """Stands behind the tables: what no row expected would be in the log."""
    assert "unexpected_error" not in log.getvalue()
    assert "Traceback" not in log.getvalue()
    assert "Exception in ASGI application" not in log.getvalue()


async def stored(mill: Mill) -> tuple[int, list[str]]:
    """How many facts there are, and the keys of all blobs."""
    await mill.requests.wait_until_idle()
    return len(await mill.facts()), sorted([info.key async for info in mill.services.blobs.list("")])
