from typing import Any, Final

import pytest

from knowledge.http_reranker import HttpReranker
from knowledge.local_reranker import LocalReranker
from millstream.errors import ExitCode, Stop
from millstream.models import Models, endpoint_of
from millstream.settings import Settings

OPENAI: Final[dict[str, Any]] = {"openai_base_url": "http://127.0.0.1:1/v1", "openai_api_key": "sk-openai"}


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


def test_there_is_a_language_model_where_one_is_named() -> None:
    assert Models(Settings(**OPENAI)).language_model is None
    shared = repr(Models(Settings(llm_model="chat", **OPENAI)).language_model)
    assert "http://127.0.0.1:1/v1/chat/completions" in shared
    assert "sk-openai" not in shared


@pytest.mark.parametrize(
    ("base_url", "key", "endpoint"),
    [
        ("", "", ("http://127.0.0.1:1/v1", "sk-openai")),
        ("", "sk-own", ("http://127.0.0.1:1/v1", "sk-own")),
        ("http://127.0.0.1:2", "", ("http://127.0.0.1:2", None)),
        ("http://127.0.0.1:2", "sk-own", ("http://127.0.0.1:2", "sk-own")),
    ],
)
def test_a_key_is_shown_to_its_own_endpoint_alone(base_url: str, key: str, endpoint: tuple[str, str | None]) -> None:
    assert endpoint_of(Settings(**OPENAI), base_url, key) == endpoint


def test_a_model_without_an_endpoint_stops_the_start_and_says_what_to_set() -> None:
    with pytest.raises(Stop) as stop:
        reranker_of(rerank_model="bge")
    assert stop.value.exit_code is ExitCode.CONFIGURATION
    assert "MILLSTREAM_RERANK_BASE_URL" in stop.value.what
