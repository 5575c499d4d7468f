"""An embedding class of LlamaIndex, found by its import path and made. LlamaIndex is imported with this module (1 s).

What is wrong is said in words for whoever wrote the settings: as ValueError, with no argument's value in it.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from llama_index.core import Settings  # noqa: F401  has the library load all of itself, in its own order
from llama_index.core.base.embeddings.base import BaseEmbedding

from knowledge.llama_faults import masked


def made(path: str, arguments: Mapping[str, Any]) -> BaseEmbedding:
    """The instance. Raises ValueError that says what is wrong with the path, the class or the arguments."""
    embedding_class = found(path)
    try:
        return embedding_class(**arguments)
    except Exception as error:  # whatever a constructor of others raises
        reason = masked(f"{type(error).__name__}: {error}", arguments)
        raise ValueError(f"{path} cannot be made with these arguments: {reason}") from error


def found(path: str) -> type[BaseEmbedding]:
    """The class. Raises ValueError."""
    module_name, dot, name = path.rpartition(".")
    if not dot or not module_name:
        raise ValueError(f"{path!r} is no import path: write it like package.module.ClassName")
    try:
        module = import_module(module_name)
    except Exception as error:  # whatever a module of others raises while it is imported
        raise ValueError(f"{module_name} cannot be imported: {type(error).__name__}: {error}") from error
    if not hasattr(module, name):
        raise ValueError(f"{module_name} has no {name}")
    candidate = getattr(module, name)
    if not isinstance(candidate, type) or not issubclass(candidate, BaseEmbedding):
        raise ValueError(f"{path} is no LlamaIndex embedding: it does not derive from BaseEmbedding")  # noqa: TRY004  told like the rest
    return candidate


def awaits_batches(embedding: BaseEmbedding) -> bool:
    """Whether the class has an asynchronous way for a batch that is as good as its synchronous one.

    The base class's `_aget_text_embeddings` goes text by text, and its `_aget_text_embedding` blocks.
    """
    has_batches, has_texts = (_defines(embedding, name) for name in ("_aget_text_embeddings", "_aget_text_embedding"))
    return has_batches or (has_texts and not _defines(embedding, "_get_text_embeddings"))


def _defines(embedding: BaseEmbedding, name: str) -> bool:
    return getattr(type(embedding), name) is not getattr(BaseEmbedding, name)
