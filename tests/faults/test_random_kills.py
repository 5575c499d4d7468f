"""kill -9 of a random process about every second while documents come in: none is lost, none is done twice."""

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import msgspec
import pytest

from domain.document import Failed
from tests.faults.checker import CONVERGED_S_MAX, Allowance, verdict
from tests.faults.documents import evidence_of
from tests.faults.history import Call, History, Outcome
from tests.faults.mill import API, PROJECTOR, WORKERS, Mill
from tests.faults.results import DOCUMENTS, recorded
from tests.faults.scenes import SMALL_CHUNKS, many_chunks
from tests.waiting import poll

UPLOADS_A_SECOND: Final = 15.0
"""Slow enough for several deaths while the documents come in."""

CLIENTS: Final = 4
BATCH: Final = 64
"""Documents of 32 chunks keep the workers busy, so that they die at work."""

DEATHS_MIN: Final = 3
LAST_DOCUMENTS: Final = 20
"""These wait until so many have died: on a busy machine the upload would be over before."""

DOCUMENTS_A_SECOND_MIN: Final = 5.0

EVERY_S: Final = (0.7, 1.3)
ANSWER_S_MAX: Final = 120.0
"""A client has patience: on a busy machine a process takes its time to start, and is soon killed again."""

PARKED: Final = "poison_document"
"""What a document ends as whose worker died three times at the same step: a dead letter that says so."""


class Nemesis:
    """About every second kills a random process, if it serves, and starts it again at once; at the end all are up."""

    def __init__(self, mill: Mill, seed: int) -> None:
        self.kills: dict[str, int] = dict.fromkeys((API, PROJECTOR, *WORKERS), 0)
        self._mill = mill
        self._random = random.Random(seed)  # noqa: S311  chooses victims, guards nothing
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._rage)

    @property
    def deaths(self) -> int:
        return sum(self.kills.values())

    def __enter__(self) -> "Nemesis":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()
        for name in self.kills:
            self._mill.wait_ready(name)

    def _rage(self) -> None:
        while not self._is_over.wait(self._random.uniform(*EVERY_S)):
            name = self._random.choice(list(self.kills))
            if not self._mill.is_ready(name):
                continue  # who is killed before it serves does no work to lose
            self._mill.kill(name)
            self.kills[name] += 1
            self._mill.revive(name, waits=False)


@pytest.mark.timeout(240 + DOCUMENTS)
def test_whoever_dies_while_documents_come_in_none_is_lost_and_none_is_done_twice(mill: Mill, history: History) -> None:
    kb = history.create("killed at random", settings=SMALL_CHUNKS)
    # Told in the table; how far each process has come when it dies cannot be repeated.
    seed = random.randrange(1_000_000)  # noqa: S311
    with recorded("random", "kill -9 of a random process", "every 0.7 to 1.3 s during the upload") as row:
        row.tell(seed=seed)
        with Nemesis(mill, seed) as nemesis, ThreadPoolExecutor(CLIENTS) as clients:
            began_s = time.monotonic()

            def upload(number: int) -> Call:
                if number >= DOCUMENTS - LAST_DOCUMENTS:
                    poll(lambda: nemesis.deaths >= DEATHS_MIN, "some have died", ANSWER_S_MAX)
                return upload_in_turn(history, kb, number, began_s)

            calls = list(clients.map(upload, range(DOCUMENTS)))
        healed = verdict(mill, history, kb, within_s=time_to_work_off(), allows=Allowance(failures={PARKED}))
        parked = begun_again(mill, history)
        judged = verdict(mill, history, kb).assert_clean()
        row.add({**judged.figures, "converged_s": healed.converged_s, "rows": judged.rows})
        row.tell(kills=nemesis.deaths, parked=parked, **nemesis.kills)
        healed.assert_clean()
        assert {call.outcome for call in calls} == {Outcome.OK}
        assert judged.documents == DOCUMENTS
        assert max(len(found) for found in history.documents_per_key.values()) == 1


def upload_in_turn(history: History, kb: str, number: int, began_s: float) -> Call:
    """One document at its time."""
    ahead_s = number / UPLOADS_A_SECOND - (time.monotonic() - began_s)
    threading.Event().wait(max(0.0, ahead_s))
    file = (f"{number}.txt", many_chunks(1, BATCH, f"document {number}"))
    return history.submit(kb, [file], within_s=ANSWER_S_MAX)


def time_to_work_off() -> float:
    """The promise is about 100 documents; a backlog of more takes longer by what they take."""
    return max(CONVERGED_S_MAX, DOCUMENTS / DOCUMENTS_A_SECOND_MIN)


def begun_again(mill: Mill, history: History) -> int:
    """How many documents were parked; each is tried again, as an operator would."""
    states = [folded.state for folded in evidence_of(mill).documents.values()]
    parked = sum(isinstance(state, Failed) for state in states)
    if parked:
        call = history.request("POST", "/dead-letters/retry", json={"code": PARKED})
        assert call.outcome is Outcome.OK, call
        assert msgspec.json.decode(call.body)["tasks"]
    return parked
