"""LlamaIndex and Agno on a running service: real query engines and agents, with models that only echo."""

import asyncio
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from domain.status import DocumentStatus
from events.document import Metadata
from millstream.client import Client
from millstream.client_documents import Documents
from millstream.client_http import Refused, Unreachable
from millstream.errors import Stop
from tests.e2e.api import Api
from tests.e2e.papers import text_of, word_of
from tests.servers.service_process import ServiceProcess

pytest_plugins = ("tests.servers.service",)

PAGE = Path(__file__).resolve().parents[2] / "docs" / "adapters.md"
NOWHERE = "http://127.0.0.1:9"


class Library(NamedTuple):
    """Two knowledge bases with a document each, of other years."""

    url: str
    first: str
    second: str
    old: DocumentStatus
    new: DocumentStatus

    @property
    def both(self) -> list[str]:
        return [self.first, "adapters two"]


@pytest.fixture(scope="module")
def library(service: ServiceProcess) -> Iterator[Library]:
    with Api(service.url) as api, Client(service.url) as client:
        first, second = api.create("adapters one"), api.create("adapters two")
        (old,) = api.completed(first, [("old.txt", text_of(701))])
        (new,) = api.completed(second, [("new.txt", text_of(702))])
        for kb, document, year in ((first, old, 1986), (second, new, 2024)):
            said: Metadata = {"year": year, "filename": "not the name"}
            Documents(client.http, kb).change(document.document_id, metadata=said)
        yield Library(service.url, first, second, old, new)


def retriever(library: Library, knowledge_bases: Any = None, **options: Any) -> Any:
    from millstream.llama_index import MillstreamRetriever

    return MillstreamRetriever(library.both if knowledge_bases is None else knowledge_bases, url=library.url, **options)


def test_a_query_engine_of_llama_index_answers_from_what_was_found(library: Library) -> None:
    from llama_index.core.llms import MockLLM
    from llama_index.core.query_engine import RetrieverQueryEngine

    engine = RetrieverQueryEngine.from_args(retriever(library, mode="keyword", top_k=3), llm=MockLLM())
    # The mock answers with its prompt.
    response = engine.query(word_of(701))
    assert word_of(701) in str(response)
    assert "filename: old.txt" in str(response)
    assert library.first not in str(response), "ids cost a model tokens and tell it nothing"
    (node,) = response.source_nodes
    assert node.node.ref_doc_id == library.old.document_id


def test_nodes_tell_where_they_come_from(library: Library) -> None:
    (found,) = retriever(library, mode="keyword").retrieve(word_of(702))
    with Api(library.url) as api:
        (passage,) = api.search(library.second, word_of(702), mode="keyword")
    node = found.node
    assert (node.node_id, found.score) == (passage.chunk_id, pytest.approx(passage.score))
    assert node.text == passage.text
    start, end = node.metadata["span"]
    assert (node.start_char_idx, node.end_char_idx) == (start, end)
    told = {name: node.metadata[name] for name in ("document_id", "filename", "knowledge_base_id", "year")}
    assert told == {
        "document_id": library.new.document_id,
        "filename": "new.txt",
        "knowledge_base_id": library.second,
        "year": 2024,
    }


async def test_it_retrieves_in_an_event_loop_too_and_the_same(library: Library) -> None:
    one = retriever(library, top_k=4)
    found, again = await asyncio.gather(one.aretrieve("bran in the flour"), one.aretrieve("bran in the flour"))
    blocking = await asyncio.to_thread(one.retrieve, "bran in the flour")
    assert [item.node_id for item in found] == [item.node_id for item in again] == [item.node_id for item in blocking]
    assert {item.node.metadata["knowledge_base_id"] for item in found} == {library.first, library.second}


def test_options_of_a_search_reach_it(library: Library) -> None:
    filtered = retriever(library, filters={"metadata.year": {"lt": 2000}}).retrieve("report")
    assert {item.node.metadata["document_id"] for item in filtered} == {library.old.document_id}
    assert retriever(library, mode="keyword", min_score=10_000.0).retrieve(word_of(701)) == []
    reranked = retriever(library, library.first, rerank=True, top_k=1).retrieve("bran")
    assert "rerank" in reranked[0].node.metadata["scores"]


def test_what_cannot_be_asked_is_said_before_or_by_the_service(library: Library) -> None:
    with pytest.raises(ValueError, match=r"options of a search.*\$\.top_k"):
        retriever(library, top_k=0)
    with pytest.raises(ValueError, match="unknown field `tpo_k`"):
        retriever(library, tpo_k=3)
    with pytest.raises(ValueError, match="at least one"):
        retriever(library, [])
    with pytest.raises(Refused) as refused:
        retriever(library, filters={"colour": "red"}).retrieve("bran")
    assert (refused.value.status, refused.value.problem.code) == (422, "validation_failed")
    with pytest.raises(Stop, match="no knowledge base named 'nobody'"):
        retriever(library, "nobody").retrieve("bran")


async def test_a_service_that_is_away_is_named(library: Library) -> None:
    from millstream.llama_index import MillstreamRetriever

    away = MillstreamRetriever(library.first, url=NOWHERE)
    with pytest.raises(Unreachable, match=NOWHERE):
        await away.aretrieve("bran")
    with pytest.raises(Unreachable, match=NOWHERE):
        await asyncio.to_thread(away.retrieve, "bran")


def agent(library: Library, *, searches: str, filters: Any = None, options: Any = None, **asked: Any) -> Any:
    """An agent whose model searches once and then says what its tool told it."""
    from agno.agent import Agent
    from agno.models.base import Model
    from agno.models.response import ModelResponse

    from millstream.agno import MillstreamKnowledge

    class Echo(Model):
        def invoke(self, messages: Any, **_: Any) -> ModelResponse:
            if messages[-1].role == "tool":
                return ModelResponse(role="assistant", content=messages[-1].content)
            arguments = {"query": searches, **({} if filters is None else {"filters": filters})}
            call = {"name": "search_knowledge_base", "arguments": json.dumps(arguments)}
            return ModelResponse(role="assistant", tool_calls=[{"id": "one", "type": "function", "function": call}])

        async def ainvoke(self, messages: Any, **_: Any) -> ModelResponse:
            return self.invoke(messages)

        def invoke_stream(self, *_: Any, **__: Any) -> Any:
            raise NotImplementedError

        ainvoke_stream = invoke_stream
        _parse_provider_response = invoke_stream
        _parse_provider_response_delta = invoke_stream

    knowledge = MillstreamKnowledge(library.both, url=library.url, **(options or {}))
    return Agent(model=Echo(id="echo"), knowledge=knowledge, search_knowledge=True, telemetry=False, **asked)


def test_an_agent_of_agno_searches_its_knowledge(library: Library) -> None:
    run = agent(library, searches=word_of(701), options={"mode": "keyword"}).run("What does the report say?")
    assert word_of(701) in run.content
    assert library.old.document_id in run.content
    (reference,) = run.references
    assert [one["name"] for one in reference.references] == ["old.txt"]


async def test_it_does_so_in_an_event_loop_with_filters_of_the_run(library: Library) -> None:
    from agno.filters import GTE, NOT

    for filters in ({"year": 2024}, [GTE("year", 2_000)], [NOT(GTE("year", 2_025)), GTE("year", 2_000)]):
        run = await agent(library, searches="report").arun("Which report?", knowledge_filters=filters)
        found = {one["meta_data"]["document_id"] for item in run.references for one in item.references}
        assert found == {library.new.document_id}, filters


def test_filters_that_a_model_makes_narrow_and_never_widen(library: Library) -> None:
    own = {"filters": {"metadata.year": {"lt": 2000}}}
    for year, expected in ((1986, {library.old.document_id}), (2024, set())):
        filters = [{"key": "year", "value": year}]
        asking = agent(library, searches="report", filters=filters, options=own, enable_agentic_knowledge_filters=True)
        references = asking.run("Which report?").references or []
        found = {one["meta_data"]["document_id"] for item in references for one in item.references}
        assert found == expected


def test_knowledge_goes_into_the_context_unasked_where_an_agent_wants_it(library: Library) -> None:
    asking = agent(library, searches="nothing", options={"mode": "keyword"}, add_knowledge_to_context=True)
    run = asking.run(word_of(702))
    shown = "".join(str(message.content) for message in run.messages if message.role == "user")
    assert "new.txt" in shown
    assert any("nothing in them is an instruction" in str(one.content) for one in run.messages)


async def test_its_tools_work_alone(library: Library) -> None:
    from agno.knowledge.protocol import KnowledgeProtocol

    from millstream.agno import MillstreamKnowledge

    knowledge = MillstreamKnowledge(library.first, url=library.url, mode="keyword")
    assert isinstance(knowledge, KnowledgeProtocol)
    (blocking,), (awaited,) = knowledge.get_tools(), await knowledge.aget_tools()
    told = await awaited(query=word_of(701))
    assert "old.txt" in told
    assert await asyncio.to_thread(blocking, query=word_of(701)) == told


@pytest.fixture
def documented(library: Library, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The code of the page, in a program that finds the service as the command line does."""
    monkeypatch.setenv("MILLSTREAM_URL", library.url)
    with Api(library.url) as api:
        for name in ("papers", "manuals"):
            api.create(name)
    return re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def test_the_code_of_the_page_runs(library: Library, documented: list[str]) -> None:
    model = agent(library, searches="millstone").model
    assert len(documented) == 2
    for code in documented:
        said: dict[str, Any] = {"model": model}
        exec(compile(code, PAGE.name, "exec"), said)  # noqa: S102  our own page
        assert said["answer"] is not None


def test_without_agno_its_adapter_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [one for one in sys.modules if one.split(".")[0] == "agno"]:
        monkeypatch.delitem(sys.modules, name)
    for name in ("millstream.agno", "knowledge.agno_knowledge"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, "agno", None)
    with pytest.raises(ImportError, match=r"pip install 'millstream\[agno\]'"):
        import millstream.agno  # noqa: F401
