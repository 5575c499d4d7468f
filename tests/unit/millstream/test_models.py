from typing import Any

import pytest

from knowledge.http_reranker import HttpReranker
from knowledge.local_reranker import LocalReranker
from millstream.errors import ExitCode, Stop
from millstream.models import Models
from millstream.settings import Settings

OPENAI = {"openai_base_url": "http://127.0.0.1:1/v1", "openai_api_key": "sk-openai"}


def reranker_of(**settings: Any) -> object:
    return Models(Settings(**settings)).reranker


def test_reranking_is_local_unless_something_else_is_set() -> None:
    assert isinstance(reranker_of(), LocalReranker)
    assert reranker_of(rerank_model="") is None
    assert isinstance(reranker_of(rerank_model="bge", rerank_base_url="http://127.0.0.1:1"), HttpReranker)


def test_a_reranker_is_asked_at_the_openai_endpoint_unless_it_has_its_own() -> None:
    assert "http://127.0.0.1:1/v1/rerank" in repr(reranker_of(rerank_model="bge", **OPENAI))
    own = repr(reranker_of(rerank_model="bge", rerank_base_url="http://127.0.0.1:2", **OPENAI))
    assert "http://127.0.0.1:2/rerank" in own


def test_a_model_without_an_endpoint_stops_the_start_and_says_what_to_set() -> None:
    with pytest.raises(Stop) as stop:
        reranker_of(rerank_model="bge")
    assert stop.value.exit_code is ExitCode.CONFIGURATION
    assert "MILLSTREAM_RERANK_BASE_URL" in stop.value.what
