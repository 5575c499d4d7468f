"""Knowledge bases and documents are changed and deleted; what is deleted is gone from searches and from the disk."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from domain.knowledge_base_status import KnowledgeBaseStatus
from domain.status import DocumentPhase, TaskPhase, TaskStatus
from tests.e2e.api import Api, problem_code
from tests.e2e.papers import text_of, word_of
from tests.servers.service_process import ServiceProcess
from tests.waiting import poll

pytest_plugins = ("tests.servers.service",)


@pytest.fixture(scope="module")
def api(service: ServiceProcess) -> Iterator[Api]:
    with Api(service.url) as client:
        yield client


def blobs_of(service: ServiceProcess, document_id: str) -> list[str]:
    folder = service.data_dir / "blobs" / "documents" / document_id
    return [name for _, _, names in os.walk(folder) for name in names]


def test_a_deleted_document_is_not_found_and_its_blobs_are_gone(api: Api, service: ServiceProcess) -> None:
    kb = api.create("deleting one")
    gone, kept = api.completed(kb, [("gone.txt", text_of(1)), ("kept.txt", text_of(2))])
    assert blobs_of(service, gone.document_id)
    assert api.http.delete(f"/knowledge-bases/{kb}/documents/{gone.document_id}").status_code == 202
    poll(lambda: api.search(kb, word_of(1), mode="keyword") == [], "it is not found")
    poll(lambda: blobs_of(service, gone.document_id) == [], "its blobs are gone")
    assert [one.filename for one in api.search(kb, word_of(2), mode="keyword")] == ["kept.txt"]
    assert blobs_of(service, kept.document_id)

    def counts() -> tuple[int, int]:
        found = api.knowledge_base(kb)
        return found.documents.total, found.chunks

    poll(lambda: counts() == (1, kept.counts.chunks), "it counts nowhere")
    answer = api.http.get(f"/knowledge-bases/{kb}/documents/{gone.document_id}")
    if answer.status_code == 200:
        assert answer.json()["status"] == DocumentPhase.DELETED.value
    else:
        assert problem_code(answer)[0] in {404, 410}
    assert api.http.delete(f"/knowledge-bases/{kb}/documents/{gone.document_id}").status_code in {202, 404}


def test_a_document_of_another_knowledge_base_cannot_be_reached_through_this_one(api: Api) -> None:
    mine, other = api.create("mine"), api.create("other")
    (document,) = api.completed(mine, [("mine.txt", text_of(3))])
    path = f"/knowledge-bases/{other}/documents/{document.document_id}"
    assert problem_code(api.http.get(path))[0] == 404
    assert problem_code(api.http.delete(path))[0] == 404
    assert api.document(mine, document.document_id).searchable


def test_a_deleted_knowledge_base_is_gone_with_everything_in_it(api: Api, service: ServiceProcess) -> None:
    kb = api.create("to be deleted")
    documents = api.completed(kb, [(f"{number}.txt", text_of(number)) for number in range(10, 13)])
    assert api.http.delete(f"/knowledge-bases/{kb}").status_code == 202
    assert problem_code(api.post_search(kb, word_of(10)))[0] in {404, 409}
    assert problem_code(api.post_files(kb, [("late.txt", text_of(1))]))[0] in {404, 409}
    for document in documents:
        poll(lambda one=document: blobs_of(service, one.document_id) == [], "its documents' blobs are gone")  # type: ignore[misc]
    poll(lambda: kb not in {one.knowledge_base_id for one in listed(api)}, "it is not listed")
    poll(lambda: not [name for name in files_below(service.data_dir / "index") if kb in name], "its index is gone")


def files_below(directory: Path) -> list[str]:
    """Also while directories vanish, at which `rglob` raises."""
    return [f"{parent}/{name}" for parent, _, names in os.walk(directory) for name in names]


def listed(api: Api, **params: str) -> list[KnowledgeBaseStatus]:
    return list(api.pages("/knowledge-bases", KnowledgeBaseStatus, **params))


def test_a_knowledge_base_deleted_in_the_middle_of_its_work_ends_the_task(api: Api, service: ServiceProcess) -> None:
    kb = api.create("deleted too early")
    task_id = api.upload(kb, [(f"{number}.txt", text_of(number)) for number in range(12)])
    assert api.http.delete(f"/knowledge-bases/{kb}").status_code == 202

    def is_over() -> bool:
        answer = api.http.get(f"/tasks/{task_id}")
        return answer.status_code == 404 or answer.json()["finished_at"] is not None

    poll(is_over, "the task has ended")
    documents = service.data_dir / "blobs" / "documents"
    unique = task_id.removeprefix("task_")[:20]
    poll(lambda: not [path for path in documents.glob(f"doc_{unique}*/**/*") if path.is_file()], "no blob is left")


def test_name_description_and_settings_change_one_by_one(api: Api) -> None:
    kb = api.create("old name", description="as it was")
    before = api.knowledge_base(kb)
    renamed = api.http.patch(f"/knowledge-bases/{kb}", json={"name": "new name"})
    assert renamed.status_code == 200, renamed.text
    tuned = api.http.patch(f"/knowledge-bases/{kb}", json={"settings": {"vector_weight": 0.9}})
    assert tuned.status_code == 200, tuned.text

    def is_changed() -> bool:
        found = api.knowledge_base(kb)
        return (found.name, found.settings.vector_weight) == ("new name", 0.9)

    poll(is_changed, "the changes are seen")
    after = api.knowledge_base(kb)
    assert after.description == "as it was"
    assert after.version > before.version
    assert after.settings.chunk_tokens == before.settings.chunk_tokens
    assert [one.knowledge_base_id for one in api.pages("/knowledge-bases", KnowledgeBaseStatus, name="new name")] == [
        kb
    ]
    assert list(api.pages("/knowledge-bases", KnowledgeBaseStatus, name="old name")) == []


@pytest.mark.parametrize(
    "body", [{"name": ""}, {"settings": {"no_such": 1}}, {"settings": {"vector_weight": 2}}, {"x": 1}]
)
def test_a_change_that_breaks_a_rule_changes_nothing(api: Api, body: dict[str, object]) -> None:
    kb = api.create("unchanged")
    before = api.knowledge_base(kb)
    assert problem_code(api.http.patch(f"/knowledge-bases/{kb}", json=body)) == (422, "validation_failed")
    assert api.knowledge_base(kb) == before


def test_the_same_key_makes_one_knowledge_base(api: Api) -> None:
    body, key = {"name": "made once"}, {"Idempotency-Key": "make-once"}
    first = api.http.post("/knowledge-bases", json=body, headers=key)
    again = api.http.post("/knowledge-bases", json=body, headers=key)
    assert first.json()["knowledge_base_id"] == again.json()["knowledge_base_id"]
    other = api.http.post("/knowledge-bases", json={"name": "another"}, headers=key)
    assert problem_code(other) == (422, "idempotency_key_reused")


def test_a_cancelled_task_ends_and_leaves_no_passage_behind(api: Api) -> None:
    kb = api.create("cancelling")
    task_id = api.upload(kb, [(f"{number}.txt", text_of(number)) for number in range(20)])
    answer = api.http.post(f"/tasks/{task_id}/cancel", json={"reason": "changed my mind"})
    assert answer.status_code in {202, 409}, answer.text
    task = api.ended(task_id)
    assert task.status in {TaskPhase.CANCELLED, TaskPhase.PARTIAL, TaskPhase.COMPLETED}
    documents = api.documents(task_id)
    for document in documents:
        number = int(document.filename.removesuffix(".txt"))
        is_found = bool(api.search(kb, word_of(number), mode="keyword"))
        assert is_found == document.searchable, document.filename


def test_tasks_are_listed_newest_first_and_by_knowledge_base(api: Api) -> None:
    kb = api.create("listing")
    tasks = [api.upload(kb, [(f"{number}.txt", text_of(number))]) for number in range(3)]
    for task_id in tasks:
        api.ended(task_id)
    mine = list(api.pages("/tasks", TaskStatus, knowledge_base=kb, limit=2))
    assert [task.task_id for task in mine] == tasks[::-1]
    assert list(api.pages("/tasks", TaskStatus, knowledge_base=kb, status="failed")) == []
    everything = [task.submitted_at for task in api.pages("/tasks", TaskStatus, limit=50)]
    assert everything == sorted(everything, reverse=True)
