"""F-01: kill -9 of a worker at every boundary of its work. Another one claims and goes on where the log says."""

import hashlib
from collections.abc import Iterator
from typing import Final

import pytest

from events.steps import Step
from tests.faults.checker import verdict
from tests.faults.documents import evidence_of
from tests.faults.history import History, Outcome
from tests.faults.mill import Mill
from tests.faults.results import ROUNDS, recorded
from tests.faults.scenes import SMALL_CHUNKS, SURVIVOR, VICTIM, Wings, frozen, many_chunks
from tests.servers.embedding_provider import DIMENSIONS, EmbeddingProvider, embedding_provider

KILLED: Final = -9
BATCH: Final = 32
"""Chunks that one call of the provider takes."""

BOUNDARIES: Final = {
    "W1 after read": ("worker.taken", (1, 2, 4)),
    "W2 blob fetched": ("worker.fetched", (1, 1, 1)),
    "W3 parsed": ("worker.parsed", (1, 1, 1)),
    "W4 chunks stored": ("worker.chunked", (1, 1, 1)),
    "W5 batch embedded": ("worker.batch_embedded", (2, 1, 3)),
    "W6 rows written": ("worker.rows_written", (1, 1, 1)),
    "W7 before the completion event": ("worker.before_result", (4, 1, 3)),
    "W8 event written, not acknowledged": ("worker.result_appended", (3, 1, 4)),
    "W9 acknowledged": ("worker.acknowledged", (2, 1, 3)),
}
"""By boundary: the failpoint, and at which passage it kills in the first, second and third round: a document passes
most of them once a step."""

BATCHES: Final = 4
THROUGH_BYTES_MAX: Final = 2_000
"""Documents of four batches go step by step, those of one take all steps in one turn and pass each place once."""

OBJECT: Final = "flour.txt"
OBJECT_BYTES: Final = b"Flour that lies elsewhere is fetched by whoever is there."


@pytest.fixture(scope="module")
def provider() -> Iterator[EmbeddingProvider]:
    with embedding_provider() as server:
        yield server


@pytest.fixture(scope="module")
def mill(provider: EmbeddingProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mill]:
    """One worker that survives; victims come and go. Embedding is done by a provider that counts what it is asked."""
    bucket = tmp_path_factory.mktemp("bucket")
    (bucket / OBJECT).write_bytes(OBJECT_BYTES)
    variables = {
        "MILLSTREAM_IMPORT_BUCKET_URL": f"file://{bucket}",
        "MILLSTREAM_OPENAI_BASE_URL": provider.base_url,
        "MILLSTREAM_OPENAI_EMBEDDING_DIMENSIONS": str(DIMENSIONS),
        "MILLSTREAM_THROUGH_BYTES_MAX": str(THROUGH_BYTES_MAX),
    }
    with Mill(variables) as started:
        yield started.start_all(workers=[SURVIVOR])


@pytest.mark.timeout(600 * ROUNDS)
def test_a_worker_killed_at_any_boundary_loses_nothing_and_doubles_nothing(
    mill: Mill, history: History, provider: EmbeddingProvider
) -> None:
    places = BOUNDARIES.items()
    runs = [
        run
        for turn in range(ROUNDS)
        for run in (
            *((name, place, passages[turn], BATCHES) for name, (place, passages) in places),
            *((f"{name}, all steps in one turn", place, 1, 1) for name, (place, _) in places),
        )
    ]
    wings = Wings(mill)
    wings.call(f"{runs[0][1]}=kill9@{runs[0][2]}")
    for run, (name, place, passage, batches) in enumerate(runs):
        with recorded("F-01", name, f"{place}=kill9") as row:
            kb = history.create(name, settings={"embedding_model": "openai", **SMALL_CHUNKS})
            wings.wait()
            sent_before, calls_before = len(provider.texts), len(provider.bodies)
            with frozen(mill, SURVIVOR):
                mill.cont(VICTIM)
                call = history.submit(kb, [(f"{run}.txt", many_chunks(batches, BATCH, f"run {run}"))])
                assert call.outcome is Outcome.OK, call
                assert mill.wait_for_death(VICTIM) == KILLED
            assert mill.has_fired(place), f"{VICTIM} did not die at {place}"
            if run + 1 < len(runs):
                wings.call(f"{runs[run + 1][1]}=kill9@{runs[run + 1][2]}")
            judged = verdict(mill, history, kb).assert_clean()
            sent = provider.texts[sent_before:]
            repeated = len(sent) - len(set(sent))
            row.add({**judged.figures, "passage": passage, "calls": len(provider.bodies) - calls_before})
            row.tell(texts_embedded_again_max=repeated)
            assert repeated <= BATCH, f"{repeated} texts were embedded twice: more than one batch"
    wings.close()


@pytest.mark.timeout(300)
def test_what_a_worker_fetched_and_did_not_tell_of_is_fetched_again(mill: Mill, history: History) -> None:
    wings = Wings(mill)
    wings.call("worker.before_result=kill9")
    with recorded("F-01", "bytes fetched, event not written", "worker.before_result=kill9") as row:
        kb, path = history.create("fetched"), "documents/import"
        wings.wait()
        with frozen(mill, SURVIVOR):
            mill.cont(VICTIM)
            digest = hashlib.sha256(OBJECT_BYTES).hexdigest()
            call = history.request(
                "POST",
                f"/knowledge-bases/{kb}/{path}",
                key=history.new_key(),
                sha256=(digest,),
                json={"objects": [OBJECT]},
            )
            assert call.outcome is Outcome.OK, call
            assert mill.wait_for_death(VICTIM) == KILLED
        judged = verdict(mill, history, kb).assert_clean()
        row.add(judged.figures)
        assert judged.rows == 1
        assert evidence_of(mill).starts[call.document_ids[0], Step.FETCH] == 2
    wings.close()
