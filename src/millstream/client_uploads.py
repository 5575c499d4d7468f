"""Sending a file by tus: in parts with a checksum each, going on at the offset that the server tells."""

import base64
import hashlib
import random
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Final

import msgspec

from millstream.client_http import Http, Refused, Unreachable
from millstream.errors import Stop

PART_BYTES: Final = 8 * 1024 * 1024
"""As large as the pieces of a server by default; one is in memory."""

ATTEMPTS_MAX: Final = 10
"""In a row without a byte of progress."""

PAUSE_S_MIN: Final = 0.25
PAUSE_S_MAX: Final = 30.0

GONE: Final = frozenset({404, 410})
ELSEWHERE: Final = frozenset({409, 423, 460})
"""Another offset, another request at it, or damaged on the way: ask where the upload stands, then go on."""

TUS: Final = {"Tus-Resumable": "1.0.0"}

OnProgress = Callable[[int, int], None]
"""Called with the bytes that are there, durably, and those of the whole."""


class Uploaded(msgspec.Struct, frozen=True):
    """The task that the upload has become, and where the upload was."""

    task_id: str
    url: str


class ResumableUpload:
    """One file on its way. `sleep` takes seconds, `jitter` gives 0 to 1.

    `on_url` is told the address as soon as there is one: with it as `resume_url` a later process goes on.
    """

    def __init__(
        self,
        http: Http,
        path: Path,
        metadata: Mapping[str, str],
        *,
        resume_url: str | None = None,
        on_progress: OnProgress = lambda _sent, _all: None,
        on_url: Callable[[str], None] = lambda _url: None,
        part_bytes: int = PART_BYTES,
        sleep: Callable[[float], None] = time.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._http = http
        self._path = path
        self._metadata = metadata
        self._url = resume_url
        self._on_progress = on_progress
        self._on_url = on_url
        self._part_bytes = part_bytes
        self._sleep = sleep
        self._jitter = jitter
        self._attempts = 0
        self._size_bytes = path.stat().st_size

    def run(self) -> Uploaded:
        """Raises Stop: what the server refuses for good, and what stays unreachable."""
        creation_key = uuid.uuid4().hex
        offset: int | None = None
        with self._path.open("rb") as file:
            while True:
                try:
                    if self._url is None:
                        self._url = self._create(creation_key)
                        self._on_url(self._url)
                    says = self._ask() if offset is None else self._send(file, offset)
                except (Unreachable, Refused) as error:
                    self._pause(error)
                    offset = None
                    continue
                there = int(says["Upload-Offset"])
                if offset is None or there > offset:
                    self._attempts = 0
                    self._on_progress(there, self._size_bytes)
                offset = there
                task_id = says.get("Millstream-Task-Id")
                if task_id is not None:
                    return Uploaded(task_id, self._url)
                if offset == self._size_bytes:
                    offset = None
                    self._wait(Stop("the server has all bytes but does not say what became of them"), None)

    def _create(self, key: str) -> str:
        pairs = (f"{name} {_encoded(value.encode())}" for name, value in self._metadata.items())
        headers = {"Upload-Length": str(self._size_bytes), "Upload-Metadata": ",".join(pairs), "Idempotency-Key": key}
        answer = self._http.send("POST", "/uploads", headers={**TUS, **headers})
        return str(answer.url.join(answer.headers["Location"]))

    def _ask(self) -> Mapping[str, str]:
        answer = self._http.send("HEAD", self._url or "", headers=TUS)
        if int(answer.headers.get("Upload-Length", self._size_bytes)) != self._size_bytes:
            raise Stop(f"{self._path} is not the file that this upload was begun with", hint="begin a new one")
        return answer.headers

    def _send(self, file: IO[bytes], offset: int) -> Mapping[str, str]:
        file.seek(offset)
        part = file.read(self._part_bytes)
        if offset + len(part) < min(offset + self._part_bytes, self._size_bytes):
            raise Stop(f"{self._path} became shorter while it was sent", hint="begin again")
        headers = {
            "Upload-Offset": str(offset),
            "Content-Type": "application/offset+octet-stream",
            "Upload-Checksum": f"sha256 {_encoded(hashlib.sha256(part).digest())}",
        }
        return self._http.send("PATCH", self._url or "", headers={**TUS, **headers}, content=part).headers

    def _pause(self, error: Unreachable | Refused) -> None:
        """Until it is worth to ask again; raises what will not pass."""
        if isinstance(error, Unreachable):
            self._wait(error, None)
        elif error.status in GONE and self._url is not None and self._attempts == 0:
            self._url = None  # it expired, or the server forgot it: all bytes go again
            self._attempts = 1
        elif error.may_pass or error.status in ELSEWHERE:
            self._wait(error, error.retry_after_s)
        else:
            raise error

    def _wait(self, error: Stop, asked_s: float | None) -> None:
        self._attempts += 1
        if self._attempts > ATTEMPTS_MAX:
            raise error
        pause_s = min(PAUSE_S_MAX, PAUSE_S_MIN * 2 ** (self._attempts - 1))
        self._sleep(max(asked_s or 0.0, pause_s * (0.5 + 0.5 * self._jitter())))


def _encoded(value: bytes) -> str:
    return base64.b64encode(value).decode()
