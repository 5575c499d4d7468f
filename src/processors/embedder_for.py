"""Who makes the embedder that a knowledge base asks for."""

from collections.abc import Callable

from events.knowledge_base import KnowledgeBaseSettings
from knowledge.embedders import Embedder

EmbedderFor = Callable[[KnowledgeBaseSettings], Embedder]
"""Keeps what it made: an embedder holds a model or connections, and is closed by whoever made it."""
