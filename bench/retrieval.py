"""Retrieval quality and speed on public collections: `python bench/retrieval.py [--queries N] [--chunks N]`.

Prints nDCG@10 and recall@100 for each collection and mode beside BM25 from baselines.json, then the time of adding and
searching at about 20,000 chunks. Collections are read from ../shared/data/retrieval; vectors are kept in the
temporary directory, so that a second run takes a fraction of the first.
"""

import argparse
import asyncio
import hashlib
import json
import math
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, quantiles

import msgspec
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from knowledge.chunk import Chunk, chunk_ids, count_tokens
from knowledge.embedders import USE_MODEL, Embedder, make_embedder, vector_weight_of
from knowledge.index import IndexRow, IndexTable
from knowledge.lance_index import LanceIndex
from knowledge.local_reranker import LocalReranker
from knowledge.ranking import Fusion
from knowledge.retriever import Retriever
from knowledge.search import SearchMode, SearchProfile, SearchRequest, SearchScope
from knowledge.vectors import Vectors, decode_vectors, encode_vectors

DATA = Path(__file__).resolve().parents[1] / ".." / "shared" / "data" / "retrieval"
CACHE = Path(tempfile.gettempdir()) / "millstream-bench-vectors"
BASELINES = {"cranfield": "bm25s en-stem k1=1.2 b=0.75", "cmrc2018": "bm25s cjk-bigram k1=1.2 b=0.75"}
RECALL_DEPTH = 100
NDCG_DEPTH = 10
CHUNKS_A_WRITE = 1_000


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
    for (document_id, text), vector in zip(collection.documents.items(), vectors, strict=True):
        await index.upsert(table, document_id, [row_of(document_id, text, vector)])
    await index.optimize(table)


async def judge(name: str, queries_max: int, embedder: CachedEmbedder, folder: str) -> None:
    collection = read_collection(name, queries_max)
    started = time.perf_counter()
    vectors = await embedder.embed_passages(list(collection.documents.values()))
    await embedder.learn(list(collection.queries.values()))
    embedded_s = time.perf_counter() - started
    index, table = LanceIndex(folder), IndexTable(name, 1)
    started = time.perf_counter()
    await fill(index, table, collection, vectors)
    filled_s = time.perf_counter() - started
    baseline = json.loads((DATA / "baselines.json").read_text())[name][BASELINES[name]]
    print(f"\n{name}: {len(collection.documents):,} documents, {len(collection.queries):,} queries; ", end="")
    print(f"embedded in {embedded_s:.1f} s, indexed in {filled_s:.1f} s (one write a document)")
    print(f"  {'BM25 (bm25s)':22} nDCG@10 {baseline['ndcg@10']:.4f}  recall@100 {baseline['recall@100']:.4f}")
    retriever = Retriever(index, lambda _: embedder, reranker=LocalReranker())
    scope = SearchScope(name, 1, embedder.model, vector_weight_of(embedder.model))
    for label, mode, options in (
        ("keyword", SearchMode.KEYWORD, {}),
        ("vector", SearchMode.VECTOR, {}),
        ("hybrid convex", SearchMode.HYBRID, {"fusion": Fusion.CONVEX}),
        ("hybrid rrf", SearchMode.HYBRID, {"fusion": Fusion.RRF}),
        ("hybrid reranked", SearchMode.HYBRID, {"rerank": True}),
        ("hybrid enhanced", SearchMode.HYBRID, {"profile": SearchProfile.ENHANCED}),
    ):
        await print_quality(retriever, scope, collection, label, SearchRequest("", mode=mode, **options))
    await index.close()


async def print_quality(
    retriever: Retriever, scope: SearchScope, collection: Collection, label: str, asked: SearchRequest
) -> None:
    gains, recalls = [], []
    for query_id, query in collection.queries.items():
        request = msgspec.structs.replace(asked, query=query, top_k=RECALL_DEPTH)
        result = await retriever.search([scope], request)
        ranking = [passage.document_id for passage in result.passages]
        gains.append(ndcg(ranking, collection.judgements[query_id]))
        recalls.append(recall(ranking, collection.judgements[query_id]))
    print(f"  {label:22} nDCG@10 {mean(gains):.4f}  recall@100 {mean(recalls):.4f}", flush=True)


async def measure_speed(chunks: int, embedder: CachedEmbedder, folder: str) -> None:
    """Texts of both collections repeated under new ids, with their vectors turned a little at random."""
    rng = np.random.default_rng(7)
    rows: list[tuple[str, Vectors]] = []
    for name in BASELINES:
        documents = list(read_collection(name, 1).documents.values())
        rows.extend(zip(documents, await embedder.embed_passages(documents), strict=True))
    index, table = LanceIndex(folder), IndexTable("speed", 1)
    add_ms = []
    for write in range(chunks // CHUNKS_A_WRITE):
        document_id = f"doc_{write}"
        picked = [rows[number] for number in rng.integers(len(rows), size=CHUNKS_A_WRITE)]
        batch = [_varied(document_id, place, text, vector, rng) for place, (text, vector) in enumerate(picked)]
        started = time.perf_counter()
        await index.upsert(table, document_id, batch)
        add_ms.append((time.perf_counter() - started) * 1_000)
    await index.optimize(table)
    print(f"\nspeed at {await index.count(table):,} chunks: add {CHUNKS_A_WRITE:,} rows {mean(add_ms):.0f} ms")
    queries = [query for name in BASELINES for query in list(read_collection(name, 100).queries.values())]
    await embedder.learn(queries)
    retriever = Retriever(index, lambda _: embedder)
    scope = SearchScope("speed", 1, embedder.model, vector_weight_of(embedder.model))
    for mode in SearchMode:
        took = [(await retriever.search([scope], SearchRequest(query, mode=mode))).took_ms for query in queries]
        print(f"  search {mode:8} p50 {quantiles(took, n=100)[49]:.1f} ms, p99 {quantiles(took, n=100)[98]:.1f} ms")
    await index.close()


def _varied(document_id: str, place: int, text: str, vector: Vectors, rng: np.random.Generator) -> IndexRow:
    noisy = vector + rng.normal(scale=0.02, size=vector.shape).astype(np.float32)
    return row_of(document_id, f"{text} {document_id} {place}", noisy / np.linalg.norm(noisy))


async def run(arguments: argparse.Namespace) -> None:
    embedder = CachedEmbedder(make_embedder(USE_MODEL))
    with tempfile.TemporaryDirectory() as folder:
        for name in BASELINES:
            await judge(name, arguments.queries, embedder, folder)
        await measure_speed(arguments.chunks, embedder, folder)
    await embedder.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--queries", type=int, default=250, help="queries of each collection (default 250)")
    parser.add_argument("--chunks", type=int, default=20_000, help="chunks for the speed part (default 20,000)")
    arguments = parser.parse_args()
    if not DATA.exists():
        sys.exit(f"the collections are not at {DATA}")
    asyncio.run(run(arguments))


if __name__ == "__main__":
    main()
