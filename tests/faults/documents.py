"""Questions to a mill that runs: how documents stand, and what happened to them."""

import asyncio
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from domain.status import DocumentPhase, DocumentStatus
from events.document import StepFailed
from tests.faults.checker import looking_into
from tests.faults.evidence import Evidence
from tests.faults.history import Call, Files, History
from tests.faults.mill import Mill
from tests.waiting import poll

TEXT = "The mill grinds slowly, but it grinds exceedingly fine; 石磨转得慢，却磨得极细。"
ENDED = {DocumentPhase.COMPLETED, DocumentPhase.FAILED, DocumentPhase.CANCELLED, DocumentPhase.SKIPPED}


def texts(count: int, about: str = "document") -> list[tuple[str, bytes]]:
    """Small files, no two alike."""
    return [(f"{about}-{number}.txt", f"{about} {number}. {TEXT}".encode()) for number in range(count)]


def submit_each(history: History, kb: str, files: Files, *, at_once: int = 8) -> list[Call]:
    """An upload for each file, several at a time, each repeated until it is accepted or refused for good."""
    with ThreadPoolExecutor(at_once) as threads:
        return list(threads.map(lambda file: history.submit(kb, [file]), files))


def documents_of(calls: Iterable[Call]) -> list[str]:
    return [document for call in calls for document in call.document_ids]


def status(history: History, kb: str, document: str) -> DocumentStatus:
    call = history.get(f"/knowledge-bases/{kb}/documents/{document}")
    return msgspec.json.decode(call.body, type=DocumentStatus)


def wait_until_ended(
    history: History,
    kb: str,
    documents: Sequence[str],
    within_s: float = 15.0,
    *,
    meanwhile: Callable[[], object] = lambda: None,
) -> None:
    """Returns when none of them is worked on any more; `meanwhile` is called again and again until then."""
    left = list(documents)

    def is_over() -> bool:
        meanwhile()
        while left and status(history, kb, left[-1]).status in ENDED:
            left.pop()
        return not left

    poll(is_over, f"{len(documents)} documents have ended", within_s)


def evidence_of(mill: Mill) -> Evidence:
    """The whole log."""

    async def read() -> Evidence:
        async with looking_into(mill) as stores:
            return await Evidence.read(stores.log)

    return asyncio.run(read())


def failures_of(evidence: Evidence, documents: Collection[str]) -> list[str]:
    """The codes of all attempts that failed and were to be made again."""
    return [
        envelope.event.code
        for envelope in evidence.envelopes
        if isinstance(envelope.event, StepFailed) and envelope.stream_id in documents
    ]


def attempts(history: History, kb: str, document: str) -> int:
    """At the step that the document has come to."""
    return max((stage.attempts for stage in status(history, kb, document).stages), default=0)


def wait_until_each_has_failed_once(history: History, kb: str, documents: Sequence[str]) -> None:
    """Each waits for its next attempt, or is at it."""

    def has_failed(document: str) -> bool:
        return attempts(history, kb, document) > 1 or status(history, kb, document).waiting is not None

    poll(lambda: all(map(has_failed, documents)), "every document had to wait", 40)


def blob_files(mill: Mill) -> set[Path]:
    """What uploads and steps have put into the blob directory, half-written files too."""
    folders = (mill.data_dir / "blobs" / name for name in ("documents", ".tmp"))
    return {path for folder in folders for path in folder.rglob("*") if path.is_file()}


def rss_mb(pid: int) -> float:
    """Resident memory of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise AssertionError(f"process {pid} tells nothing of its memory")


class Memory:
    """How much more memory processes took while the block ran; sampled ten times a second by `look`."""

    def __init__(self, *pids: int) -> None:
        self._pids = pids
        self._before = {pid: rss_mb(pid) for pid in pids}
        self.grown_mb = 0.0

    def look(self) -> bool:
        """For `poll`; never true."""
        self.grown_mb = max(self.grown_mb, *(rss_mb(pid) - self._before[pid] for pid in self._pids))
        return False
