"""What searches promise over HTTP, on the real index: filters, places, neighbours, scores, several knowledge bases."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import pytest

from tests.e2e.api import Api
from tests.servers.service_process import ServiceProcess

pytest_plugins = ("tests.servers.service",)

SAMPLES: Final = Path(__file__).resolve().parents[2] / "samples"
MANUAL: Final = "\n\n".join(
    f"# Stone {number}\n\nMillstone {number} is dressed with a bill and a thrift, furrow by furrow, before the harvest."
    for number in range(12)
)
METADATA: Final[dict[str, dict[str, Any]]] = {
    "en.md": {"lang": "en", "year": 2024, "draft": False},
    "zh.md": {"lang": "zh", "year": 2026, "weight": 2.5},
    "none.md": {},
}
TEXTS: Final = {
    "en.md": MANUAL,
    "zh.md": "# 石磨\n\nThe millstone: 石磨每年春天重新开槽。",
    "none.md": "An old millstone.",
}


class World(NamedTuple):
    api: Api
    kb: str
    documents: dict[str, str]

    def found(self, query: str, **asked: Any) -> list[dict[str, Any]]:
        answer = self.api.post_search(self.kb, query, **asked)
        assert answer.status_code == 200, answer.text
        passages: list[dict[str, Any]] = answer.json()["passages"]
        return passages

    def names(self, filters: dict[str, Any]) -> set[str]:
        return {one["filename"] for one in self.found("millstone", mode="keyword", top_k=50, filters=filters)}


@pytest.fixture(scope="module")
def world(service: ServiceProcess) -> Iterator[World]:
    with Api(service.url) as api:
        kb = api.create("searches", settings={"chunk_tokens": 32, "chunk_overlap_tokens": 0})
        tasks = [_upload(api, kb, name, TEXTS[name].encode(), metadata) for name, metadata in METADATA.items()]
        tasks.append(_upload(api, kb, "handbook.pdf", (SAMPLES / "safety-handbook.pdf").read_bytes(), {"year": 1999}))
        documents: dict[str, str] = {}
        for task in tasks:
            assert api.ended(task).status.value == "completed"
            documents |= {one.filename: one.document_id for one in api.documents(task)}
        yield World(api, kb, documents)


def _upload(api: Api, kb: str, name: str, content: bytes, metadata: dict[str, Any]) -> str:
    options = msgspec.json.encode({"metadata": metadata})
    parts = [("options", ("", options, "application/json")), ("file", (name, content, "application/octet-stream"))]
    accepted = api.http.post(f"/knowledge-bases/{kb}/documents", files=parts)
    assert accepted.status_code == 202, accepted.text
    return str(accepted.json()["task_id"])


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"metadata.lang": "zh"}, {"zh.md"}),
        ({"metadata.year": {"eq": 2024}}, {"en.md"}),
        ({"metadata.lang": {"in": ["zh", "en"]}}, {"en.md", "zh.md"}),
        ({"metadata.year": {"gte": 2024, "lt": 2026}}, {"en.md"}),
        ({"metadata.weight": {"gt": 2}}, {"zh.md"}),
        ({"metadata.draft": {"exists": True}}, {"en.md"}),
        ({"metadata.lang": {"exists": False}, "filename": {"ne": "handbook.pdf"}}, {"none.md"}),
        ({"and": [{"metadata.lang": "en"}, {"metadata.draft": False}]}, {"en.md"}),
        ({"or": [{"metadata.lang": "zh"}, {"filename": "none.md"}]}, {"zh.md", "none.md"}),
        ({"not": {"or": [{"metadata.lang": "en"}, {"metadata.year": {"lte": 1999}}]}}, {"zh.md", "none.md"}),
        ({"metadata.lang": "fr"}, set()),
    ],
)
def test_a_search_is_filtered_by_what_is_said_of_documents(
    world: World, filters: dict[str, Any], expected: set[str]
) -> None:
    assert world.names(filters) == expected


def test_a_list_of_documents_is_filtered_by_it_too(world: World) -> None:
    for query, expected in (
        ({"metadata.lang": "zh"}, ["zh.md"]),
        ({"metadata.year": "2024", "metadata.draft": "false"}, ["en.md"]),
        ({"metadata.weight": "2.5"}, ["zh.md"]),
        ({"metadata.lang": "fr"}, []),
    ):
        answer = world.api.http.get(f"/knowledge-bases/{world.kb}/documents", params=query)
        assert [one["filename"] for one in answer.json()["data"]] == expected


@pytest.mark.parametrize("mode", ["keyword", "vector", "hybrid"])
def test_a_passage_says_on_which_page_and_where_in_the_text_it_stands(world: World, mode: str) -> None:
    only = [world.documents["handbook.pdf"]]
    passages = world.found("emergency stop millstone", mode=mode, document_ids=only, top_k=3)
    text = world.api.http.get(f"/knowledge-bases/{world.kb}/documents/{only[0]}/text").json()
    assert passages
    for one in passages:
        first, last = one["span"]
        assert text["text"][first:last] == one["text"]
        (page,) = [page for page in text["pages"] if page["number"] == one["page"]]
        assert page["start"] <= first < page["end"]
    words = [one["text"][slice(*place)].lower() for one in passages for place in one["highlights"]]
    assert mode == "vector" or words
    assert all(word.startswith(("emergenc", "stop", "millstone")) for word in words)


def test_neighbours_come_with_a_passage_and_a_chunk_that_is_switched_off_does_not(world: World) -> None:
    document = world.documents["en.md"]
    chunks = world.api.http.get(f"/knowledge-bases/{world.kb}/documents/{document}/chunks").json()["data"]
    (before, hit, behind) = chunks[4:7]
    query: dict[str, Any] = {"query": "Millstone", "mode": "keyword", "document_ids": [document], "top_k": 50}

    def context() -> list[str]:
        (passage,) = [one for one in world.found(**query, neighbours=1) if one["chunk_id"] == hit["chunk_id"]]
        ids: list[str] = passage["context"]["chunk_ids"]
        return ids

    path = f"/knowledge-bases/{world.kb}/documents/{document}/chunks/{behind['chunk_id']}"
    assert context() == [before["chunk_id"], hit["chunk_id"], behind["chunk_id"]]
    assert world.api.http.patch(path, json={"enabled": False}).status_code == 200
    assert context() == [before["chunk_id"], hit["chunk_id"]]
    assert behind["chunk_id"] not in {one["chunk_id"] for one in world.found(**query)}
    assert world.api.http.patch(path, json={"enabled": True}).status_code == 200
    assert behind["chunk_id"] in {one["chunk_id"] for one in world.found(**query)}


@pytest.mark.parametrize("mode", ["keyword", "vector", "hybrid"])
def test_what_scores_less_is_left_out(world: World, mode: str) -> None:
    passages = world.found("dressed with a bill", mode=mode, top_k=20)
    middle = passages[len(passages) // 2]["score"]
    kept = world.found("dressed with a bill", mode=mode, top_k=20, min_score=middle)
    assert [one["chunk_id"] for one in kept] == [one["chunk_id"] for one in passages if one["score"] >= middle]
    assert world.found("dressed with a bill", mode=mode, min_score=1e9) == []


@pytest.mark.parametrize("mode", ["keyword", "vector", "hybrid"])
def test_knowledge_bases_of_different_models_are_searched_together(world: World, mode: str) -> None:
    other = world.api.create(f"of another model {mode}", settings={"embedding_model": "hash"})
    world.api.completed(other, [("rye.md", b"Rye flour is sold by the millstone in sacks.")])
    body = {"query": "millstone dressed", "mode": mode, "top_k": 50, "knowledge_base_ids": [world.kb, other, other]}
    passages = world.api.http.post("/search", json=body).json()["passages"]
    assert {one["knowledge_base_id"] for one in passages} == {world.kb, other}
    assert len({one["chunk_id"] for one in passages}) == len(passages)
    alone = world.found("millstone dressed", mode=mode, top_k=1)
    assert passages[0]["chunk_id"] == alone[0]["chunk_id"]
    scores = [one["score"] for one in passages]
    assert mode == "vector" or scores == sorted(scores, reverse=True)
