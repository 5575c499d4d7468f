"""Which model, prefixes and normalization a knowledge base records, and what a change leaves alone."""

from typing import Any

import msgspec
import pytest
from msgspec import UNSET

from events.knowledge_base import KnowledgeBaseSettings, Normalization
from ingest.knowledge_bases import merged_settings
from ingest.problems import Rejected
from ingest.services import EmbeddingModel, IngestServices
from tests.unit.millstream.services_in_memory import services_in_memory
from tests.unit.processors.mill import Mill

E5 = EmbeddingModel("openai:e5", 1_024, "query: ", "passage: ")
MODELS = {"": E5, "openai": E5, "openai:e5": E5, "hash": EmbeddingModel("hash", 8)}
PREFIXES = {"embedding_query_prefix": "q: ", "embedding_passage_prefix": "p: "}
OLD = KnowledgeBaseSettings(embedding_model="openai:e5", embedding_dimensions=1_024)


@pytest.fixture
def services() -> IngestServices:
    mill = Mill()
    made = services_in_memory(mill.log, mill.ids, mill.clock)
    return msgspec.structs.replace(made, known_embedding=MODELS.get)


def prefixes(settings: KnowledgeBaseSettings) -> tuple[object, object]:
    return settings.embedding_query_prefix, settings.embedding_passage_prefix


def created(services: IngestServices, **given: Any) -> KnowledgeBaseSettings:
    """As if it had been asked for by these settings, from another model."""
    return merged_settings(services, KnowledgeBaseSettings(), {"embedding_model": "", **given})


def test_a_new_one_has_the_prefixes_of_the_service_unless_it_names_others(services: IngestServices) -> None:
    assert prefixes(created(services)) == ("query: ", "passage: ")
    assert prefixes(created(services, **PREFIXES)) == ("q: ", "p: ")
    assert prefixes(created(services, embedding_query_prefix="")) == (UNSET, "passage: ")
    assert prefixes(created(services, embedding_model="hash")) == (UNSET, UNSET)
    assert created(services).embedding_normalization is Normalization.UNIT


def test_a_change_of_something_else_leaves_the_prefixes_as_they_were_recorded(services: IngestServices) -> None:
    assert prefixes(merged_settings(services, OLD, {"chunk_tokens": 64})) == (UNSET, UNSET), "none is none"
    assert prefixes(merged_settings(services, OLD, {"embedding_model": "openai"})) == (UNSET, UNSET), "the same model"
    mine = created(services, **PREFIXES)
    assert prefixes(merged_settings(services, mine, {"vector_weight": 0.4})) == ("q: ", "p: ")
    assert prefixes(merged_settings(services, mine, {"embedding_passage_prefix": ""})) == ("q: ", UNSET)


def test_another_model_brings_its_own_prefixes(services: IngestServices) -> None:
    mine = created(services, **PREFIXES)
    assert prefixes(merged_settings(services, mine, {"embedding_model": "hash"})) == (UNSET, UNSET)
    hashed = created(services, embedding_model="hash", **PREFIXES)
    assert prefixes(merged_settings(services, hashed, {"embedding_model": ""})) == ("query: ", "passage: ")


@pytest.mark.parametrize("prefix", ["a\0b", "\x1b[31m", "x" * 501])
def test_a_prefix_that_is_none_is_refused_by_name(services: IngestServices, prefix: str) -> None:
    with pytest.raises(Rejected) as refused:
        merged_settings(services, OLD, {"embedding_query_prefix": prefix})
    assert refused.value.errors[0].pointer == "/settings/embedding_query_prefix"


def test_an_instruction_may_have_lines(services: IngestServices) -> None:
    instruction = "Instruct: find the passage that answers\nQuery: "
    assert merged_settings(services, OLD, {"embedding_query_prefix": instruction}).embedding_query_prefix == instruction
