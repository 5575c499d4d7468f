"""Law 1, determinism: the same events give the same state, byte for byte, in any process."""

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings

import domain.deciders
from domain.decider import fold
from domain.deciders import DOCUMENT
from events.codec import encode
from tests.examples import examples
from tests.histories import History, document_histories
from tests.unit.domain.fold_histories import fold_all


@settings(max_examples=examples(60), deadline=None)
@given(document_histories())
def test_law_1_determinism_the_same_events_give_the_same_state_byte_for_byte(history: History) -> None:
    encoded = msgspec.msgpack.encode([[encode(envelope) for envelope in history]])

    assert fold_all(encoded) == fold_all(encoded) == msgspec.msgpack.encode([fold(DOCUMENT, history)])


@pytest.mark.parametrize("hash_seed", ["0", "1", "4242"])
def test_law_1_determinism_another_process_with_another_hash_seed_gives_the_same_bytes(hash_seed: str) -> None:
    histories = _some_histories()
    encoded = msgspec.msgpack.encode([[encode(envelope) for envelope in history] for history in histories])

    assert sum(map(len, histories)) > 50
    assert _fold_in_another_process(encoded, hash_seed) == fold_all(encoded)


def _some_histories() -> list[History]:
    """The same few dozen histories in every run of the tests."""
    found: list[History] = []

    @settings(max_examples=40, deadline=None, database=None, derandomize=True)
    @given(document_histories())
    def collect(history: History) -> None:
        found.append(history)

    collect()
    return found


def _fold_in_another_process(histories: bytes, hash_seed: str) -> bytes:
    source = Path(domain.deciders.__file__).parents[1]
    program = Path(__file__).with_name("fold_histories.py")
    done = subprocess.run(
        [sys.executable, program],
        input=histories,
        env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(source)},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout
