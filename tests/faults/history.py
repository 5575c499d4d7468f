"""What a client was told, call by call. Each call ends in one of three ways: ok, fail, or nobody knows."""

import enum
import hashlib
import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final

import httpx
import msgspec

from tests.faults.mill import CANARY

CALL_S_MAX: Final = 10.0
PAUSE_S: Final = 0.1
"""Between two tries; a client in the field would heed Retry-After, which asks for seconds."""

SETTLED_S_MAX: Final = 45.0
UNAVAILABLE: Final = 503

Files = Sequence[tuple[str, bytes]]


class Outcome(enum.Enum):
    """OK: accepted. FAIL: refused, with a documented code. UNKNOWN: no answer, so it may have happened."""

    OK = "ok"
    FAIL = "fail"
    UNKNOWN = "unknown"


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One request and what came of it; `seconds` is how long that took, `at_s` the monotonic time when it ended."""

    method: str
    path: str
    key: str
    outcome: Outcome
    status: int = 0
    code: str = ""
    body: str = ""
    content_type: str = ""
    retry_after: str = ""
    error: str = ""
    task_id: str = ""
    document_ids: tuple[str, ...] = ()
    sha256: tuple[str, ...] = ()
    seconds: float = 0.0
    at_s: float = 0.0


class History:
    """A client that writes everything down. May be used by several threads; `with` closes it."""

    def __init__(self, url: str, *, call_s_max: float = CALL_S_MAX) -> None:
        self.calls: list[Call] = []
        self.http = httpx.Client(
            base_url=f"{url}/api/v1",
            timeout=call_s_max,
            trust_env=False,
            headers={"Authorization": f"Bearer {CANARY}"},
        )
        self._name = uuid.uuid4().hex
        self._keys = 0
        self._lock = threading.Lock()

    def __enter__(self) -> "History":
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def create(self, name: str, **body: Any) -> str:
        """The id of a new knowledge base; repeated under one key until it is there."""
        key = self.new_key()
        call = self._settled(
            lambda: self.request("POST", "/knowledge-bases", key=key, json={"name": name, **body}), SETTLED_S_MAX
        )
        assert call.outcome is Outcome.OK, call
        return str(msgspec.json.decode(call.body)["knowledge_base_id"])

    def upload(self, kb: str, files: Files, *, key: str = "", **headers: str) -> Call:
        """One try."""
        parts = [("file", (name, content, "application/octet-stream")) for name, content in files]
        digests = tuple(hashlib.sha256(content).hexdigest() for _, content in files)
        path = f"/knowledge-bases/{kb}/documents"
        return self.request("POST", path, key=key, sha256=digests, files=parts, headers=headers)

    def submit(
        self, kb: str, files: Files, *, key: str = "", within_s: float = SETTLED_S_MAX, retries_unavailable: bool = True
    ) -> Call:
        """Tries under one key until the upload is accepted or refused for good.

        A 503 is tried again like no answer at all: its text says that the request may have taken effect.
        """
        key = key or self.new_key()
        return self._settled(lambda: self.upload(kb, files, key=key), within_s, retries_unavailable=retries_unavailable)

    def get(self, path: str, **params: str | int) -> Call:
        return self.request("GET", path, params=params)

    def request(self, method: str, path: str, *, key: str = "", sha256: tuple[str, ...] = (), **sent: Any) -> Call:
        """One request, written down. `sent` goes to httpx."""
        headers = {**sent.pop("headers", {}), **({"Idempotency-Key": key} if key else {})}
        began_s = time.monotonic()
        answer: httpx.Response | None = None
        error = ""
        try:
            answer = self.http.request(method, path, headers=headers, **sent)
        except httpx.TransportError as problem:
            error = repr(problem)
        ended_s = time.monotonic()
        call = Call(method=method, path=path, key=key, outcome=Outcome.UNKNOWN, error=error, sha256=sha256)
        call = msgspec.structs.replace(call, seconds=ended_s - began_s, at_s=ended_s)
        call = call if answer is None else _answered(call, answer)
        with self._lock:
            self.calls.append(call)
        return call

    def new_key(self) -> str:
        """An Idempotency-Key that nobody used; it is private to the client, so it holds the canary."""
        with self._lock:
            self._keys += 1
            return f"{CANARY}-{self._name}-{self._keys}"

    @property
    def accepted(self) -> list[Call]:
        """Every upload that was answered with 2xx, repeats included."""
        return [call for call in self.calls if call.outcome is Outcome.OK and call.document_ids]

    @property
    def unknown(self) -> int:
        """Calls without an answer."""
        return sum(call.outcome is Outcome.UNKNOWN for call in self.calls)

    @property
    def documents_per_key(self) -> dict[str, set[str]]:
        """Which documents each Idempotency-Key (or call without one) led to, over all its answers."""
        found: dict[str, set[str]] = defaultdict(set)
        for place, call in enumerate(self.accepted):
            found[call.key or f"call {place}"] |= set(call.document_ids)
        return dict(found)

    def _settled(self, ask: Any, within_s: float, *, retries_unavailable: bool = True) -> Call:
        deadline = time.monotonic() + within_s
        while True:
            call: Call = ask()
            is_open = call.outcome is Outcome.UNKNOWN or (retries_unavailable and call.status == UNAVAILABLE)
            if not is_open or time.monotonic() > deadline:
                return call
            time.sleep(PAUSE_S)


def _answered(call: Call, answer: httpx.Response) -> Call:
    told: Any = {}
    if "json" in answer.headers.get("content-type", ""):
        told = msgspec.json.decode(answer.content) if answer.content else {}
    told = told if isinstance(told, dict) else {}
    documents = told.get("documents") if call.sha256 else None
    return msgspec.structs.replace(
        call,
        outcome=Outcome.OK if answer.is_success else Outcome.FAIL,
        status=answer.status_code,
        code=str(told.get("code", "")) if not answer.is_success else "",
        body=answer.text,
        content_type=answer.headers.get("content-type", ""),
        retry_after=answer.headers.get("retry-after", ""),
        task_id=str(told.get("task_id", "")),
        document_ids=tuple(one["document_id"] for one in documents) if isinstance(documents, list) else (),
    )
