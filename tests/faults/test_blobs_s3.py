"""S3 that is down, busy, slow, silent, cut off or lying, seen from the whole service: faults F-21 to F-24 and F-26."""

import random
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import pytest
from aiohttp import web

from tests.faults.checker import Allowance, verdict
from tests.faults.documents import (
    Memory,
    documents_of,
    evidence_of,
    failures_of,
    status,
    submit_each,
    texts,
    wait_until_each_has_failed_once,
    wait_until_ended,
)
from tests.faults.history import Call, Files, History
from tests.faults.mill import API, WORKERS, Mill
from tests.faults.requests import multipart, send_part_of
from tests.faults.results import ROUNDS, recorded
from tests.faults.s3_mill import CALL_S_MAX, S3Mill, running_s3_mill
from tests.servers.s3_proxy import Fault, Plan
from tests.waiting import poll

TIDY_S_MAX: Final = 5.0
ANSWER_S_MAX: Final = 2 * CALL_S_MAX + TIDY_S_MAX
"""65 s at the default of 30 s a call."""

THROUGH_BYTES_MAX: Final = 2_000

SLACK_S: Final = 2.0
RSS_MB_MAX: Final = 64.0
MIB: Final = 1024 * 1024
LARGE: Final = b"<html><body><p>A large page with a small text.</p><!--" + b"x" * (17 * MIB) + b"--></body></html>"
"""Three parts of an upload in parts, and hardly anything to embed."""

KINDS: Final = ("/source@", "/text@", "/chunks@", "/vectors/")

Meant = Callable[[web.Request], bool]


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[S3Mill, Mill]]:
    variables = {"MILLSTREAM_THROUGH_BYTES_MAX": str(THROUGH_BYTES_MAX)}
    with running_s3_mill(tmp_path_factory.mktemp("s3"), variables=variables) as running:
        yield running


@pytest.fixture(scope="module")
def s3(both: tuple[S3Mill, Mill]) -> S3Mill:
    return both[0]


@pytest.fixture(scope="module")
def mill(both: tuple[S3Mill, Mill]) -> Mill:
    return both[1]


def always(fault: Fault, is_meant: Meant) -> Plan:
    return lambda request: fault if is_meant(request) else None


def once(fault: Fault, is_meant: Meant) -> Plan:
    left = [fault]
    return lambda request: left.pop() if left and is_meant(request) else None


def is_part(number: int) -> Meant:
    return lambda request: request.query.get("partNumber") == str(number)


def is_completion(request: web.Request) -> bool:
    return request.method == "POST" and "uploadId" in request.query


def is_for(*names: str) -> Meant:
    """Reads of these kinds of blobs."""
    return lambda request: request.method == "GET" and any(name in request.path for name in names)


def frozen(mill: Mill) -> None:
    for name in WORKERS:
        mill.stop(name)


def thawed(mill: Mill) -> None:
    for name in WORKERS:
        mill.cont(name)


def refused_as_unavailable(call: Call) -> bool:
    return call.status == 503 and call.code == "dependency_unavailable" and call.retry_after.isdigit()


def test_f21_while_s3_is_down_uploads_are_refused_and_documents_wait(s3: S3Mill, mill: Mill, history: History) -> None:
    with recorded("F-21", "S3 down", "connections refused while documents are under way") as row:
        for number in range(ROUNDS):
            kb = history.create(f"down-{number}")
            frozen(mill)
            documents = documents_of(submit_each(history, kb, texts(2)))
            with s3.refusing():
                thawed(mill)
                refused = history.upload(kb, texts(1, "refused"))
                wait_until_each_has_failed_once(history, kb, documents)
            assert refused_as_unavailable(refused), refused
            found = verdict(mill, history, kb).assert_clean()
            failures = failures_of(evidence_of(mill), documents)
            assert set(failures) == {"blob_store_unavailable"}, "outages are not counted as attempts"
            row.add({"waits": len(failures), **found.figures})


def test_f22_of_a_third_of_calls_failing_every_upload_succeeds_once(s3: S3Mill, mill: Mill, history: History) -> None:
    with recorded("F-22", "S3 busy", "30 % of all calls answer 503 SlowDown") as row:
        for number in range(ROUNDS):
            kb, dice = history.create(f"busy-{number}"), random.Random(22 + number)  # noqa: S311
            before = len(history.calls)
            with s3.going_wrong(lambda _, dice=dice: Fault.SLOW_DOWN if dice.random() < 0.3 else None):  # type: ignore[misc]
                calls = submit_each(history, kb, texts(20))
                wait_until_ended(history, kb, documents_of(calls), 30)
            answers = [call for call in history.calls[before:] if call.sha256]
            found = verdict(mill, history, kb).assert_clean()
            assert sum(call.status == 202 for call in calls) >= 0.999 * len(calls)
            assert found.documents == len(calls)
            stored = [key for one in documents_of(calls) for key in s3.keys(f"documents/{one}/source@")]
            sources = [key for key in stored if not key.endswith(".json")]
            failed = sum(call.status == 503 for call in answers)
            orphans = len(sources) - len(calls)
            # What a refused try could not take back is left to the collector; no event speaks of it.
            assert 0 <= orphans <= failed, "a source each, and no second version"
            row.add({"answered_503": failed, "orphans": orphans, **found.figures})


def test_f23_a_silent_s3_is_answered_for_within_the_promised_time(s3: S3Mill, mill: Mill, history: History) -> None:
    with recorded("F-23", "S3 silent", "calls are taken and never answered; uploads small and in parts") as row:
        kb = history.create("silent")
        memory = Memory(mill.pid(API))
        files = [("large.html", LARGE), *texts(2)]
        with (
            History(mill.url, call_s_max=60) as patient,
            s3.going_wrong(lambda _: Fault.SILENCE),
            ThreadPoolExecutor(len(files)) as threads,
        ):
            asked = [threads.submit(patient.upload, kb, [file]) for file in files]
            poll(lambda: memory.look() or all(one.done() for one in asked), "all are answered", 60)
            calls = [one.result() for one in asked]
        assert all(map(refused_as_unavailable, calls)), calls
        slowest_s = max(call.seconds for call in calls)
        assert slowest_s <= ANSWER_S_MAX + SLACK_S
        assert memory.grown_mb <= RSS_MB_MAX
        wait_for_no_open_upload(s3)
        row.add({"answered_s": slowest_s, "rss_mb_max": memory.grown_mb})
        row.tell(**verdict(mill, history, kb).assert_clean().figures)


def test_f23_a_source_that_trickles_or_stops_is_read_in_the_end(s3: S3Mill, mill: Mill, history: History) -> None:
    with recorded("F-23", "S3 slow to read", "one source falls silent after its headers, one comes at 10 kB/s") as row:
        kb, faults = history.create("slow"), [Fault.SILENT_BODY, Fault.SLOW_BODY]
        with s3.going_wrong(lambda request: faults.pop() if faults and is_for("source@")(request) else None):
            call = history.submit(kb, [(name, content * 300) for name, content in texts(2)])
            wait_until_ended(history, kb, call.document_ids)
        assert not faults
        row.add(verdict(mill, history, kb).assert_clean().figures)


def test_f24_an_upload_in_parts_survives_cuts(s3: S3Mill, mill: Mill, history: History) -> None:
    with recorded(
        "F-24", "upload in parts, cut", "part 2 cut in the middle; answers to part 1 and its end lost"
    ) as row:
        kb = history.create("cut")
        cuts = [
            once(Fault.LOSE_ANSWER, is_part(1)),
            once(Fault.CUT_REQUEST, is_part(2)),
            once(Fault.LOSE_ANSWER, is_completion),
        ]
        before = len(s3.proxy.requests)
        with s3.going_wrong(lambda request: next((fault for cut in cuts if (fault := cut(request))), None)):
            call = history.upload(kb, [("large.html", LARGE)])
        assert call.status == 202, call
        asked = s3.proxy.requests[before:]
        for again in ("partNumber=1", "partNumber=2", "POST"):
            assert sum(again in one and "uploadId" in one for one in asked) == 2, again
        wait_until_ended(history, kb, call.document_ids)
        found = verdict(mill, history, kb).assert_clean()
        assert status(history, kb, call.document_ids[0]).sha256 == call.sha256[0]
        row.add({"open_multiparts": s3.open_uploads, **found.figures})
        assert s3.open_uploads == 0


def test_f24_an_upload_that_is_given_up_leaves_nothing(s3: S3Mill, mill: Mill, history: History) -> None:
    with recorded("F-24", "upload in parts, given up", "part 2 is cut each time; the client hangs up in part 2") as row:
        kb, before = history.create("given up"), s3.keys("documents/")
        with s3.going_wrong(always(Fault.CUT_REQUEST, is_part(2))):
            assert refused_as_unavailable(history.upload(kb, [("large.html", LARGE)]))
        wait_for_no_open_upload(s3)
        send_part_of(mill.url, kb, multipart("large.html", LARGE), share=0.6, resets=True)
        wait_for_no_open_upload(s3)
        row.add({"open_multiparts": s3.open_uploads, "blobs_left": len(s3.keys("documents/") - before)})
        assert s3.keys("documents/") == before
        row.add(verdict(mill, history, kb).assert_clean().figures)


def wait_for_no_open_upload(s3: S3Mill) -> None:
    poll(lambda: s3.open_uploads == 0, "every upload in parts is aborted")


def test_f26_bytes_that_vanish_or_change_after_the_202_end_in_a_dead_letter(
    s3: S3Mill, mill: Mill, history: History
) -> None:
    with recorded("F-26", "blobs gone or altered", "sources deleted, altered, cut short in the bucket") as row:
        kb = history.create("vanished")
        frozen(mill)
        gone, altered, short, sound = documents_of(submit_each(history, kb, texts(4)))
        for document, damage in ((gone, None), (altered, flipped), (short, halved)):
            (source,) = (key for key in s3.keys(f"documents/{document}/") if not key.endswith(".json"))
            if damage is None:
                s3.delete(source)
            else:
                s3.put(source, damage(s3.objects(source)[source]))
        thawed(mill)
        wait_until_ended(history, kb, [gone, altered, short, sound])
        found = verdict(mill, history, kb, allows=Allowance(failures={"blob_missing", "blob_corrupt"})).assert_clean()
        codes = [error.code if (error := status(history, kb, one).error) else "" for one in (gone, altered, short)]
        assert codes == ["blob_missing", "blob_corrupt", "blob_corrupt"]
        assert found.rows == 1
        row.add({"rows_of_wrong_bytes": found.rows_stale, **found.figures})


@pytest.mark.parametrize("fault", [Fault.OTHER_BYTES, Fault.SHORT_BODY, Fault.MISSING], ids=lambda fault: fault.name)
def test_f26_what_a_lying_s3_answers_is_never_indexed(fault: Fault, s3: S3Mill, mill: Mill, history: History) -> None:
    with recorded("F-26", f"lying S3: {fault.value}", "all reads of one kind of blob of each document") as row:
        kb, lies = history.create("lies"), Lies(fault)
        with s3.going_wrong(lies):
            call = history.submit(kb, step_by_step(texts(len(KINDS) + 1)))
            wait_until_ended(history, kb, call.document_ids)
        found = verdict(mill, history, kb, allows=Allowance(failures={"blob_missing", "blob_corrupt"})).assert_clean()
        expected = "blob_missing" if fault is Fault.MISSING else "blob_corrupt"
        for document in call.document_ids:
            error, lie = status(history, kb, document).error, lies.about.get(document, "nothing was read")
            assert (error.code if error else "") == (expected if lie else ""), (lie, lies.about, error)
        assert found.rows == 1
        row.add({"rows_of_wrong_bytes": found.rows_stale, **found.figures})


def step_by_step(files: Files) -> Files:
    """Too large to take all steps in one turn: what a step makes is then read by the next one."""
    return [(name, data.ljust(THROUGH_BYTES_MAX + 1)) for name, data in files]


class Lies:
    """A plan: of each document that is read another kind of blob is lied about, and none of the last."""

    def __init__(self, fault: Fault) -> None:
        self.about: dict[str, str] = {}
        self._fault = fault
        self._left = ["", *KINDS]

    def __call__(self, request: web.Request) -> Fault | None:
        found = re.search(r"documents/(doc_[0-9a-f]+)", request.path)
        if found is None or request.method != "GET" or request.path.endswith(".json"):
            return None
        kind = self.about.get(found[1])
        if kind is None:
            kind = self.about[found[1]] = self._left.pop()
        return self._fault if kind and kind in request.path else None


def flipped(content: bytes) -> bytes:
    return content[:-1] + bytes([content[-1] ^ 1])


def halved(content: bytes) -> bytes:
    return content[: len(content) // 2]
