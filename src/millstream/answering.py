"""Answers over this installation, put together."""

import secrets
from typing import Final

from knowledge.answering import Answerer
from knowledge.retriever import Retriever
from millstream.stores import Stores

BOUNDARY_BYTES: Final = 8
"""64 bits that no document can have guessed."""


def answerer_over(retriever: Retriever, stores: Stores) -> Answerer:
    """With the configured language model, or none."""
    return Answerer(
        retriever,
        stores.models.language_model,
        context_tokens_max=stores.settings.llm_context_tokens_max,
        new_boundary=lambda: secrets.token_hex(BOUNDARY_BYTES),
    )
