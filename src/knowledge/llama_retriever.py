"""Searches as LlamaIndex's retriever: for its query engines, chat engines, workflows and evaluations."""

from typing import Any

from llama_index.core import Settings  # noqa: F401  has the library load all of itself, in its own order
from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.schema import NodeRelationship, NodeWithScore, QueryBundle, RelatedNodeInfo, TextNode
from msgspec.structs import replace

from knowledge.asked_passages import OWN_KEYS_HIDDEN, Search, SearchAsync, metadata_of, text_of
from knowledge.search import Passage, SearchRequest, SearchResult


class PassageRetriever(BaseRetriever):
    """Nodes are passages, best first, under the ids of their chunks. Raises what the two searches raise.

    Of a query bundle the text is asked; its embedding is none of the models here. `options` are those of BaseRetriever.
    """

    def __init__(self, search: Search, search_async: SearchAsync, asked: SearchRequest, **options: Any) -> None:
        super().__init__(**options)
        self._search = search
        self._search_async = search_async
        self._asked = asked

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return _nodes(self._search(replace(self._asked, query=query_bundle.query_str)))

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return _nodes(await self._search_async(replace(self._asked, query=query_bundle.query_str)))


def _nodes(result: SearchResult) -> list[NodeWithScore]:
    return [NodeWithScore(node=_node(one, result), score=one.score) for one in result.passages]


def _node(passage: Passage, result: SearchResult) -> TextNode:
    text = text_of(passage)
    # The places are those of the chunk, which may be a part of what is read.
    start, end = passage.span if text == passage.text else (None, None)
    return TextNode(
        id_=passage.chunk_id,
        text=text,
        metadata=metadata_of(passage, result),
        excluded_llm_metadata_keys=list(OWN_KEYS_HIDDEN),
        excluded_embed_metadata_keys=list(OWN_KEYS_HIDDEN),
        relationships={NodeRelationship.SOURCE: RelatedNodeInfo(node_id=passage.document_id)},
        start_char_idx=start,
        end_char_idx=end,
    )
