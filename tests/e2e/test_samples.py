"""The main job: the documents under samples/ go in through HTTP, and searches find the right passage."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from domain.status import DocumentPhase, DocumentStatus, TaskPhase
from events.steps import Step
from tests.e2e.api import Api, Passage, files_in
from tests.servers.service_process import ServiceProcess

pytest_plugins = ("tests.servers.service",)

FOLDER = Path(__file__).resolve().parents[2] / "samples"
SAMPLES = [(name, content) for name, content in files_in(FOLDER) if name != "README.md"]
PAGED = {"safety-handbook.pdf", "石磨养护规程.pdf", "apprentice-training.pptx"}


@pytest.fixture(scope="module")
def api(service: ServiceProcess) -> Iterator[Api]:
    with Api(service.url) as client:
        yield client


@pytest.fixture(scope="module")
def kb(api: Api) -> str:
    return api.create("the samples")


@pytest.fixture(scope="module")
def documents(api: Api, kb: str) -> dict[str, DocumentStatus]:
    return {document.filename: document for document in api.completed(kb, SAMPLES)}


def best(passages: list[Passage]) -> Passage:
    assert passages, "nothing found"
    assert passages == sorted(passages, key=lambda passage: -passage.score)
    return passages[0]


def test_every_sample_is_read_to_the_end(documents: dict[str, DocumentStatus]) -> None:
    assert set(documents) == {name for name, _ in SAMPLES}
    for name, document in documents.items():
        assert document.progress == 1.0, name
        assert document.searchable, name
        assert document.error is None, name
        assert document.waiting is None, name
        assert document.counts.chunks > 0, name
        assert document.counts.chunks_embedded == document.counts.chunks, name
        assert document.counts.characters > 100, name
        assert (document.counts.pages > 0) or name not in PAGED, name
        assert [stage.step for stage in document.stages] == [Step.PARSE, Step.CHUNK, Step.EMBED, Step.INDEX], name
        assert all(stage.attempts == 1 and stage.finished_at for stage in document.stages), name


def test_the_task_ends_completed_with_its_times_in_order(api: Api, documents: dict[str, DocumentStatus]) -> None:
    task = api.task(next(iter(documents.values())).task_id)
    assert task.status is TaskPhase.COMPLETED
    assert task.progress == 1.0
    assert (task.documents.total, task.documents.completed) == (len(documents), len(documents))
    assert task.started_at is not None
    assert task.finished_at is not None
    assert task.submitted_at <= task.started_at <= task.finished_at


def test_the_counters_of_the_knowledge_base_are_the_sums_of_its_documents(
    api: Api, kb: str, documents: dict[str, DocumentStatus]
) -> None:
    found = api.knowledge_base(kb)
    assert found.documents.total == found.documents.completed == found.documents.searchable == len(documents)
    assert found.chunks == sum(document.counts.chunks for document in documents.values())
    assert found.size_bytes == sum(document.size_bytes for document in documents.values())


def test_lists_and_single_answers_agree(api: Api, kb: str, documents: dict[str, DocumentStatus]) -> None:
    listed = {one.document_id: one for one in api.pages(f"/knowledge-bases/{kb}/documents", DocumentStatus, limit=2)}
    assert listed == {document.document_id: document for document in documents.values()}
    assert all(api.document(kb, document_id) == document for document_id, document in listed.items())
    only = api.pages(f"/knowledge-bases/{kb}/documents", DocumentStatus, status=DocumentPhase.FAILED.value)
    assert list(only) == []


@pytest.mark.usefixtures("documents")
@pytest.mark.parametrize("mode", ["hybrid", "keyword"])
@pytest.mark.parametrize(
    ("query", "filename", "words"),
    [
        ("how often are the intake magnets cleaned", "maintenance-schedule.md", "magnets every four hours"),
        ("ash is measured by burning 100 grams at 900 degrees", "flour-grades.docx", "900 degrees"),
        ("ergot in rye colour sorter", "apprentice-training.pptx", "Ergot"),
        ("price and supplier of the PT100 temperature sensor", "parts-and-prices.xlsx", "PT100"),
        ("which delivery was refused for moisture", "grain-deliveries.csv", "moisture above 15"),
        ("red mushroom buttons for an emergency stop", "safety-handbook.pdf", "mushroom buttons"),
        ("平筛筛绢破损停机多久", "夜班交接记录.txt", "筛绢破损"),
        ("修凿石磨要戴什么口罩", "石磨养护规程.pdf", "FFP3"),
        ("全麦粉可以保存几个月", "面粉等级与储存.html", "三个月"),
    ],
)
def test_a_question_finds_its_file(api: Api, kb: str, query: str, filename: str, words: str, mode: str) -> None:
    found = api.search(kb, query, mode=mode, top_k=5)
    # Not the first alone: rows that no compaction has reached yet are scored with word counts of their own.
    assert filename in {one.filename for one in found[:3]}, [(one.filename, one.score) for one in found]
    assert any(words in passage.text for passage in found if passage.filename == filename)
    assert all(passage.text.strip() for passage in found)


@pytest.mark.usefixtures("documents")
@pytest.mark.parametrize(
    ("query", "filename"),
    [("D-26-107", "grain-deliveries.csv"), ("RS-2231", "parts-and-prices.xlsx"), ("印度谷螟", "面粉等级与储存.html")],
)
def test_an_exact_word_finds_its_file_by_keyword(api: Api, kb: str, query: str, filename: str) -> None:
    passage = best(api.search(kb, query, mode="keyword"))
    assert passage.filename == filename
    marked = [passage.text[start:end] for start, end in passage.highlights]
    assert marked, "what was found is marked"
    assert any(word.lower() in query.lower() for word in marked)


@pytest.mark.usefixtures("documents")
@pytest.mark.parametrize(
    ("query", "filename", "page"),
    [
        ("who this handbook is for", "safety-handbook.pdf", 1),
        ("石磨的构造 法国燧石磨 直径", "石磨养护规程.pdf", 1),
        ("磨凿重新淬火 FFP3口罩", "石磨养护规程.pdf", 2),
        ("conditioning: rest of hard wheat and soft wheat", "apprentice-training.pptx", 3),
    ],
)
def test_a_passage_names_its_page_where_there_are_pages(
    api: Api, kb: str, query: str, filename: str, page: int
) -> None:
    found = api.search(kb, query, mode="hybrid")
    assert (filename, page) in {(passage.filename, passage.page) for passage in found[:3]}


def test_a_file_without_pages_names_none(api: Api, kb: str, documents: dict[str, DocumentStatus]) -> None:
    only = documents["maintenance-schedule.md"].document_id
    found = api.search(kb, "the V-40 and the maintenance book", mode="keyword", document_ids=[only])
    assert {passage.page for passage in found} == {None}


def test_search_keeps_to_the_documents_that_it_is_told(api: Api, kb: str, documents: dict[str, DocumentStatus]) -> None:
    only = documents["flour-grades.docx"].document_id
    found = api.search(kb, "emergency stop of the roller stand", document_ids=[only])
    assert {passage.document_id for passage in found} == {only}


@pytest.mark.usefixtures("documents")
def test_hybrid_search_by_meaning_finds_what_shares_no_word(api: Api, kb: str) -> None:
    found = api.search(kb, "protective gear against silica particles in the lungs", mode="vector", top_k=10)
    assert found
    assert all(-1.0 <= passage.score <= 1.0 for passage in found)


@pytest.mark.usefixtures("documents")
def test_several_knowledge_bases_are_searched_at_once(api: Api, kb: str) -> None:
    other = api.create("a second one")
    api.completed(other, [("other.txt", b"The bolting reel was replaced by a plansifter in 1911.")])
    response = api.http.post(
        "/search", json={"query": "plansifter sieve", "knowledge_base_ids": [kb, other], "top_k": 20}
    )
    assert response.status_code == 200, response.text
    assert {passage["knowledge_base_id"] for passage in response.json()["passages"]} == {kb, other}
