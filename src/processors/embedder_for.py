"""Who makes the embedder that a knowledge base asks for."""

from collections.abc import Callable

from domain.results import VectorFacts
from events.knowledge_base import KnowledgeBaseSettings
from knowledge.embedders import NO_PREFIXES, Embedder, Embedding, Prefixes

EmbedderFor = Callable[[Embedding], Embedder]
"""Keeps what it made: an embedder holds a model or connections, and is closed by whoever made it. Raises EmbeddingError
where it cannot be made, and `dimensions_changed` where it makes vectors of another length."""


def embedding_of(settings: KnowledgeBaseSettings) -> Embedding:
    """What a knowledge base's vectors are made by."""
    prefixes = Prefixes(settings.embedding_query_prefix or "", settings.embedding_passage_prefix or "")
    return Embedding(settings.embedding_model, settings.embedding_dimensions, prefixes)


def embedding_of_vectors(vectors: VectorFacts) -> Embedding:
    """What a document's vectors were made by."""
    prefixes = Prefixes(passage=vectors.passage_prefix) if vectors.passage_prefix else NO_PREFIXES
    return Embedding(vectors.model, vectors.dimensions, prefixes)
