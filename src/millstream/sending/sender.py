"""Carries parcels to a server, several at a time, and goes on where it is busy or away."""

import random
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from functools import partial
from typing import Final, TypeVar, assert_never

from millstream.client_answers import Accepted
from millstream.client_http import Flaw, Refused, Unreachable
from millstream.sending.intake import PLAIN, Delivered, Intake, Listener, Options, Refusal
from millstream.sending.ledger import Begun, Ledger, Sent, mark_of
from millstream.sending.parcels import Form, Import, Parcel, Resumable
from millstream.sending.patience import Patience
from millstream.sending.sources import LocalFile

T = TypeVar("T")
S = TypeVar("S")

FORBIDDING = frozenset({401, 403, 404, 409, 507})
"""Statuses that would answer every other parcel too."""


PATIENT: Final = Patience()


class Interrupted(Exception):
    """The sending was stopped while this parcel was on its way."""


class Sender:
    """One knowledge base of one server. Raises Stop: what was sent by then is in the ledger."""

    def __init__(
        self,
        intake: Intake,
        knowledge_base_id: str,
        ledger: Ledger,
        listener: Listener,
        *,
        options: Options = PLAIN,
        patience: Patience = PATIENT,
    ) -> None:
        self._intake = intake
        self._knowledge_base_id = knowledge_base_id
        self._ledger = ledger
        self._listener = listener
        self._options = options
        self._patience = patience
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._tasks: dict[str, None] = {}
        self._refused: list[Refusal] = []
        self._duplicates: list[str] = []

    def send(self, parcels: Sequence[Parcel], *, at_a_time: int) -> Delivered:
        """Everything; the first error that would meet every parcel ends it, once those on their way have ended."""
        with ThreadPoolExecutor(at_a_time, thread_name_prefix="sending") as threads:
            sending = [threads.submit(self._carry, parcel) for parcel in parcels]
            try:
                wait(sending, return_when=FIRST_EXCEPTION)
            finally:
                self._stop_unless_done(sending)
        for one in sending:
            if not one.cancelled() and not isinstance(one.exception(), Interrupted):
                one.result()
        return Delivered(tuple(self._tasks), tuple(self._refused), tuple(self._duplicates))

    def _stop_unless_done(self, sending: Sequence[Future[None]]) -> None:
        if not all(one.done() for one in sending):
            self._stopped.set()
            for one in sending:
                one.cancel()

    def _carry(self, parcel: Parcel) -> None:
        """Whoever meets an error stops the others at once: they send much more until `send` hears of it."""
        if self._stopped.is_set():
            return
        try:
            self._deliver(parcel)
        except BaseException:
            self._stopped.set()
            raise

    def _deliver(self, parcel: Parcel) -> None:
        self._listener.began(parcel)
        match parcel:
            case Form():
                self._carry_form(parcel)
            case Resumable():
                self._carry_resumable(parcel)
            case Import():
                self._carry_import(parcel)
            case _:
                assert_never(parcel)
        self._listener.ended(parcel)

    def _carry_form(self, parcel: Form) -> None:
        files = [file for file in parcel.files if not self._is_known(mark_of(file))]
        while files:
            try:
                accepted = self._with_patience(parcel, partial(self._upload, parcel, files))
            except Refused as refused:
                files = self._without_refused(files, [file.name for file in files], "/file/", refused)
            else:
                self._accepted(accepted, [mark_of(file) for file in files])
                return

    def _carry_import(self, parcel: Import) -> None:
        urls = [url for url in parcel.urls if not self._is_known(url)]
        while urls:
            try:
                accepted = self._with_patience(parcel, partial(self._import, urls))
            except Refused as refused:
                urls = self._without_refused(urls, urls, "/urls/", refused)
            else:
                self._accepted(accepted, urls)
                return

    def _carry_resumable(self, parcel: Resumable) -> None:
        file, mark = parcel.file, mark_of(parcel.file)
        if self._is_known(mark):
            return
        try:
            task = self._resume(parcel)
        except Refused as refused:
            self._without_refused([file], [file.name], "/file/", refused)
            return
        self._ledger.note(Sent(mark, task))
        with self._lock:
            self._tasks[task] = None

    def _upload(self, parcel: Form, files: Sequence[LocalFile], key: str) -> Accepted:
        return self._intake.upload(
            self._knowledge_base_id,
            [(file.name, file.path) for file in files],
            options=self._sent_options(),
            idempotency_key=key,
            on_sent=partial(self._stands_at, parcel),
        )

    def _import(self, urls: Sequence[str], key: str) -> Accepted:
        return self._intake.import_urls(
            self._knowledge_base_id, urls, options=self._sent_options(), idempotency_key=key
        )

    def _resume(self, parcel: Resumable) -> str:
        """The task; where the upload was begun before, from where the server has it."""
        mark = mark_of(parcel.file)
        return self._intake.upload_resumable(
            self._knowledge_base_id,
            parcel.file.path,
            filename=parcel.file.name,
            options=self._sent_options(),
            resume_url=self._ledger.upload_of(mark),
            on_url=lambda url: self._ledger.note(Begun(mark, url)),
            on_progress=lambda sent_bytes, _whole: self._stands_at(parcel, sent_bytes),
        ).task_id

    def _stands_at(self, parcel: Parcel, sent_bytes: int) -> None:
        """Also where a request that takes minutes notices that nobody waits for it any more."""
        if self._stopped.is_set():
            raise Interrupted
        self._listener.stands_at(parcel, sent_bytes)

    def _with_patience(self, parcel: Parcel, send: Callable[[str], T]) -> T:
        """One request under one Idempotency-Key, however often it is sent. Raises Stop."""
        key, failures, failing_since_s = uuid.uuid4().hex, 0, time.monotonic()
        while True:
            try:
                return send(key)
            except (Unreachable, Refused) as error:
                if isinstance(error, Refused) and not error.may_pass:
                    raise
                trouble = error
            asked_s = trouble.retry_after_s if isinstance(trouble, Refused) else None
            failures += 1
            failing_since_s = time.monotonic() if failures == 1 else failing_since_s
            wait_s = self._patience.wait_s(failures, time.monotonic() - failing_since_s, asked_s, random.random)
            if wait_s is None or self._stopped.is_set():
                raise trouble
            self._listener.waits(parcel, trouble.what, wait_s)
            self._stopped.wait(wait_s)

    def _without_refused(self, sources: list[S], names: Sequence[str], prefix: str, refused: Refused) -> list[S]:
        """What is still worth sending: a request is taken whole or refused whole, and says which part it was.

        Raises Refused where it would meet everything else too.
        """
        if refused.status in FORBIDDING:
            raise refused
        reasons = {
            place: flaw.message for flaw in refused.problem.errors if (place := _place(flaw, prefix)) is not None
        }
        reasons = {place: reason for place, reason in reasons.items() if place < len(sources)}
        if not reasons and len(sources) == 1:
            reasons = {0: refused.what}
        if not reasons:
            raise refused
        with self._lock:
            self._refused += (Refusal(names[place], refused.problem.code, why) for place, why in reasons.items())
        return [source for place, source in enumerate(sources) if place not in reasons]

    def _accepted(self, accepted: Accepted, sources: Sequence[str]) -> None:
        for source in sources:
            self._ledger.note(Sent(source, accepted.task_id))
        with self._lock:
            self._tasks[accepted.task_id] = None
            self._duplicates.extend(line.filename for line in accepted.documents if line.duplicate_of is not None)

    def _is_known(self, source: str) -> bool:
        task = self._ledger.task_of(source)
        if task is None:
            return False
        with self._lock:
            self._tasks[task] = None
        return True

    def _sent_options(self) -> Options | None:
        return None if self._options == Options() else self._options


def _place(flaw: Flaw, prefix: str) -> int | None:
    behind = flaw.pointer.removeprefix(prefix)
    return int(behind) if flaw.pointer.startswith(prefix) and behind.isdigit() else None
