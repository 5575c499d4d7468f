"""Documents that are poison to their parser or to their worker, seen from the whole service: fault F-37."""

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec
import pytest

from events.steps import Step
from tests.faults.checker import Allowance, verdict
from tests.faults.documents import attempts, documents_of, evidence_of, status, submit_each, texts, wait_until_ended
from tests.faults.history import History
from tests.faults.mill import WORKERS, Mill
from tests.faults.results import ROUNDS, recorded
from tests.waiting import poll

ROOT: Final = Path(__file__).resolve().parents[2]
WALL_S: Final = 2
VARIABLES: Final = {
    "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)]),
    "MILLSTREAM_PARSE_CPU_S_MAX": "1",
    "MILLSTREAM_PARSE_WALL_S_MAX": str(WALL_S),
    "MILLSTREAM_PARSE_MEMORY_BYTES_MAX": str(256 * 1024 * 1024),
}
GONE_S_MAX: Final = WALL_S + 2
KILLER: Final = "kill the worker"

POISON: Final = {
    "segfault": "parse_failed",
    "abort": "parse_failed",
    "exit": "parse_failed",
    "babble": "parse_failed",
    "spin": "resource_limit",
    "orphan": "resource_limit",
    "sleep": "resource_limit",
    "memory": "resource_limit",
    "native memory": "resource_limit",
    "fork": "resource_limit",
}
"""What each does, and the code that it ends with; a crash is tried twice, what breaks a limit is not tried again."""


@pytest.fixture(scope="module")
def mill() -> Iterator[Mill]:
    with Mill(VARIABLES, program="tests.faults.hostile_millstream") as started:
        yield started.start_all()


def test_f37_poison_ends_its_parser_and_nobody_else(mill: Mill, history: History) -> None:
    with recorded("F-37", "poison documents", f"{len(POISON)} kinds of parsers that crash, hang, hoard, fork") as row:
        for number in range(ROUNDS):
            kb, pids = history.create(f"poison-{number}"), [mill.pid(name) for name in WORKERS]
            poison = documents_of(submit_each(history, kb, [(f"{one}.txt", one.encode()) for one in POISON]))
            neighbours = documents_of(submit_each(history, kb, texts(10, f"neighbour-{number}")))
            misdeeds = Misdeeds()
            wait_until_ended(history, kb, [*poison, *neighbours], 30, meanwhile=misdeeds.look)
            found = verdict(mill, history, kb, allows=Allowance(failures=set(POISON.values()))).assert_clean()
            errors = [status(history, kb, one).error for one in poison]
            assert [error and error.code for error in errors] == list(POISON.values())
            assert [status(history, kb, one).error for one in neighbours] == [None] * len(neighbours)
            assert [mill.pid(name) for name in WORKERS if mill.is_running(name)] == pids
            poll(lambda: not orphans(), "nothing that a parser bore outlives it", GONE_S_MAX)
            assert children_of(pids) <= len(pids)
            evidence = evidence_of(mill)
            assert 0 < misdeeds.longest_s <= GONE_S_MAX
            tries = {one: evidence.starts[document, Step.PARSE] for one, document in zip(POISON, poison, strict=True)}
            assert tries == {one: 2 if code == "parse_failed" else 1 for one, code in POISON.items()}
            row.add({"child_gone_s": misdeeds.longest_s, "workers_died": 0, **found.figures})


def test_f37_poison_is_listed_as_a_dead_letter_and_can_be_tried_again(mill: Mill, history: History) -> None:
    with recorded("F-37", "dead letters", "a poison document is listed with a reason and replayed") as row:
        kb = history.create("replayed")
        (document,) = history.submit(kb, [("a.txt", b"segfault")]).document_ids
        wait_until_ended(history, kb, [document])
        wait_until_listed(history, kb, document)
        again = history.request("POST", "/dead-letters/retry", json={"knowledge_base": kb})
        assert again.status in {200, 202}, again
        poll(lambda: attempts(history, kb, document) == 4, "it was tried twice more")
        wait_until_ended(history, kb, [document])
        found = verdict(mill, history, kb, allows=Allowance(failures={"parse_failed"})).assert_clean()
        row.add(found.figures)


def test_f37_a_document_whose_worker_dies_three_times_is_parked(mill: Mill, history: History) -> None:
    with recorded("F-37", "poison for workers", "the document's parser kills the worker, revived each time") as row:
        kb = history.create("killer")
        (document,) = history.submit(kb, [("killer.txt", KILLER.encode())]).document_ids
        neighbours = documents_of(submit_each(history, kb, texts(5, "bystander")))
        deaths = 0

        def is_parked() -> bool:
            nonlocal deaths
            for name in WORKERS:
                if not mill.is_running(name):
                    deaths += 1
                    mill.revive(name, waits=False)
            return status(history, kb, document).error is not None

        poll(is_parked, "the document is parked", 60)
        wait_until_ended(history, kb, neighbours)
        found = verdict(mill, history, kb, allows=Allowance(failures={"poison_document"})).assert_clean()
        wait_until_listed(history, kb, document)
        assert [status(history, kb, one).error for one in neighbours] == [None] * len(neighbours)
        assert deaths == 3
        row.add({"deaths": deaths, **found.figures})


def wait_until_listed(history: History, kb: str, document: str) -> None:
    def letters() -> list[str]:
        body = msgspec.json.decode(history.get("/dead-letters", knowledge_base=kb).body)
        return [one["document_id"] for one in body["data"] if one["message"] and one["code"]]

    poll(lambda: letters() == [document], "the dead letter is listed with its reason")


class Misdeeds:
    """How long processes were seen at them; asked again and again."""

    def __init__(self) -> None:
        self._first_s: dict[int, float] = {}
        self.longest_s = 0.0

    def look(self) -> None:
        now_s = time.monotonic()
        for pid in parsers():
            with suppress(OSError):
                if Path(f"/proc/{pid}/comm").read_text().strip() == "misdeed":
                    self.longest_s = max(self.longest_s, now_s - self._first_s.setdefault(pid, now_s))


def children_of(workers: list[int]) -> int:
    """Parsers that these workers have started; one each waits for the next document."""
    return sum(parent in workers for parent in parsers().values())


def orphans() -> list[int]:
    """What parsers bore and left behind: nobody that runs Python has started it."""
    return [pid for pid, parent in parsers().items() if b"python" not in cmdline(parent)]


def parsers() -> dict[int, int]:
    """Every hostile parser and every fork of one, with its parent."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        if b"hostile_parse_child" in cmdline(int(entry.name)):
            with suppress(OSError):
                found[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    return found


def cmdline(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
