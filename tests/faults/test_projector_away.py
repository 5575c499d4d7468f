"""F-08 and F-09: the projector is killed between fold and commit, and behind it; or it stands still for a while."""

import threading
from collections import Counter
from collections.abc import Iterator
from typing import Final

import httpx
import httpx_sse
import msgspec
import pytest

from tests.faults.checker import verdict
from tests.faults.documents import documents_of, evidence_of, status, submit_each, texts
from tests.faults.history import History, Outcome
from tests.faults.mill import PROJECTOR, WORKERS, Mill
from tests.faults.results import ROUNDS, recorded
from tests.waiting import poll

KILLED: Final = -9
DOCUMENTS: Final = 8
P1, P2 = "projector.folded", "projector.committed"
"""Folded, not committed; committed, and the rest of its turn not done."""


@pytest.fixture(scope="module")
def mill() -> Iterator[Mill]:
    """One worker is enough here."""
    with Mill() as started:
        yield started.start_all(workers=WORKERS[:1])


class Listener:
    """A client that follows a task's stream to its end and notes what went backwards or came twice."""

    def __init__(self, mill: Mill, task: str) -> None:
        self.events = 0
        self.regresses = 0
        self.has_ended = False
        self._versions: dict[str, int] = {}
        self._told: Counter[tuple[str, int]] = Counter()
        self._url = f"{mill.url}/api/v1/tasks/{task}/stream"
        self._thread = threading.Thread(target=self._listen)

    def __enter__(self) -> "Listener":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join()

    @property
    def told_max(self) -> int:
        """How often the same state was told at most."""
        return max(self._told.values(), default=0)

    def _listen(self) -> None:
        with httpx.Client(timeout=60, trust_env=False) as client:
            for event in self._all(client):
                if event.event == "end":
                    self.has_ended = True
                    return
                self._note(event)

    def _all(self, client: httpx.Client) -> Iterator[httpx_sse.ServerSentEvent]:
        with httpx_sse.connect_sse(client, "GET", self._url) as source:
            yield from (event for event in source.iter_sse() if event.data)

    def _note(self, event: httpx_sse.ServerSentEvent) -> None:
        told = msgspec.json.decode(event.data)
        name, version = told.get("document_id") or told["task_id"], told["version"]
        self.events += 1
        self.regresses += version < self._versions.get(name, 0)
        self._told[name, version] += 1
        self._versions[name] = max(version, self._versions.get(name, 0))


@pytest.mark.timeout(300 * ROUNDS)
def test_a_projector_killed_around_its_commit_shows_nobody_a_step_back(mill: Mill, history: History) -> None:
    for turn in range(ROUNDS):
        with recorded("F-08", "projector crash at P1, then at P2", "kill9 at both, one SSE client all along") as row:
            kb = history.create("F-08")
            mill.terminate(PROJECTOR)
            mill.revive(PROJECTOR, failpoints=f"{P1}=kill9")
            task = history.submit(kb, texts(DOCUMENTS, f"turn {turn}")).task_id
            with Listener(mill, task) as listener:
                assert mill.wait_for_death(PROJECTOR) == KILLED
                mill.revive(PROJECTOR, failpoints=f"{P2}=kill9")
                assert mill.wait_for_death(PROJECTOR) == KILLED
                mill.revive(PROJECTOR)
                judged = verdict(mill, history, kb).assert_clean()
            row.add({**judged.figures, "sse_events": listener.events})
            row.tell(sse_regresses=listener.regresses, told_max=listener.told_max)
            assert listener.has_ended
            assert listener.regresses == 0
            assert listener.told_max <= 2, "a change was told more than once again"


def test_while_the_projector_stands_still_uploads_are_accepted_and_statuses_are_true(
    mill: Mill, history: History
) -> None:
    kb = history.create("F-09")
    with recorded("F-09", "projector down", "SIGSTOP while documents come in and are worked on, SIGCONT") as row:
        mill.stop(PROJECTOR)
        calls = submit_each(history, kb, texts(DOCUMENTS, "unseen"))
        assert {call.outcome for call in calls} == {Outcome.OK}
        documents = documents_of(calls)
        poll(lambda: not evidence_of(mill).open_documents, "all documents have ended in the log")
        shown = [status(history, kb, one) for one in documents]
        tasks = [msgspec.json.decode(history.get(f"/tasks/{call.task_id}").body) for call in calls]
        mill.cont(PROJECTOR)
        judged = verdict(mill, history, kb).assert_clean()
        row.add({**judged.figures, "told_completed": sum(one.searchable for one in shown)})
        assert all(one.searchable for one in shown), "a status lags behind the log"
        assert {task["status"] for task in tasks} <= {"completed", "processing"}
