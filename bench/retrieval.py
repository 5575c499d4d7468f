"""Retrieval quality on public collections: `PYTHONPATH=src:. python bench/retrieval.py [--queries N]`.

Prints one table (Markdown): nDCG@10 and recall@100 of each way to search on each collection, beside the published BM25
of baselines.json and the textbook's BM25 over the very terms of our index. Collections are read from
../shared/data/retrieval; vectors are kept in the temporary directory, so that a second run takes a fraction of the
first. How fast searches are is measured by search.py.
"""

import argparse
import asyncio
import hashlib
import json
import math
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Final

import msgspec

from bench.figures import Peer, note, reported
from knowledge.chunk import Chunk, chunk_ids, count_tokens
from knowledge.embedders import USE_MODEL, Embedder, make_embedder, vector_weight_of
from knowledge.index import IndexRow, IndexTable
from knowledge.lance_index import LanceIndex
from knowledge.local_reranker import LocalReranker
from knowledge.ranking import Fusion
from knowledge.retriever import Retriever
from knowledge.search import SearchMode, SearchProfile, SearchRequest, SearchScope
from knowledge.terms import index_terms, query_terms
from knowledge.vectors import Vectors, decode_vectors, encode_vectors

DATA = Path(__file__).resolve().parents[1] / ".." / "shared" / "data" / "retrieval"
CACHE = Path(tempfile.gettempdir()) / "millstream-bench-vectors"
BASELINES = {"cranfield": "bm25s en-stem k1=1.2 b=0.75", "cmrc2018": "bm25s cjk-bigram k1=1.2 b=0.75"}
RECALL_DEPTH = 100
NDCG_DEPTH = 10

PUBLISHED: Final = "BM25, published (bm25s)"
TEXTBOOK: Final = "BM25, textbook, over our terms"
WAYS: Final[Mapping[str, SearchRequest]] = {
    "keyword": SearchRequest("", mode=SearchMode.KEYWORD),
    "vector": SearchRequest("", mode=SearchMode.VECTOR),
    "hybrid": SearchRequest("", fusion=Fusion.CONVEX),
    "hybrid, `rrf`": SearchRequest("", fusion=Fusion.RRF),
    "hybrid, reranked `local`": SearchRequest("", rerank=True),
    "enhanced": SearchRequest("", profile=SearchProfile.ENHANCED),
}
"""Without their queries."""


class Quality(msgspec.Struct, frozen=True):
    """Means over the queries of a collection."""

    ndcg: float
    recall: float


class Collection(msgspec.Struct, frozen=True):
    """Documents, queries and judgements: query id -> document id -> gain."""

    name: str
    documents: dict[str, str]
    queries: dict[str, str]
    judgements: dict[str, dict[str, int]]


class CachedEmbedder:
    """An embedder whose vectors are kept on disk, by model and texts."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._queries: dict[str, Vectors] = {}
        self.model = embedder.model
        self.dimensions = embedder.dimensions
        self.remote = embedder.remote

    async def embed_passages(self, texts: Sequence[str]) -> Vectors:
        digest = hashlib.sha256("\0".join([self.model, *texts]).encode()).hexdigest()[:24]
        path = CACHE / digest
        if path.exists():
            return decode_vectors(path.read_bytes())
        vectors = await self._embedder.embed_passages(texts)
        CACHE.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode_vectors(vectors))
        return vectors

    async def learn(self, queries: Sequence[str]) -> None:
        """Embeds all queries beforehand, so that searches are timed without the model."""
        for query in queries:
            self._queries[query] = await self._embedder.embed_query(query)

    async def embed_query(self, text: str) -> Vectors:
        return self._queries[text]

    async def close(self) -> None:
        await self._embedder.close()


def read_collection(name: str, queries_max: int) -> Collection:
    folder = DATA / name
    documents = {row["_id"]: row["text"] for row in _json_lines(folder / "corpus.jsonl") if row["text"].strip()}
    judgements: dict[str, dict[str, int]] = {}
    for line in (folder / "qrels.tsv").read_text().splitlines()[1:]:
        query_id, document_id, gain = line.split("\t")
        judgements.setdefault(query_id, {})[document_id] = int(gain)
    queries = {row["_id"]: row["text"].strip() for row in _json_lines(folder / "queries.jsonl")}
    chosen = [query_id for query_id in queries if query_id in judgements][:queries_max]
    return Collection(name, documents, {query_id: queries[query_id] for query_id in chosen}, judgements)


def _json_lines(path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def ndcg(ranking: Sequence[str], judgement: dict[str, int]) -> float:
    """Järvelin and Kekäläinen, linear gains, as trec_eval computes it."""
    gained = sum(max(0, judgement.get(key, 0)) / math.log2(rank + 2) for rank, key in enumerate(ranking[:NDCG_DEPTH]))
    ideal = sorted((gain for gain in judgement.values() if gain > 0), reverse=True)[:NDCG_DEPTH]
    return gained / sum(gain / math.log2(rank + 2) for rank, gain in enumerate(ideal)) if ideal else 0.0


def recall(ranking: Sequence[str], judgement: dict[str, int]) -> float:
    relevant = {key for key, gain in judgement.items() if gain > 0}
    return len(relevant & set(ranking[:RECALL_DEPTH])) / len(relevant) if relevant else 0.0


def row_of(document_id: str, text: str, vector: Vectors) -> IndexRow:
    (chunk_id,) = chunk_ids(document_id, [text])
    chunk = Chunk(chunk_id, 0, text, 0, len(text), None, (), count_tokens(text))
    return IndexRow(document_id, document_id, chunk, vector)


async def fill(index: LanceIndex, table: IndexTable, collection: Collection, vectors: Vectors) -> None:
    """One chunk a document: collections are judged by document."""
    documents = zip(collection.documents.items(), vectors, strict=True)
    await asyncio.gather(*(index.upsert(table, one, [row_of(one, text, vector)]) for (one, text), vector in documents))
    await index.optimize(table)


async def judge(name: str, queries_max: int, embedder: CachedEmbedder, folder: str) -> dict[str, Quality]:
    collection = read_collection(name, queries_max)
    vectors = await embedder.embed_passages(list(collection.documents.values()))
    await embedder.learn(list(collection.queries.values()))
    index, table = LanceIndex(folder), IndexTable(name, 1)
    await fill(index, table, collection, vectors)
    published = json.loads((DATA / "baselines.json").read_text())[name][BASELINES[name]]
    found = {
        PUBLISHED: Quality(published["ndcg@10"], published["recall@100"]),
        TEXTBOOK: quality(collection, textbook_rankings(collection)),
    }
    retriever = Retriever(index, lambda _: embedder, reranker=LocalReranker())
    scope = SearchScope(name, 1, embedder.model, vector_weight_of(embedder.model))
    for way, asked in WAYS.items():
        found[way] = quality(collection, await rankings(retriever, scope, collection, asked))
    await index.close()
    print(f"{name}: {len(collection.documents):,} documents, {len(collection.queries):,} queries", file=sys.stderr)
    return found


async def rankings(
    retriever: Retriever, scope: SearchScope, collection: Collection, asked: SearchRequest
) -> dict[str, list[str]]:
    found = {}
    for query_id, query in collection.queries.items():
        request = msgspec.structs.replace(asked, query=query, top_k=RECALL_DEPTH)
        result = await retriever.search([scope], request)
        found[query_id] = [passage.document_id for passage in result.passages]
    return found


def textbook_rankings(collection: Collection) -> dict[str, list[str]]:
    """Robertson and Zaragoza (2009), formula 3.15, with k1 = 1.2 and b = 0.75; idf as Lucene smooths it."""
    k1, b = 1.2, 0.75
    postings: dict[str, dict[str, int]] = defaultdict(dict)
    lengths: dict[str, int] = {}
    for document, text in collection.documents.items():
        terms = index_terms(text).split()
        lengths[document] = len(terms)
        for term, count in Counter(terms).items():
            postings[term][document] = count
    mean_length = mean(lengths.values())
    found = {}
    for query_id, query in collection.queries.items():
        scores: dict[str, float] = defaultdict(float)
        for term in query_terms(query):
            holders = postings.get(term, {})
            idf = math.log(1 + (len(lengths) - len(holders) + 0.5) / (len(holders) + 0.5))
            for document, count in holders.items():
                scores[document] += (
                    idf * count * (k1 + 1) / (count + k1 * (1 - b + b * lengths[document] / mean_length))
                )
        found[query_id] = sorted(scores, key=lambda document: (-scores[document], document))[:RECALL_DEPTH]
    return found


def quality(collection: Collection, found: Mapping[str, Sequence[str]]) -> Quality:
    judged = [(ranking, collection.judgements[query_id]) for query_id, ranking in found.items()]
    return Quality(mean(ndcg(*one) for one in judged), mean(recall(*one) for one in judged))


def print_table(found: Mapping[str, Mapping[str, Quality]]) -> None:
    print(f"| | {' | '.join(f'{name} nDCG@10 | recall@100' for name in found)} |")
    print(f"|---|{'---|' * 2 * len(found)}")
    for way in (PUBLISHED, TEXTBOOK, *WAYS):
        figures = [f"{figure:.3f}".lstrip("0") for one in found.values() for figure in (one[way].ndcg, one[way].recall)]
        print(f"| {way} | {' | '.join(figures)} |")


def note_figures(found: Mapping[str, Mapping[str, Quality]]) -> None:
    """nDCG@10 of each way beside the textbook's BM25, of hybrid beside the better of its parts."""
    for name, qualities in found.items():
        for way in WAYS:
            parts = [qualities[one].ndcg for one in ("keyword", "vector")]
            peer = (
                Peer("the better part", [max(parts)]) if way == "hybrid" else Peer(TEXTBOOK, [qualities[TEXTBOOK].ndcg])
            )
            note(f"{name}: {way}", "nDCG@10", qualities[way].ndcg, beside=peer)


async def run(queries_max: int) -> None:
    embedder = CachedEmbedder(make_embedder(USE_MODEL))
    with tempfile.TemporaryDirectory() as folder:
        found = {name: await judge(name, queries_max, embedder, folder) for name in BASELINES}
    note_figures(found)
    print_table(found)
    await embedder.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--queries", type=int, default=250, help="queries of each collection (default 250)")
    arguments = parser.parse_args()
    if not DATA.exists():
        sys.exit(f"the collections are not at {DATA}")
    asyncio.run(run(arguments.queries))


if __name__ == "__main__":
    with reported():
        main()
