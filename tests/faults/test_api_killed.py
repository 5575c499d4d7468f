"""F-02: kill -9 of the API at every boundary of an upload to S3; the client tries again and has one document."""

import asyncio
import hashlib
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Final

import msgspec
import pytest
from aiohttp import web

from events.document import DocumentAccepted
from events.ids import TaskId, document_id
from millstream.client_http import Http
from millstream.client_uploads import ResumableUpload
from millstream.tidying import collect_now
from tests.faults.checker import looking_into, verdict
from tests.faults.documents import texts
from tests.faults.evidence import Evidence
from tests.faults.history import History, Outcome
from tests.faults.mill import API, WORKERS, Mill, answers
from tests.faults.results import ROUNDS, recorded
from tests.faults.s3_mill import S3Mill, running_s3_mill
from tests.faults.stored import blob_figures
from tests.servers.s3_proxy import Fault
from tests.waiting import poll

KILLED: Final = -9
BLOCKED_S: Final = 3.0

BOUNDARIES: Final = {
    "A2 mid body": "api.mid_body",
    "A1 after admission": "api.admitted",
    "A5 blob complete": "api.stored",
    "A6 before append": "api.before_append",
    "A7 after append": "api.appended",
    "A8 before the response": "api.before_response",
}
"""The body of the first is long, so that it is read in many pieces."""

PARTS: Final = {
    "A3 upload in parts created": ("PUT", "partNumber=1"),
    "A4 last part sent": ("POST", "uploadId="),
}
"""By boundary: the request to S3 that only comes once it is passed."""

PARTS_FILE_BYTES: Final = 9_000_000
"""Two parts of up to 8 MiB."""

GRACE_S: Final = 1
PROBE_S: Final = 0.5

SMALL_PIECES: Final = {"MILLSTREAM_RESUMABLE_PIECE_BYTES": "65536"}


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[S3Mill, Mill]]:
    with running_s3_mill(tmp_path_factory.mktemp("s3"), workers=WORKERS[:1], variables=SMALL_PIECES) as started:
        yield started


@pytest.fixture(scope="module")
def mill(both: tuple[S3Mill, Mill]) -> Mill:
    return both[1]


@pytest.mark.timeout(300 * ROUNDS)
def test_an_api_killed_at_any_boundary_leaves_one_document_for_each_key(mill: Mill, history: History) -> None:
    runs = [(turn, name, place) for turn in range(ROUNDS) for name, place in BOUNDARIES.items()]
    mill.kill(API)
    mill.revive(API, failpoints=f"{runs[0][2]}=kill9")
    with ThreadPoolExecutor(1) as threads:
        for run, (turn, name, place) in enumerate(runs):
            with recorded("F-02", name, f"{place}=kill9, retried under one Idempotency-Key") as row:
                kb, unknown = history.create(name), history.unknown
                # The retry is the first to pass the next boundary, so the next upload is what dies there.
                following = f"{runs[run + 1][2]}=kill9@{passages(runs[run + 1][2])}" if run + 1 < len(runs) else ""
                back = threads.submit(revived, mill, following)
                files = [long_file(name, 1_000_000)] if place == "api.mid_body" else texts(1, f"{turn} {name}")
                call = history.submit(kb, files)
                assert back.result() == KILLED
                assert call.outcome is Outcome.OK, call
                key_documents = history.documents_per_key[call.key]
                judged = verdict(mill, history, kb).assert_clean()
                unknown = history.unknown - unknown
                row.add({**judged.figures, "unknown_answers": unknown, "documents_per_key_max": len(key_documents)})
                row.tell(orphan_blobs=judged.unreferenced_blobs)
                assert len(key_documents) == 1


@pytest.mark.timeout(300 * ROUNDS)
def test_an_api_killed_within_an_upload_in_parts_leaves_one_document_for_each_key(
    both: tuple[S3Mill, Mill], history: History
) -> None:
    s3, mill = both
    for turn in range(ROUNDS):
        for name, (method, words) in PARTS.items():
            with recorded("F-02", name, f"kill -9 when {method} …{words}… passes the proxy") as row:
                kb = history.create(name)
                file = long_file(f"{turn} {name}", PARTS_FILE_BYTES)
                with ThreadPoolExecutor(1) as threads, s3.going_wrong(Assassin(mill, method, words)):
                    back = threads.submit(revived, mill, "")
                    call = history.submit(kb, [file])
                    assert back.result() == KILLED
                assert call.outcome is Outcome.OK, call
                judged = verdict(mill, history, kb).assert_clean()
                row.add({**judged.figures, "documents_per_key_max": len(history.documents_per_key[call.key])})
                row.tell(orphan_blobs=judged.unreferenced_blobs, open_multiparts=s3.open_uploads)
                assert len(history.documents_per_key[call.key]) == 1
    with recorded("F-02", "what killed uploads left", f"millstream collect, grace {GRACE_S} s") as row:
        row.tell(orphan_blobs_before=judged.unreferenced_blobs, open_multiparts_before=s3.open_uploads)
        poll(lambda: nothing_is_left(s3, mill), "blobs and parts that nobody needs are collected")
        row.add(verdict(mill, history, kb).assert_clean().figures)
        row.tell(orphan_blobs=0, open_multiparts=0)


RESUMED_BYTES: Final = 500_000
RESUMED_PART_BYTES: Final = 200_000
"""Of one request; each is four pieces."""

RESUMED: Final = {
    "R1 piece stored": "api.piece_stored=kill9@6",
    "R2 pieces joined": "api.pieces_joined=kill9",
    "R3 after append": "api.appended=kill9",
}


@pytest.mark.timeout(300 * ROUNDS)
def test_f27_an_api_killed_within_a_resumable_upload_loses_nothing_that_an_offset_said(
    both: tuple[S3Mill, Mill], history: History, tmp_path: Path
) -> None:
    s3, mill = both
    for _ in range(ROUNDS):
        for name, failpoints in RESUMED.items():
            with recorded("F-27", name, f"{failpoints}, resumed by tus from the offset that HEAD tells") as row:
                kb, notes = history.create(name), Notes()
                filename, content = long_file(name, RESUMED_BYTES)
                file = tmp_path / filename
                file.write_bytes(content)
                mill.kill(API)
                mill.revive(API, failpoints=failpoints)
                with ThreadPoolExecutor(1) as threads, closing(Http(mill.url)) as http:
                    back = threads.submit(revived, mill, "")
                    about = {"knowledge_base": kb, "filename": filename}
                    upload = ResumableUpload(http, file, about, on_progress=notes.take, part_bytes=RESUMED_PART_BYTES)
                    uploaded = upload.run()
                    assert back.result() == KILLED
                sources = asyncio.run(sources_of(mill, uploaded.task_id))
                assert [hashlib.sha256(data).hexdigest() for data in sources] == [hashlib.sha256(content).hexdigest()]
                assert notes.offsets == sorted(notes.offsets), "no offset goes back"
                assert s3.keys("uploads/") == set()
                row.add({"documents": len(sources), "offsets_gone_back": 0, "pieces_left": 0})


class Notes:
    """Every offset that a client was told."""

    def __init__(self) -> None:
        self.offsets: list[int] = []

    def take(self, there: int, _all: int) -> None:
        self.offsets.append(there)


async def sources_of(mill: Mill, task_id: str) -> list[bytes]:
    """The stored bytes of each document of a task."""
    async with looking_into(mill) as stores:
        first = await stores.log.history(document_id(TaskId(task_id), 0))
        facts = [one.event for one in first if isinstance(one.event, DocumentAccepted)]
        return [await stores.blobs.get(fact.source_blob) for fact in facts]


def nothing_is_left(s3: S3Mill, mill: Mill) -> bool:
    """Collects as an operator would, and looks."""

    async def collect() -> int:
        await collect_now(msgspec.structs.replace(mill.settings, orphan_grace_s=GRACE_S), dry_run=False)
        async with looking_into(mill) as stores:
            return (await blob_figures(stores, await Evidence.read(stores.log))).unreferenced

    return asyncio.run(collect()) == 0 and s3.open_uploads == 0


def passages(place: str) -> int:
    """At which passage the next upload comes by: long bodies pass their middle more than twice."""
    return 3 if place == "api.mid_body" else 2


def revived(mill: Mill, failpoints: str) -> int:
    """How the API died; it is up again."""
    code = mill.wait_for_death(API)
    mill.revive(API, failpoints=failpoints)
    return code


def test_an_api_whose_loop_is_blocked_is_seen_to_be_and_loses_nothing(mill: Mill, history: History) -> None:
    kb = history.create("F-57")
    with recorded("F-57", "blocked event loop of the API", f"api.admitted=sleep:{BLOCKED_S:g}") as row:
        mill.terminate(API)
        mill.revive(API, failpoints=f"api.admitted=sleep:{BLOCKED_S:g}")
        uploading = threading.Thread(target=history.submit, args=(kb, texts(1, "blocked")))
        began_s = time.monotonic()
        uploading.start()
        mill.wait_for_failpoint("api.admitted")
        poll(lambda: not is_alive(mill), "the probe sees it")
        noticed_s = time.monotonic() - began_s
        poll(lambda: is_alive(mill), "the API is back")
        uploading.join()
        judged = verdict(mill, history, kb).assert_clean()
        row.add({**judged.figures, "noticed_s": noticed_s})
        assert judged.documents == 1


def is_alive(mill: Mill) -> bool:
    """What a probe thinks."""
    return answers(mill.port, "/healthz", within_s=PROBE_S)


class Assassin:
    """Kills the API as soon as such a request comes by, once; the request itself goes on to the server."""

    def __init__(self, mill: Mill, method: str, words: str) -> None:
        self._mill = mill
        self._method = method
        self._words = words
        self._is_done = False

    def __call__(self, request: web.Request) -> Fault | None:
        if not self._is_done and request.method == self._method and self._words in request.raw_path:
            self._is_done = True
            self._mill.kill(API)
        return None


def long_file(about: str, size_bytes: int) -> tuple[str, bytes]:
    """Little text in many bytes, quickly read."""
    comment = b"<!-- " + b"x" * 200 + b" -->"
    text = f"<p>{about}: the mill.</p>".encode() + comment * (size_bytes // len(comment)) + b"<p>The end.</p>"
    return f"{about}.html", text
