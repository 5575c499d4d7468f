"""Millstream for agents of Agno: `from millstream.agno import MillstreamKnowledge`. Needs `millstream[agno]`.

agent = Agent(model=model, knowledge=MillstreamKnowledge("papers"), search_knowledge=True)
"""

from collections.abc import Sequence
from typing import Any

from knowledge.asked_passages import request_of
from millstream.client_passages import HttpPassages

try:
    from knowledge.agno_knowledge import PassageKnowledge
except ImportError as error:
    raise ImportError("Agno is not installed: pip install 'millstream[agno]'", name=error.name) from error


class MillstreamKnowledge(PassageKnowledge):
    """Agno's knowledge over one or several knowledge bases (ids or names) of a running service.

    `options` are those of a search: mode, profile, top_k, filters, document_ids, min_score, rerank, neighbours,
    vector_weight, fusion. Raises ValueError for others; a search raises `millstream.errors.Stop`.
    """

    def __init__(
        self,
        knowledge_bases: str | Sequence[str],
        *,
        url: str | None = None,
        api_key: str | None = None,
        **options: Any,
    ) -> None:
        """Without `url` and `api_key` those of MILLSTREAM_URL and MILLSTREAM_API_KEY, then of the settings, hold."""
        passages = HttpPassages(knowledge_bases, url=url, api_key=api_key)
        super().__init__(passages.search, passages.search_async, request_of(options))
