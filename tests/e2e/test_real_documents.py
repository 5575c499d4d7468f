"""Real documents from public collections: each ends as its manifest says, and what is in it is found."""

import json
import shutil
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from domain.status import DocumentPhase, DocumentStatus, TaskPhase
from tests.e2e.api import Api
from tests.servers.service_process import ServiceProcess

pytest_plugins = ("tests.servers.service",)

COLLECTION = (Path(__file__).resolve().parents[2] / ".." / "shared" / "data" / "documents").resolve()
FORMATS = ("pdf", "docx", "pptx", "xlsx", "html", "md", "txt", "csv")
SIZE_BYTES_MAX = 100_000
"""Of a readable one: the whole selection has to be searchable within a minute on two cores."""
TASK_S_MAX = 300.0
"""A minute where nothing else runs; a scan alone may take its half minute."""

pytestmark = pytest.mark.timeout(TASK_S_MAX + 60)

if not COLLECTION.exists():
    pytest.skip("the collection of real documents is not beside the repository", allow_module_level=True)


class RealDocument(msgspec.Struct, frozen=True):
    """One line of the manifest."""

    path: str
    format: str
    size: int
    expect: str
    phrase: str = ""
    phrases: tuple[str, ...] = ()
    ocr_phrase: str = ""


def selection(*expect: str, size_bytes_max: int = SIZE_BYTES_MAX) -> list[RealDocument]:
    manifest = json.loads((COLLECTION / "manifest.json").read_text(encoding="utf-8"))
    every = msgspec.convert(manifest["files"], list[RealDocument])
    return [
        one
        for one in every
        if one.expect in expect and one.path.split("/")[0] in FORMATS and one.size <= size_bytes_max
    ]


READABLE = selection("text")
UNREADABLE = selection("no-text", "password", size_bytes_max=800_000)
CORRUPT = selection("corrupt", size_bytes_max=800_000)
CAN_READ_SCANS = shutil.which("tesseract") is not None
WITH_MARKS_ALONE = {"pdf/cjk-issue9084.pdf"}
"""A part number, nine characters: more than nothing."""


@pytest.fixture(scope="module")
def api(service: ServiceProcess) -> Iterator[Api]:
    with Api(service.url) as client:
        yield client


@pytest.fixture(scope="module")
def kb(api: Api) -> str:
    return api.create("real documents")


@pytest.fixture(scope="module")
def ended(api: Api, kb: str) -> dict[str, DocumentStatus]:
    """Every one of them in one task, the unreadable ones among the others."""
    documents = [*READABLE, *UNREADABLE, *CORRUPT]
    files = [(one.path.replace("/", "-"), (COLLECTION / one.path).read_bytes()) for one in documents]
    task_id = api.upload(kb, files)
    assert api.ended(task_id, TASK_S_MAX).status is TaskPhase.PARTIAL
    by_name = {document.filename: document for document in api.documents(task_id)}
    return {one.path: by_name[one.path.replace("/", "-")] for one in documents}


def plain(text: str) -> str:
    """As the collection says that texts are to be compared."""
    dropped = dict.fromkeys([0x200E, 0x200F, *range(0x202A, 0x202F), 0x0640, 0x00AD])
    return " ".join(unicodedata.normalize("NFKC", text).translate(dropped).lower().split())


def parameters(documents: list[RealDocument], known: set[str], reason: str) -> list[object]:
    """Those known to end otherwise have to go on doing so, or leave the list."""
    marked = pytest.mark.xfail(reason=reason, strict=True)
    return [pytest.param(one, id=one.path, marks=[marked] if one.path in known else []) for one in documents]


@pytest.mark.parametrize("one", READABLE, ids=lambda one: one.path)
def test_a_phrase_of_it_is_found(api: Api, kb: str, ended: dict[str, DocumentStatus], one: RealDocument) -> None:
    document = ended[one.path]
    assert document.status is DocumentPhase.COMPLETED, document.error
    for phrase in one.phrases or (one.phrase,):
        found = api.search(kb, phrase, document_ids=[document.document_id], top_k=20)
        assert found, phrase
        assert {passage.document_id for passage in found} == {document.document_id}
        text = plain(" ".join(passage.text for passage in found))
        words = plain(phrase).split()
        assert plain(phrase) in text or all(word in text for word in words), phrase


@pytest.mark.parametrize("one", parameters(UNREADABLE, WITH_MARKS_ALONE, "a part number is text"))
def test_one_that_cannot_be_read_ends_with_its_reason(ended: dict[str, DocumentStatus], one: RealDocument) -> None:
    document = ended[one.path]
    if one.ocr_phrase and CAN_READ_SCANS:
        assert (document.status, document.searchable) == (DocumentPhase.COMPLETED, True)
        return
    assert document.status is DocumentPhase.FAILED
    assert document.error is not None
    assert document.error.code == {"no-text": "no_text", "password": "encrypted_document"}[one.expect]
    assert document.error.message
    assert not document.searchable


@pytest.mark.parametrize("one", CORRUPT, ids=lambda one: one.path)
def test_a_corrupt_one_ends_and_never_half(ended: dict[str, DocumentStatus], one: RealDocument) -> None:
    """Some still hold text that can be read; the others say why not."""
    document = ended[one.path]
    assert document.status in {DocumentPhase.COMPLETED, DocumentPhase.FAILED}
    assert document.searchable == (document.status is DocumentPhase.COMPLETED)
    assert (document.error is None) == (document.status is DocumentPhase.COMPLETED)
    assert document.waiting is None
