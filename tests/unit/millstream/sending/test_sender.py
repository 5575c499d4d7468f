"""Carrying parcels: what is refused falls out, a busy server is waited for, a break loses nothing that was sent."""

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from millstream.client_answers import Accepted, AcceptedDocument
from millstream.client_http import Flaw, Problem, Refused, Unreachable
from millstream.client_uploads import Uploaded
from millstream.sending.intake import Delivered, Options, Refusal
from millstream.sending.ledger import Ledger
from millstream.sending.parcels import Form, Import, Parcel, Resumable
from millstream.sending.patience import Patience
from millstream.sending.sender import Sender
from millstream.sending.sources import LocalFile

SOON = Patience(base_s=0.001, cap_s=0.001, for_s=60)
NEVER = Patience(base_s=0.001, cap_s=0.001, for_s=0)


def file(name: str) -> LocalFile:
    return LocalFile(name, Path("/papers") / name, 10, 1)


def refusal(status: int, code: str, *flaws: Flaw, retry_after_s: float | None = None) -> Refused:
    return Refused(status, Problem(detail=f"it is {code}", code=code, errors=flaws), retry_after_s)


class MemoryIntake:
    """A server without HTTP. `troubles` are raised in order, one a request, before anything is taken."""

    def __init__(self, *troubles: Exception, unreadable: frozenset[str] = frozenset()) -> None:
        self.troubles = list(troubles)
        self.unreadable = unreadable
        self.taken: dict[str, str] = {}
        self.keys: list[str] = []
        self.resumed: list[str | None] = []
        self.at_a_time_max = 0
        self._at_a_time = 0
        self._lock = threading.Lock()

    def upload(
        self,
        knowledge_base_id: str,
        files: Sequence[tuple[str, Path]],
        *,
        options: Options | None,
        idempotency_key: str,
        on_sent: Callable[[int], None],
    ) -> Accepted:
        self.keys.append(idempotency_key)
        on_sent(5)
        return self._take([name for name, _ in files], "/file/", "unsupported_type")

    def import_urls(
        self, knowledge_base_id: str, urls: Sequence[str], *, options: Options | None, idempotency_key: str
    ) -> Accepted:
        self.keys.append(idempotency_key)
        return self._take(urls, "/urls/", "url_address_denied")

    def upload_resumable(
        self,
        knowledge_base_id: str,
        path: Path,
        *,
        filename: str,
        options: Options | None,
        resume_url: str | None,
        on_url: Callable[[str], None],
        on_progress: Callable[[int, int], None],
    ) -> Uploaded:
        self.resumed.append(resume_url)
        if resume_url is None:
            on_url("https://mill/uploads/1")
        return Uploaded(self._take([filename], "/file/", "unsupported_type").task_id, "https://mill/uploads/1")

    def _take(self, names: Sequence[str], prefix: str, code: str) -> Accepted:
        with self._lock:
            self._at_a_time += 1
            self.at_a_time_max = max(self.at_a_time_max, self._at_a_time)
        try:
            if self.troubles:
                raise self.troubles.pop(0)
            for place, name in enumerate(names):
                if name in self.unreadable:
                    raise refusal(415, code, Flaw(f"{prefix}{place}", "not like this"))
            task = f"task_{id(self)}_{len(self.taken)}"
            self.taken.update(dict.fromkeys(names, task))
            documents = tuple(AcceptedDocument(document_id="d", filename=name, status="queued") for name in names)
            return Accepted(task_id=task, status="queued", message="", documents=documents, links={})
        finally:
            with self._lock:
                self._at_a_time -= 1


class Quiet:
    """A Listener that counts the waits."""

    def __init__(self) -> None:
        self.waited: list[str] = []

    def began(self, parcel: Parcel) -> None: ...

    def stands_at(self, parcel: Parcel, sent_bytes: int) -> None: ...

    def waits(self, parcel: Parcel, reason: str, for_s: float) -> None:
        self.waited.append(reason)

    def ended(self, parcel: Parcel) -> None: ...


def send(
    intake: MemoryIntake,
    *parcels: Parcel,
    ledger: Ledger | None = None,
    patience: Patience = SOON,
    listener: Quiet | None = None,
) -> Delivered:
    sender = Sender(intake, "kb_1", ledger or Ledger(None), listener or Quiet(), patience=patience)
    return sender.send(parcels, at_a_time=3)


def test_everything_is_sent_and_no_more_at_a_time_than_asked_for() -> None:
    intake = MemoryIntake()
    parcels = [Form((file(f"{number}.txt"),)) for number in range(20)]

    delivered = send(intake, *parcels, Import(("https://example.org/a",)), Resumable(file("large.pdf")))

    assert len(intake.taken) == 22
    assert set(delivered.tasks) == set(intake.taken.values())
    assert delivered.refused == ()
    assert intake.at_a_time_max <= 3


def test_files_and_urls_that_are_refused_fall_out_and_the_others_go() -> None:
    intake = MemoryIntake(unreadable=frozenset({"b.exe", "d.exe", "http://10.0.0.1/", "x.exe"}))
    delivered = send(
        intake,
        Form((file("a.txt"), file("b.exe"), file("c.txt"), file("d.exe"))),
        Import(("https://example.org/", "http://10.0.0.1/")),
        Resumable(file("x.exe")),
    )
    assert set(intake.taken) == {"a.txt", "c.txt", "https://example.org/"}
    assert set(delivered.refused) == {
        Refusal("b.exe", "unsupported_type", "not like this"),
        Refusal("d.exe", "unsupported_type", "not like this"),
        Refusal("http://10.0.0.1/", "url_address_denied", "not like this"),
        Refusal("x.exe", "unsupported_type", "not like this"),
    }


def test_a_refusal_that_names_no_part_is_that_of_the_only_file() -> None:
    delivered = send(MemoryIntake(refusal(413, "payload_too_large")), Form((file("a.txt"),)))
    assert delivered.refused == (Refusal("a.txt", "payload_too_large", "it is payload_too_large"),)


def test_a_busy_server_is_waited_for_under_the_same_key() -> None:
    listener = Quiet()
    busy = refusal(503, "backlog_full", retry_after_s=0.001), refusal(429, "rate_limited"), Unreachable("away")
    intake = MemoryIntake(*busy)
    delivered = send(intake, Form((file("a.txt"),)), listener=listener)
    assert len(delivered.tasks) == 1
    assert len(intake.keys) == 4
    assert len(set(intake.keys)) == 1, "or what was taken although the answer was lost would be taken twice"
    assert listener.waited == ["it is backlog_full", "it is rate_limited", "away"]


def test_another_request_has_another_key() -> None:
    intake = MemoryIntake(unreadable=frozenset({"b.exe"}))
    send(intake, Form((file("a.txt"), file("b.exe"))))
    assert len(set(intake.keys)) == 2


@pytest.mark.parametrize("status", [401, 403, 404, 409, 507])
def test_what_would_meet_every_parcel_ends_it(status: int) -> None:
    intake = MemoryIntake(*(refusal(status, "no") for _ in range(50)))
    with pytest.raises(Refused):
        send(intake, *(Form((file(f"{number}.txt"),)) for number in range(50)))
    assert intake.taken == {}
    assert len(intake.keys) < 50


def test_after_a_break_the_same_command_sends_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    parcels = Form((file("a.txt"),)), Resumable(file("large.pdf"))
    broken = MemoryIntake()
    with Ledger(path) as ledger:
        first = send(broken, parcels[0], ledger=ledger)
        broken.troubles = [Unreachable("away")]
        with pytest.raises(Unreachable):
            send(broken, parcels[1], ledger=ledger, patience=NEVER)

    intake = MemoryIntake()
    with Ledger(path) as ledger:
        delivered = send(intake, *parcels, ledger=ledger)

    assert set(intake.taken) == {"large.pdf"}
    assert intake.resumed == ["https://mill/uploads/1"]
    assert set(delivered.tasks) > set(first.tasks), "those of the first run are told too: somebody may wait for them"


def test_patience_ends_and_never_waits_less_than_the_server_asks() -> None:
    patience = Patience(base_s=1, cap_s=10, for_s=60)
    assert patience.wait_s(1, 0, None, lambda: 1.0) == 2.0
    assert patience.wait_s(9, 59, None, lambda: 1.0) == 10.0
    assert patience.wait_s(1, 0, 30.0, lambda: 1.0) == 30.0
    assert patience.wait_s(2, 60, None, lambda: 1.0) is None
