"""An embedding provider that refuses, fails, answers nonsense or does not end: faults F-29 to F-34 from outside."""

import random
from collections.abc import Iterator
from typing import Any, Final

import pytest

from events.document import ChunksEmbedded
from events.steps import Step
from tests.faults.checker import Allowance, verdict
from tests.faults.documents import (
    Memory,
    documents_of,
    evidence_of,
    failures_of,
    status,
    submit_each,
    texts,
    wait_until_ended,
)
from tests.faults.history import History
from tests.faults.mill import WORKERS, Mill
from tests.faults.results import ROUNDS, recorded
from tests.servers.embedding_garbage import GARBAGE, refused
from tests.servers.embedding_provider import DIMENSIONS, EmbeddingProvider, Reply, embedding_provider, embeddings
from tests.waiting import poll

CALL_S_MAX: Final = 2
"""What the workers give one call; the default is 60."""

GIVEN_UP_S_MAX: Final = 10.0
"""As the endpoint sees it, which may see the first call late and the second behind a retry's pause."""

RSS_MB_MAX: Final = 100.0
NONSENSE: Final = ("HTML", "fewer", "NaN", "zero")
"""Of all that are tried against one worker alone: each is asked for twice, and five failures in a row are an outage."""

OUTAGES: Final = {"provider_timeout", "provider_down", "provider_unreachable"}
"""The last of them where the provider, healed, cuts what it had begun to answer."""

FLOOD_BYTES: Final = 2 * 1024**3


@pytest.fixture(scope="module")
def endpoint() -> Iterator[EmbeddingProvider]:
    with embedding_provider() as server:
        yield server


@pytest.fixture
def provider(endpoint: EmbeddingProvider) -> EmbeddingProvider:
    """In good order, asked nothing yet."""
    endpoint.release.clear()
    endpoint.reply, endpoint.script = embeddings, []
    endpoint.bodies.clear()
    endpoint.times_s.clear()
    endpoint.is_silent = False
    endpoint.drip_bytes = endpoint.flood_bytes = endpoint.flooded_bytes = 0
    return endpoint


@pytest.fixture(scope="module")
def mill(endpoint: EmbeddingProvider) -> Iterator[Mill]:
    variables = {
        "MILLSTREAM_EMBEDDING": "openai",
        "MILLSTREAM_OPENAI_BASE_URL": endpoint.base_url,
        "MILLSTREAM_OPENAI_EMBEDDING_MODEL": "test/model",
        "MILLSTREAM_OPENAI_EMBEDDING_DIMENSIONS": str(DIMENSIONS),
        "MILLSTREAM_EMBEDDING_CALL_S_MAX": str(CALL_S_MAX),
        "NO_PROXY": "127.0.0.1",
    }
    with Mill(variables) as started:
        yield started.start_all()


def test_f29_nobody_calls_within_the_window_of_a_429(provider: EmbeddingProvider, mill: Mill, history: History) -> None:
    with recorded("F-29", "provider says 429", "Retry-After: 3 to the first call, then work for two workers") as row:
        kb, window_s = history.create("429"), 3.0
        provider.script = [refused(429, Retry_After="3")]
        first = history.submit(kb, texts(1, "first"))
        poll(lambda: len(provider.times_s) == 1, "the first call is refused")
        # These have to be parsed and cut before anybody embeds them: no call of theirs is on its way as yet.
        documents = [*first.document_ids, *documents_of(submit_each(history, kb, texts(8, "429")))]
        wait_until_ended(history, kb, documents)
        since_s = [at - provider.times_s[0] for at in provider.times_s[1:]]
        found = verdict(mill, history, kb).assert_clean()
        row.add({"calls_in_the_window": sum(at < window_s for at in since_s), **found.figures})
        assert min(since_s) >= window_s
        assert set(failures_of(evidence_of(mill), documents)) <= {"provider_busy"}


def test_f30_of_half_of_all_calls_failing_every_document_is_done(
    provider: EmbeddingProvider, mill: Mill, history: History
) -> None:
    with recorded("F-30", "provider fails", "half of all calls answer 500, 502 or 503") as row:
        for number in range(ROUNDS):
            kb, dice = history.create(f"half-{number}"), random.Random(30 + number)  # noqa: S311

            def unsteady(body: dict[str, Any], dice: random.Random = dice) -> Reply:
                return embeddings(body) if dice.random() < 0.5 else refused(dice.choice((500, 502, 503)))(body)

            provider.reply = unsteady
            documents = documents_of(submit_each(history, kb, texts(8, f"half-{number}")))
            wait_until_ended(history, kb, documents, 30)
            found = verdict(mill, history, kb).assert_clean()
            assert found.rows == len(documents)
            row.add(found.figures)


def test_f31_a_401_is_asked_once_and_the_documents_can_be_tried_again(
    provider: EmbeddingProvider, mill: Mill, history: History
) -> None:
    with recorded("F-31", "provider says 401", "every call, then the account is open again") as row:
        kb = history.create("401")
        provider.reply = refused(401)
        documents = documents_of(submit_each(history, kb, texts(4, "401")))
        wait_until_ended(history, kb, documents)
        calls = len(provider.bodies)
        assert calls == len(documents)
        errors = [status(history, kb, one).error for one in documents]
        assert [error and error.code for error in errors] == ["embedding_rejected"] * len(documents)
        provider.reply = embeddings
        again = history.request("POST", "/dead-letters/retry", json={"knowledge_base": kb})
        assert again.status == 202, again
        poll(lambda: not any(status(history, kb, one).error for one in documents), "they are begun again")
        found = verdict(mill, history, kb).assert_clean()
        assert found.rows == len(documents)
        row.add({"retries": calls - len(documents), **found.figures})


def test_f32_f33_nonsense_is_never_written(provider: EmbeddingProvider, mill: Mill, history: History) -> None:
    with recorded("F-32, F-33", "provider answers nonsense", f"about one text each: {', '.join(NONSENSE)}") as row:
        kb = history.create("nonsense")
        # Two texts a document, for an answer with too few of them has one left.
        files = [(f"{kind}.md", f"# One\n\nfirst of {kind}\n\n# Two\n\n{kind} too".encode()) for kind in NONSENSE]

        def reply(body: dict[str, Any]) -> Reply:
            asked = " ".join(body["input"])
            return next((GARBAGE[kind] for kind in NONSENSE if f"first of {kind}" in asked), embeddings)(body)

        provider.reply = reply
        documents = documents_of(submit_each(history, kb, files))
        neighbours = documents_of(submit_each(history, kb, texts(4, "sound")))
        wait_until_ended(history, kb, [*documents, *neighbours], 30)
        found = verdict(mill, history, kb, allows=Allowance(failures={"embedding_invalid"})).assert_clean()
        errors = [status(history, kb, one).error for one in documents]
        assert [error and error.code for error in errors] == ["embedding_invalid"] * len(documents)
        evidence = evidence_of(mill)
        written = [one for one in evidence.envelopes if isinstance(one.event, ChunksEmbedded)]
        bad = sum(one.stream_id in documents for one in written)
        row.add({"bad_vectors_written": bad, **found.figures})
        assert bad == 0
        assert found.rows == len(neighbours)
        assert {evidence.starts[one, Step.EMBED] for one in documents} == {1}


@pytest.mark.parametrize("kind", ["hangs", "drips"])
def test_f34_an_answer_that_does_not_end_is_given_up_in_time(
    kind: str, provider: EmbeddingProvider, mill: Mill, history: History
) -> None:
    with recorded("F-34", f"provider {kind}", "no byte at all, or 10 bytes a second") as row:
        kb = history.create(kind)
        provider.is_silent, provider.drip_bytes = kind == "hangs", int(kind == "drips")
        (document,) = history.submit(kb, texts(1, kind)).document_ids
        poll(lambda: len(provider.times_s) >= 2, "the call is given up and made again")
        waited_s = provider.times_s[1] - provider.times_s[0]
        assert CALL_S_MAX / 2 <= waited_s <= GIVEN_UP_S_MAX
        provider.is_silent, provider.drip_bytes = False, 0
        provider.release.set()
        wait_until_ended(history, kb, [document])
        found = verdict(mill, history, kb).assert_clean()
        assert set(failures_of(evidence_of(mill), [document])) <= OUTAGES
        row.add({"given_up_s": waited_s, **found.figures})


def test_f34_an_answer_of_2_gb_costs_little_memory(provider: EmbeddingProvider, mill: Mill, history: History) -> None:
    with recorded("F-34", "provider answers 2 GB", "of white space") as row:
        kb = history.create("flood")
        memory = Memory(*map(mill.pid, WORKERS))
        provider.flood_bytes = FLOOD_BYTES
        (document,) = history.submit(kb, texts(1, "flood")).document_ids

        def is_over() -> bool:
            memory.look()
            return status(history, kb, document).error is not None

        poll(is_over, "the document has failed")
        found = verdict(mill, history, kb, allows=Allowance(failures={"embedding_invalid"})).assert_clean()
        taken_mb = provider.flooded_bytes / 1024**2
        row.add({"rss_mb_max": memory.grown_mb, "taken_mb": taken_mb, **found.figures})
        assert memory.grown_mb <= RSS_MB_MAX
        assert taken_mb <= RSS_MB_MAX
        assert found.rows == 0
